"""A client that says exactly what it saw: bytes, FIN, RST or nothing."""

from __future__ import annotations

import errno
import select
import socket
import struct
import time

#: No promise takes this long. A client that waits longer fails.
PATIENCE = 10.0
#: How long nothing has to come.
SILENCE = 0.05

ESTABLISHED, CLOSE, CLOSE_WAIT = 1, 7, 8


class Client:
    def __init__(self, address: tuple[str, int], tiny: bool = False, timeout: float = PATIENCE) -> None:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        if tiny:
            # The kernel doubles these and has a minimum. Segments are smaller than the window.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        try:
            self.socket.connect(address)
        except OSError:
            self.socket.close()
            raise

    def says(self, data: bytes) -> None:
        self.socket.sendall(data)

    def finishes(self) -> None:
        """Sends FIN."""
        self.socket.shutdown(socket.SHUT_WR)

    def resets(self) -> None:
        """Sends RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def reads(self, count: int) -> bytes:
        """Exactly that many bytes."""
        got = bytearray()
        while len(got) < count:
            piece = self.socket.recv(min(count - len(got), 1 << 16))
            assert piece, f"FIN after {len(got)} of {count} bytes"
            got += piece
        return bytes(got)

    def sees(self, expected: bytes) -> None:
        """These bytes are the next ones."""
        got = self.reads(len(expected))
        assert got == expected, f"the first difference is at byte {difference(got, expected)} of {len(expected)}"

    def sees_fin(self) -> None:
        """No further byte, and FIN."""
        assert self.socket.recv(1 << 16) == b""

    def sees_only_fin(self) -> None:
        """No further byte, and FIN; no RST follows."""
        self.sees_fin()
        time.sleep(SILENCE)
        assert self.state() == CLOSE_WAIT

    def sees_rst(self) -> None:
        """No further byte, and RST."""
        try:
            got = self.socket.recv(1 << 16)
        except OSError as error:
            assert error.errno == errno.ECONNRESET, error
        else:
            raise AssertionError(f"expected RST, and got {got[:40]!r}" if got else "expected RST, and got FIN")

    def sees_nothing(self, seconds: float = SILENCE) -> None:
        """No byte, no FIN and no RST for this time, and the connection stands."""
        ready, _, _ = select.select([self.socket], [], [], seconds)
        if ready:
            raise AssertionError(f"expected nothing, and got {self.socket.recv(64)!r}")
        assert self.state() not in (CLOSE, CLOSE_WAIT)

    def fills(self, limit: int = 64 << 20) -> int:
        """Writes until nothing more is taken for a while. Returns how many bytes were."""
        taken = 0
        self.socket.setblocking(False)
        quiet_since = time.monotonic()
        while taken < limit and time.monotonic() - quiet_since < 0.3:
            try:
                taken += self.socket.send(bytes(1 << 16))
                quiet_since = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        self.socket.settimeout(PATIENCE)
        return taken

    def exchanges(self, data: bytes, expected: bytes) -> None:
        """Writes and reads at the same time, however small the buffers are."""
        deadline = time.monotonic() + PATIENCE
        got, left = bytearray(), memoryview(data)
        self.socket.setblocking(False)
        while len(got) < len(expected) or left:
            wait = deadline - time.monotonic()
            readable, writable, _ = select.select([self.socket], [self.socket] if left else [], [], max(wait, 0))
            assert readable or writable, f"after {PATIENCE} s: {len(got)} of {len(expected)}, {len(left)} to be sent"
            if writable:
                try:
                    left = left[self.socket.send(left[: 1 << 16]) :]
                except BlockingIOError:
                    pass
            if readable and len(got) < len(expected):
                piece = self.socket.recv(min(1 << 16, len(expected) - len(got)))
                assert piece, f"FIN after {len(got)} of {len(expected)} bytes"
                got += piece
        self.socket.settimeout(PATIENCE)
        assert got == expected, f"the first difference is at byte {difference(got, expected)} of {len(expected)}"

    def state(self) -> int:
        """The TCP state, as the kernel reports it."""
        return self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[0]

    def close(self) -> None:
        self.socket.close()


def difference(got: bytes, expected: bytes) -> int:
    """The place of the first byte that differs."""
    return next((i for i, (a, b) in enumerate(zip(got, expected)) if a != b), min(len(got), len(expected)))


def flips(got: bytes, sent: bytes) -> list[tuple[int, int]]:
    """The bits that differ, as (byte, bit)."""
    assert len(got) == len(sent)
    return [(i, bit) for i, (a, b) in enumerate(zip(got, sent)) for bit in range(8) if (a ^ b) >> bit & 1]


def ending(address: tuple[str, int], message: bytes, patience: float) -> str:
    """What a client reports that sends a message, half-closes and waits for the echo (docs/endings.md)."""
    try:
        client = Client(address, timeout=patience)
    except socket.timeout:
        return "connect-timeout"
    except ConnectionRefusedError:
        return "refused"
    except ConnectionResetError:
        return "reset"
    got = b""
    try:
        try:
            client.says(message)
            client.finishes()
        except OSError as error:
            # The server was faster. What it did, the read says.
            assert error.errno in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN), error
            if error.errno == errno.ECONNRESET:
                return "reset"
        while True:
            piece = client.socket.recv(1 << 16)
            if not piece:
                break
            got += piece
    except socket.timeout:
        return "timed-out"
    except ConnectionResetError:
        return "reset"
    finally:
        client.close()
    if got == message:
        return "finished"
    return "closed-early" if message.startswith(got) else "mismatch"
