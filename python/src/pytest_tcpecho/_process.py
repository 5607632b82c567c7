"""One running ``tcpecho serve``: started, waited for, stopped. It ends with this process, however that ends."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from typing import Any, Callable

from ._binary import binary

START_TIMEOUT = 10.0
_POLL = 0.005


class StartFailed(RuntimeError):
    """``tcpecho serve`` could not start. The message has its command line and its stderr."""


class Process:
    """A server's process, its stdout up to readiness, and its log.

    The log goes to a file: the server drops lines rather than wait for a slow reader, and a file is never slow.
    """

    def __init__(self, arguments: list[str]) -> None:
        self.command = [binary(), "serve", *arguments, "--log", "json", "--until-eof"]
        self._log = tempfile.TemporaryFile(prefix="tcpecho-log-")
        self._read = b""
        self._offset = 0
        self._stopped = False
        self.events: list[dict[str, Any]] = []
        # Settings of the server that the environment holds are not meant for this one.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TCPECHO_")}
        try:
            self._child = subprocess.Popen(
                self.command,
                # Nothing is ever written to it. It ends with this process, and the server with it.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=environment,
            )
        except OSError as error:
            self._log.close()
            raise StartFailed(f"cannot start {self.command[0]}: {error}") from error
        assert self._child.stdin is not None and self._child.stdout is not None
        self._stdin, self._stdout = self._child.stdin, self._child.stdout

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._child.pid

    def lines(self, count: int, timeout: float = START_TIMEOUT) -> list[str]:
        """Waits for that many lines of stdout: the server is ready then.

        :raises StartFailed: if the server ends first, or takes longer.
        """
        deadline = time.monotonic() + timeout
        text = b""
        while text.count(b"\n") < count:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._stdout], [], [], left)[0]:
                self.kill()
                raise StartFailed(self._complaint(f"was not ready after {timeout:g} s", text))
            piece = os.read(self._stdout.fileno(), 1 << 16)
            if not piece:
                status = self._child.wait()
                raise StartFailed(self._complaint(f"ended at its start with status {status}", text))
            text += piece
        return text.decode().splitlines()

    def wait_for(self, done: Callable[[], bool], timeout: float) -> bool:
        """Reads the log until ``done()``, for ``timeout`` seconds at most. Returns whether it was."""
        deadline = time.monotonic() + timeout
        while True:
            self.read_log()
            if done():
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL)

    def read_log(self) -> None:
        """Adds the complete lines that are new to ``events``."""
        while not self._log.closed:
            piece = os.pread(self._log.fileno(), 1 << 16, self._offset)
            if not piece:
                break
            self._offset += len(piece)
            self._read += piece
        *lines, self._read = self._read.split(b"\n")
        self.events.extend(json.loads(line) for line in lines if line.startswith(b"{"))

    def log(self) -> str:
        """Returns the whole log as it was written."""
        return os.pread(self._log.fileno(), 1 << 24, 0).decode(errors="replace") if not self._log.closed else ""

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._child.poll() is None

    def signal(self, number: int) -> None:
        """Sends a signal, if the process runs."""
        self._child.send_signal(number)

    def stop(self, timeout: float) -> int | None:
        """Sends SIGTERM and waits; after ``timeout`` seconds, kills. Returns the exit status, ``None`` the second time.

        A server that has ended by itself is told by its status, too.
        """
        if self._stopped:
            return None
        self._stopped = True
        self.signal(signal.SIGTERM)
        try:
            self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self.read_log()
        self._stdin.close()
        self._stdout.close()
        return self._child.returncode

    def kill(self) -> None:
        """Sends SIGKILL and waits."""
        self._child.kill()
        self._child.wait()

    def close(self) -> None:
        """Closes the log."""
        self._stdin.close()
        self._stdout.close()
        self._log.close()

    def _complaint(self, what: str, stdout: bytes) -> str:
        message = f"{' '.join(self.command)}\n{what}"
        for name, text in (("stdout", stdout.decode(errors="replace")), ("stderr", self._stderr())):
            if text.strip():
                message += f"\n{name}:\n{text.rstrip()}"
        self.close()
        return message

    def _stderr(self) -> str:
        """What the program says about its failure; a JSON line is unwrapped."""
        said = []
        for line in self.log().splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                said.append(line)
                continue
            said.append(_message(event) or line)
        return "\n".join(said)


def _message(event: Any) -> str | None:
    """What a failure's object (``tcpecho schema failure``) says, with its cause and advice."""
    if not isinstance(event, dict) or "message" not in event:
        return None
    diagnosis = event.get("diagnosis") or {}
    parts = [event["message"], diagnosis.get("cause"), diagnosis.get("advice")]
    return "\n".join(str(part) for part in parts if part)
