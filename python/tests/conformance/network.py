"""A network namespace in which all socket buffers are tiny, the server's too, and packets have 1,500 bytes."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from typing import Iterator

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, SIOCSIFMTU, IFF_UP = 0x8914, 0x8922, 1
_libc = ctypes.CDLL(None, use_errno=True)


class Tiny:
    """The namespace. It ends with this process. Needs root, or ``unshare -Urn``: the way back must be allowed, too."""

    def __init__(self) -> None:
        self._outside = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._leave()
        _call(_libc.unshare(CLONE_NEWNET), "unshare")
        try:
            self._inside = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            for key in ("tcp_rmem", "tcp_wmem"):
                with open(f"/proc/sys/net/ipv4/{key}", "w") as file:
                    file.write("4096 4096 4096")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                fcntl.ioctl(control, SIOCSIFMTU, struct.pack("16si12x", b"lo", 1500))
                fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
        finally:
            self._leave()

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Sockets and processes that are made meanwhile are in the namespace."""
        _call(_libc.setns(self._inside, CLONE_NEWNET), "setns")
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        _call(_libc.setns(self._outside, CLONE_NEWNET), "setns")


def _call(result: int, name: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
