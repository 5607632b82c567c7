"""Every promise of docs/faults.md, kept with every engine, over IPv4 and IPv6, with plain and tiny buffers.

The tests are written from the documentation, with Python's sockets: they share no code with the program. A test takes
``place``; the marks ``one_engine`` and ``plain_only`` say which places make no difference to it.

With tiny buffers, the client has the smallest that the kernel grants. As root, or inside ``unshare -Urn``, the server has
tiny ones, too, in a network namespace. The end of the run says if not.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import subprocess
from dataclasses import dataclass
from typing import Any, Callable, Iterator

import pytest

from client import Client
from engines import ENGINES
from network import Tiny
from pytest_tcpecho import Server, binary

HOSTS = {"v4": "127.0.0.1", "v6": "::1"}
BUFFERS = ("plain", "tiny")


@functools.lru_cache(maxsize=None)
def unavailable() -> dict[str, str]:
    """The engines that this kernel lacks, and why."""
    listed = subprocess.run([binary(), "serve", "--engine", "list"], capture_output=True, text=True, check=True).stdout
    lines = {line.split()[0]: line for line in listed.splitlines() if line}
    return {name: lines[name] for name in ENGINES if not lines[name].rstrip().endswith(" available")}


@functools.lru_cache(maxsize=None)
def tiny_network() -> Tiny | OSError:
    """One for this process, or why there is none."""
    try:
        return Tiny()
    except OSError as error:
        return error


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    network = tiny_network()
    if isinstance(network, OSError):
        terminalreporter.write_line(f"SKIP tiny buffers of the server: no network namespace: {network}")


@dataclass
class Place:
    """Where a promise is kept."""

    engine: str
    host: str
    tiny: bool
    _start: Callable[..., Server]
    _clients: list[Client]

    def serve(self, fault: str | None = None, **settings: Any) -> Server:
        return self._start(fault, engine=self.engine, host=self.host, **settings)

    def connect(self, server: Server) -> Client:
        client = Client(server.address, tiny=self.tiny)
        self._clients.append(client)
        return client


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "one_engine: the engines have no part in this promise")
    config.addinivalue_line("markers", "plain_only: the buffers have no part in this promise")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "place" not in metafunc.fixturenames:
        return
    marks = {mark.name for mark in metafunc.definition.iter_markers()}
    engines = ("epoll",) if "one_engine" in marks else ENGINES
    buffers = ("plain",) if "plain_only" in marks else BUFFERS
    places = list(itertools.product(engines, HOSTS, buffers))
    metafunc.parametrize("place", places, indirect=True, ids=["-".join(place) for place in places])


@pytest.fixture
def place(request: pytest.FixtureRequest, tcpecho_server_factory: Callable[..., Server]) -> Iterator[Place]:
    engine, family, buffers = request.param
    if engine in unavailable():
        pytest.skip(unavailable()[engine])
    clients: list[Client] = []
    network = tiny_network()
    with contextlib.ExitStack() as stack:
        if buffers == "tiny" and isinstance(network, Tiny):
            stack.enter_context(network.entered())
        yield Place(engine, HOSTS[family], buffers == "tiny", tcpecho_server_factory, clients)
        for client in clients:
            client.close()
