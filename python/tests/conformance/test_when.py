"""Which connections get the fault, and what the seed decides."""

from __future__ import annotations

import contextlib
import time

import pytest

from client import Client, flips
from engines import ENGINES

pytestmark = pytest.mark.plain_only


def one(place, server):
    """What a client gets back, and how the connection ends."""
    return exchange(place.connect(server))


def exchange(client):
    client.says(b"0123456789")
    # The server may have ended the connection already.
    with contextlib.suppress(OSError):
        client.finishes()
    got = b""
    try:
        while piece := client.socket.recv(1 << 16):
            got += piece
    except ConnectionResetError:
        return got, "RST"
    finally:
        client.close()
    return got, "FIN"


ECHO, RESET = (b"0123456789", "FIN"), (b"012", "RST")
SCRIPT = "echo 3; reset"


@pytest.mark.parametrize(
    "when, numbers",
    [
        ("all", {1, 2, 3, 4, 5, 6, 7}),
        ("every=3", {3, 6}),
        ("2", {2}),
        ("2-5", {2, 3, 4, 5}),
        ("4-", {4, 5, 6, 7}),
        ("probability=0", set()),
        ("probability=1", {1, 2, 3, 4, 5, 6, 7}),
    ],
)
def test_numbers(place, when, numbers):
    server = place.serve(SCRIPT, fault_when=when)
    for number in range(1, 8):
        assert one(place, server) == (RESET if number in numbers else ECHO), number
    sessions = server.sessions(7)
    assert sum(session.fault is not None for session in sessions) == len(numbers)
    assert server.counters()["faults"] == len(numbers)


def test_peer(place):
    here, elsewhere = ("127.0.0.0/8", "10.0.0.0/8") if ":" not in place.host else ("::1/128", "fd00::/8")
    assert one(place, place.serve(SCRIPT, fault_when=f"peer={here}")) == RESET
    assert one(place, place.serve(SCRIPT, fault_when=f"peer={elsewhere}")) == ECHO


@pytest.mark.parametrize("peer, expected", [("127.0.0.0/8", RESET), ("10.0.0.0/8", ECHO), ("::/0", ECHO)])
@pytest.mark.parametrize("engine", ENGINES)
def test_peer_of_ipv4_at_a_listener_of_ipv6(tcpecho_server_factory, engine, peer, expected):
    server = tcpecho_server_factory(SCRIPT, fault_when=f"peer={peer}", host="::", engine=engine)
    client = Client(("127.0.0.1", server.port))
    assert exchange(client) == expected


def test_first(place):
    begin = time.monotonic()
    server = place.serve(SCRIPT, fault_when="first=1s")
    first = one(place, server)
    if time.monotonic() - begin < 1:
        assert first == RESET
    # From here on, the second is over for the server, too.
    time.sleep(1.05)
    assert one(place, server) == ECHO


def test_the_first_rule_that_applies_decides(place):
    server = place.serve('1:reset-after=3,2-3:send "hi"; echo all,every=2:close-after=1,every=3:drop=9')
    expected = [RESET, (b"hi0123456789", "FIN"), (b"hi0123456789", "FIN"), (b"0", "FIN"), ECHO, (b"0", "FIN")]
    assert [one(place, server) for _ in expected] == expected
    assert one(place, server) == ECHO
    assert one(place, server) == (b"0", "FIN")
    assert one(place, server) == (b"9", "FIN")


def test_the_same_seed_gives_the_same_run(place):
    def run(seed):
        server = place.serve("corrupt 10", fault_when="probability=0.5", seed=seed)
        assert server.seed == seed
        return [flips(one(place, server)[0], b"0123456789") for _ in range(12)]

    first = run(11)
    assert run(11) == first
    assert run(12) != first
    assert [] in first and any(first)


@pytest.mark.one_engine
def test_without_a_seed_the_log_names_it(place):
    server = place.serve("corrupt 10")
    first = one(place, server)
    again = place.serve("corrupt 10", seed=server.seed)
    assert one(place, again) == first


def test_the_seed_gives_the_same_with_every_engine(place, tcpecho_server_factory):
    server = place.serve("corrupt 10", seed=1234)
    reference = tcpecho_server_factory("corrupt 10", seed=1234, host=place.host, engine="epoll")
    assert one(place, server) == one(place, reference)


def test_the_others_are_not_delayed(place):
    server = place.serve("pause 1m", fault_when="1-20")
    # Scripts are played beside the engine, so even the iterative one serves the others.
    held = [Client(server.address) for _ in range(20)]
    assert one(place, server) == ECHO
    for client in held:
        client.close()
