"""The fixtures."""

from __future__ import annotations

from typing import Any, Callable, Iterator

import pytest

from ._gallery import Gallery, Row, rows
from ._server import Server


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "tcpecho(fault=None, *, fault_when=None, seed=None, engine=None, host='127.0.0.1', port=0, "
        "drain_timeout=0.1, options=()): the settings of the fixture tcpecho_server.",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "tcpecho_fault" in metafunc.fixturenames:
        already = any("tcpecho_fault" in _names(mark) for mark in metafunc.definition.iter_markers("parametrize"))
        if not already:
            metafunc.parametrize("tcpecho_fault", rows(), indirect=True)


def _names(mark: pytest.Mark) -> list[str]:
    names = mark.args[0] if mark.args else mark.kwargs.get("argnames", "")
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)


@pytest.fixture
def tcpecho_server_factory() -> Iterator[Callable[..., Server]]:
    """Starts servers with the arguments of :class:`Server`; all are stopped when the test ends.

    The log of each server is among the captured output of a test that fails.
    """
    servers: list[Server] = []

    def start(fault: str | None = None, **settings: Any) -> Server:
        server = Server(fault, **settings)
        servers.append(server)
        return server

    yield start
    failure: Exception | None = None
    for server in reversed(servers):
        try:
            server.stop()
            print(f"{server}\n{server.log()}", end="")
        except Exception as error:
            failure = failure or error
        finally:
            server.close()
    if failure is not None:
        raise failure


@pytest.fixture
def tcpecho_server(request: pytest.FixtureRequest, tcpecho_server_factory: Callable[..., Server]) -> Server:
    """A server for this test: an echo server on a free port of 127.0.0.1, unless ``@pytest.mark.tcpecho`` says more.

    With ``parametrize(..., indirect=True)``, the parameter is the fault, or a dict of settings; it overrides the mark.
    """
    arguments: tuple[Any, ...] = ()
    settings: dict[str, Any] = {}
    # The innermost mark is the first one: that of the function goes before that of its class or module.
    for mark in reversed(list(request.node.iter_markers("tcpecho"))):
        if mark.args:
            settings["fault"], *rest = mark.args
            if rest:
                raise TypeError(f"pytest.mark.tcpecho takes one positional argument, the fault: {mark.args!r}")
        settings.update(mark.kwargs)
    parameter = getattr(request, "param", None)
    if isinstance(parameter, dict):
        settings.update(parameter)
    elif parameter is not None:
        settings["fault"] = parameter
    return tcpecho_server_factory(*arguments, **settings)


@pytest.fixture(scope="session")
def tcpecho_gallery() -> Iterator[Gallery]:
    """All faults at once, one port each. One gallery serves the whole session (with pytest-xdist: of each worker)."""
    with Gallery() as gallery:
        yield gallery


@pytest.fixture
def tcpecho_fault(request: pytest.FixtureRequest, tcpecho_gallery: Gallery) -> Row:
    """A row of the gallery. A test that asks for it runs once for each, or for those of its own ``parametrize``."""
    return tcpecho_gallery[request.param]
