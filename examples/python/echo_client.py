"""A client with a deadline: sends a message, half-closes, and checks the echo. Python 3.10 or later."""

import errno
import socket
import time


class ConnectTimeout(TimeoutError):
    """No connection before the deadline."""


class ClosedEarly(EOFError):
    """The server ended the stream before the echo was complete."""


class Mismatch(ValueError):
    """The echo is not the message."""


def echo(address, message, timeout):
    """Returns when the whole echo and the server's FIN have come.

    Raises ConnectTimeout, ConnectionRefusedError, ConnectionResetError, TimeoutError, ClosedEarly or Mismatch.
    """
    deadline = time.monotonic() + timeout
    try:
        connection = socket.create_connection(address, timeout)
    except TimeoutError as error:
        raise ConnectTimeout(f"{address}: no connection after {timeout} s") from error
    with connection:
        try:
            connection.sendall(message)
            connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            # The server has ended the connection already. How, the next read says.
            if error.errno not in (errno.EPIPE, errno.ENOTCONN):
                raise
        got = b""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{len(got)} of {len(message)} bytes after {timeout} s")
            connection.settimeout(left)
            piece = connection.recv(1 << 16)
            got += piece
            if not message.startswith(got):
                raise Mismatch(f"got {got!r}, which does not begin as {message!r}")
            if not piece:
                if len(got) < len(message):
                    raise ClosedEarly(f"{len(got)} of {len(message)} bytes came")
                return got
