"""A server with one fault, or none."""

from __future__ import annotations

import re
import signal
from types import TracebackType
from typing import Any, Sequence

from ._process import Process
from ._session import Session

_READY = re.compile(r"(?:listening on|bound to) (?:\[([^]]+)\]|([^\s,:]+)):(\d+)")


class Server:
    """A running ``tcpecho serve``. It is ready when the constructor returns.

    :param fault: a script (``"echo 5; pause 1s; reset"``) or a preset (``"reset-after=10"``); docs/faults.md has all.
        Without it, the server echoes.
    :param fault_when: which connections get the fault: ``"every=3"``, ``"probability=0.1"``, ``"2-5"``.
    :param seed: of everything random in faults. The same seed gives the same run. Without a fault it has no effect.
    :param engine: ``iterative``, ``fork``, ``thread``, ``epoll``, ``uring`` or ``auto``.
    :param host: an address of this host.
    :param port: 0 takes a free one.
    :param drain_timeout: how long :meth:`stop` lets connections finish, in seconds.
    :param options: further arguments of ``tcpecho serve``, such as ``["--idle-timeout", "1s"]``.
    :raises StartFailed: if the server cannot start, with its stderr.
    """

    def __init__(
        self,
        fault: str | None = None,
        *,
        fault_when: str | None = None,
        seed: int | None = None,
        engine: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        drain_timeout: float = 0.1,
        options: Sequence[str] = (),
    ) -> None:
        arguments = ["-l", f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]
        arguments += ["--drain-timeout", f"{drain_timeout * 1000:.0f}ms"]
        for option, value in (
            ("--fault", fault),
            ("--fault-when", fault_when),
            ("--seed", seed if fault is not None else None),
            ("--engine", engine),
        ):
            if value is not None:
                arguments += [option, str(value)]
        self._drain_timeout = drain_timeout
        self._process = Process([*arguments, *options])
        ready = self._process.lines(1)[0]
        match = _READY.match(ready)
        if match is None:
            self._process.kill()
            self._process.close()
            raise RuntimeError(f"not the ready line of tcpecho serve: {ready!r}")
        #: The fault as it was given.
        self.fault = fault
        #: The address that the server listens on.
        self.host: str = match[1] or match[2]
        #: The port that the server listens on.
        self.port = int(match[3])

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, for ``socket.create_connection``."""
        return self.host, self.port

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    @property
    def seed(self) -> int | None:
        """The seed of the faults, also if it was not given. ``None`` without a fault."""

        def armed() -> list[dict[str, Any]]:
            return [e for e in self._process.events if e["event"] == "fault"]

        # The log comes after the ready line.
        self._process.wait_for(lambda: bool(armed()), timeout=5 if self.fault is not None else 0)
        return armed()[0]["seed"] if armed() else None

    def sessions(self, count: int = 1, timeout: float = 5.0) -> list[Session]:
        """Waits until at least ``count`` connections have ended, and returns all that have, in order of their ends.

        ``sessions(0)`` does not wait. After :meth:`stop`, all connections have ended.

        :raises TimeoutError: after ``timeout`` seconds, with what the log says.
        """

        def ended() -> list[Session]:
            return [Session.of(e) for e in self._process.events if e["event"] == "session"]

        wait = timeout if self._process.running else 0
        if not self._process.wait_for(lambda: len(ended()) >= count, wait):
            raise TimeoutError(
                f"{len(ended())} of {count} connections have ended after {wait:g} s. Close the client; or, as a script that "
                f"pauses or has stopped reading notices no FIN, call stop() first. The log of {self}:\n{self.log()}"
            )
        return ended()

    def counters(self, timeout: float = 5.0) -> dict[str, Any]:
        """Returns the server's counters at this moment: ``accepted``, ``active``, ``bytes``, ``faults``, ``endings``...

        :raises TimeoutError: if the server does not write them within ``timeout`` seconds.
        """

        def written() -> list[dict[str, Any]]:
            return [e for e in self._process.events if e["event"] == "counters"]

        self._process.read_log()
        before = len(written())
        if self._process.running:
            self._process.signal(signal.SIGUSR1)
            if not self._process.wait_for(lambda: len(written()) > before, timeout):
                raise TimeoutError(f"no counters after {timeout:g} s; the log of {self}:\n{self.log()}")
        return written()[-1]

    def log(self) -> str:
        """Returns the log so far, one JSON object per line."""
        return self._process.log()

    def stop(self) -> list[Session]:
        """Stops the server and returns all sessions.

        Connections get up to ``drain_timeout`` to finish; then they are closed, ending ``draining``.

        :raises RuntimeError: if the server failed.
        """
        status = self._process.stop(timeout=self._drain_timeout + 10)
        if status:
            raise RuntimeError(f"{self} ended with status {status}; its log:\n{self.log()}")
        return self.sessions(0)

    def close(self) -> None:
        """Stops the server, if it runs, and forgets its log."""
        try:
            self.stop()
        finally:
            self._process.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<tcpecho {self.host}:{self.port} pid={self.pid}>"
