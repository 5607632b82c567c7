"""Runs the client against every way in which a TCP server can fail: python3 -m unittest"""

import json
import os
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor

from echo_client import ClosedEarly, ConnectTimeout, Mismatch, echo

MESSAGE = b"hello, world"
# More than the slowest answer of the gallery takes.
TIMEOUT = 5

# What the client has to report for each ending. None: no error.
REACTIONS = {
    "finished": None,
    "closed-early": ClosedEarly,
    "reset": ConnectionResetError,
    "timed-out": TimeoutError,
    "mismatch": Mismatch,
    "connect-timeout": ConnectTimeout,
    "refused": ConnectionRefusedError,
}


def reaction(address):
    """The type of the client's error, or None."""
    try:
        echo(address, MESSAGE, TIMEOUT)
        return None
    except Exception as error:
        return type(error)


class Gallery(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        program = os.environ.get("TCPECHO_BINARY", "tcpecho")
        # Its stdin ends with this process, and the server with it.
        command = [program, "serve", "--gallery", "--json", "--log", "off", "--until-eof"]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        cls.addClassCleanup(server.stdin.close)
        cls.addClassCleanup(server.stdout.close)
        cls.addClassCleanup(server.wait)
        cls.addClassCleanup(server.kill)
        cls.gallery = json.loads(server.stdout.readline())

    def test_every_fault(self):
        cases = [(host, row) for host in self.gallery["addresses"] for row in self.gallery["faults"]]
        # All at once: some take as long as the client's patience.
        with ThreadPoolExecutor(len(cases)) as pool:
            reactions = pool.map(reaction, [(host, row["port"]) for host, row in cases])
        for (host, row), seen in zip(cases, reactions):
            with self.subTest(row["name"], host=host):
                self.assertIs(seen, REACTIONS[row["ending"]], row["expect"])


if __name__ == "__main__":
    unittest.main()
