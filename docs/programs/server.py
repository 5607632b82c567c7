"""An echo server out of the standard library: a thread for each client.

Usage: server.py PORT
"""

import socket
import socketserver
import sys


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(4096):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True


with Server(("::", int(sys.argv[1])), Echo) as server:
    server.serve_forever()
