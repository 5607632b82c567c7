"""A line client as the tutorials have it: a line out, a line back, with a socket's file object.

Usage: client.py ADDRESS PORT
"""

import socket
import sys

with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    replies = connection.makefile("rb")
    for line in sys.stdin.buffer:
        connection.sendall(line)
        reply = replies.readline()
        if not reply:
            sys.exit("the server closed the connection")
        sys.stdout.buffer.write(reply)
        sys.stdout.buffer.flush()
