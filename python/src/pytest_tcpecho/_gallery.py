"""A port for each way in which a TCP server can fail (docs/gallery.md)."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Iterator, Mapping

from ._process import Process
from ._session import Session


@dataclass(frozen=True)
class Row:
    """One port of the gallery."""

    #: Where it listens: an address of each family.
    hosts: tuple[str, ...]
    port: int
    #: The preset, such as ``reset-after``; ``echo`` is the server without a fault.
    name: str
    #: The preset with its parameter, such as ``reset-after=10``.
    fault: str | None
    #: The script that is played; ``None`` for faults of the listener.
    script: str | None
    #: What the server does.
    does: str
    #: The ending that a correct client reports (docs/endings.md).
    ending: str
    #: What a correct client should see and do.
    expect: str

    @property
    def host(self) -> str:
        """The first address."""
        return self.hosts[0]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, for ``socket.create_connection``."""
        return self.host, self.port

    def __str__(self) -> str:
        return self.name


class Gallery(Mapping[str, Row]):
    """A running ``tcpecho serve --gallery``: its rows by name, in order. It is ready when the constructor returns.

    :param seed: of everything random in faults.
    :param engine: ``iterative``, ``fork``, ``thread``, ``epoll``, ``uring`` or ``auto``.
    :raises StartFailed: if the server cannot start, with its stderr.
    """

    def __init__(self, *, seed: int | None = None, engine: str | None = None) -> None:
        arguments = ["--gallery", "--json", "--drain-timeout", "100ms"]
        for option, value in (("--seed", seed), ("--engine", engine)):
            if value is not None:
                arguments += [option, str(value)]
        self._process = Process(arguments)
        said: dict[str, Any] = json.loads(self._process.lines(1)[0])
        #: The page that explains the rows.
        self.index: str = said["index"]
        self.seed: int = said["seed"]
        self._rows = {row.name: row for row in _read(said)}

    def __getitem__(self, name: str) -> Row:
        try:
            return self._rows[name]
        except KeyError:
            raise KeyError(f"no fault is called {name!r}; there are {', '.join(self._rows)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    def log(self) -> str:
        """Returns the log so far, one JSON object per line."""
        return self._process.log()

    def close(self) -> None:
        """Stops the server.

        :raises RuntimeError: if it failed.
        """
        try:
            status = self._process.stop(timeout=10)
            if status:
                raise RuntimeError(f"the gallery ended with status {status}; its log:\n{self.log()}")
        finally:
            self._process.close()

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<tcpecho gallery {self.index} pid={self.pid}>"


@functools.lru_cache(maxsize=None)
def rows() -> tuple[str, ...]:
    """Returns the names of all rows, in order, for ``pytest.mark.parametrize``. Starts a gallery for a moment."""
    with Gallery() as gallery:
        return tuple(gallery)


def _read(said: Mapping[str, Any]) -> Iterator[Row]:
    hosts = tuple(said["addresses"])
    for row in said["faults"]:
        yield Row(
            hosts=hosts,
            port=row["port"],
            name=row["name"],
            fault=row["fault"],
            script=row["script"],
            does=row["does"],
            ending=row["ending"],
            expect=row["expect"],
        )
