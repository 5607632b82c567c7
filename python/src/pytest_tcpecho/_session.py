"""What the server's log says about a connection (``tcpecho schema serve-log``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping


@dataclass(frozen=True)
class Flip:
    """A bit that ``corrupt`` changed."""

    #: The number of the byte among all bytes that were sent, from 0 on.
    byte: int
    #: 0 is the lowest.
    bit: int


@dataclass(frozen=True)
class Fault:
    """The fault that a connection had."""

    #: As it was written.
    script: str
    #: Steps that were completed.
    completed: int
    #: All steps of the script.
    steps: int
    #: The bits that ``corrupt`` changed.
    flips: tuple[Flip, ...]
    #: Whether ``expect`` received something else.
    unexpected: bool


@dataclass(frozen=True)
class Session:
    """A connection that has ended, as the server saw it."""

    #: The client's address and port, such as ``127.0.0.1:53124``.
    peer: str
    #: How it ended: ``finished``, ``reset``, ``fault``, ... (docs/endings.md)
    ending: str
    #: Bytes echoed.
    bytes: int
    #: From accept to the end, in seconds.
    duration: float
    #: The fault, if the connection had one.
    fault: Fault | None
    #: The call that failed and its errno, if one did.
    error: str | None
    #: The whole line of the log.
    raw: Mapping[str, Any]

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Session:
        """Reads a line of the log whose event is ``session``."""
        fault = event.get("fault")
        return cls(
            peer=event["peer"],
            ending=event["ending"],
            bytes=event["bytes"],
            duration=event["duration_us"] / 1e6,
            fault=None
            if fault is None
            else Fault(
                script=fault["script"],
                completed=fault["completed"],
                steps=fault["steps"],
                flips=tuple(Flip(flip["byte"], flip["bit"]) for flip in fault["flips"]),
                unexpected=fault["unexpected"],
            ),
            error=event.get("error"),
            raw=event,
        )
