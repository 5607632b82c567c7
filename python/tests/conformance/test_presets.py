"""Every preset: the bytes, the errno and the close that its row promises, and the ending of a client."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path

import pytest

from client import CLOSE, Client, ending, flips

TWENTY = b"0123456789abcdefghij"
FAULTS_MD = Path(__file__).parents[3] / "docs" / "faults.md"


def table():
    """The rows of the table of presets: (fault, script or None, ending)."""
    for line in FAULTS_MD.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) != 4 or not cells[0].startswith("`"):
            continue
        name = re.match(r"`([a-z-]+)", cells[0])[1]
        played = re.fullmatch(r"`(.*)` is `(.*)`", cells[1])
        if played:
            yield played[1], played[2], cells[3]
        elif cells[1] == "(listener)":
            yield (f"{name}=50ms" if "=" in cells[0] else name), None, cells[3]


ROWS = list(table()) if FAULTS_MD.exists() else []
# They make a client wait for as long as they say.
SHORTER = {"delay=200ms": "delay=50ms", "slow-close=2s": "slow-close=200ms", "drip=1/100ms": "drip=1/5ms"}


def test_the_table_has_been_read():
    assert len(ROWS) >= 23


@pytest.mark.parametrize("fault, script, reported", ROWS, ids=[row[0] for row in ROWS])
@pytest.mark.plain_only
def test_the_ending_of_a_client(place, fault, script, reported):
    server = place.serve(SHORTER.get(fault, fault), seed=1)
    patience = 0.3 if reported in ("timed-out", "connect-timeout") else 10
    begin = time.monotonic()
    assert ending(server.address, TWENTY, patience) == reported
    if reported not in ("timed-out", "connect-timeout"):
        assert time.monotonic() - begin < 5


@pytest.mark.parametrize("fault, script, reported", ROWS, ids=[row[0] for row in ROWS])
@pytest.mark.one_engine
@pytest.mark.plain_only
def test_the_preset_is_its_script(place, fault, script, reported):
    if script is None:
        return
    seen = []
    for played in (fault, script):
        server = place.serve(SHORTER.get(played, played.replace("200ms", "50ms").replace("2s", "200ms")), seed=1)
        # The whole message is there before FIN, so that both runs are alike.
        seen.append(ending(server.address, TWENTY, 0.3 if reported == "timed-out" else 10))
    assert seen == [reported] * 2


def told(server, fault, bytes=None):
    session = server.sessions(1)[0]
    assert session.ending == "fault", session
    assert session.fault.script == fault
    assert session.fault.completed == session.fault.steps
    if bytes is not None:
        assert session.bytes == bytes


def test_reset_after(place):
    server = place.serve("reset-after=10")
    client = place.connect(server)
    client.says(TWENTY)
    client.sees(TWENTY[:10])
    client.sees_rst()
    told(server, "reset-after=10", 10)


def test_close_after(place):
    server = place.serve("close-after=10")
    client = place.connect(server)
    client.says(TWENTY)
    client.sees(TWENTY[:10])
    client.sees_only_fin()
    told(server, "close-after=10", 10)
    client.says(b"late")
    deadline = time.monotonic() + 5
    while client.state() != CLOSE:
        assert time.monotonic() < deadline, "no RST came"
        time.sleep(0.001)


def test_truncate(place):
    server = place.serve("truncate=10")
    client = place.connect(server)
    client.says(TWENTY)
    client.sees(TWENTY[:10])
    client.sees_fin()
    for _ in range(20):
        client.says(bytes(5000))
    assert server.sessions(0) == []
    client.finishes()
    told(server, "truncate=10", 10)
    client.sees_fin()


def test_stall_after(place):
    server = place.serve("stall-after=10")
    client = place.connect(server)
    client.says(TWENTY)
    client.sees(TWENTY[:10])
    client.sees_nothing()
    client.finishes()
    client.sees_nothing()
    assert server.counters()["active"] == 1


def test_zero_window(place):
    server = place.serve("zero-window")
    client = place.connect(server)
    assert 0 < client.fills() < 64 << 20
    client.sees_nothing()


def test_half_close(place):
    server = place.serve("half-close")
    client = place.connect(server)
    client.sees_only_fin()
    client.says(bytes(100_000))
    client.finishes()
    told(server, "half-close", 0)
    client.sees_fin()


def test_reset_on_accept(place):
    server = place.serve("reset-on-accept")
    try:
        client = place.connect(server)
    except ConnectionResetError:
        pass
    else:
        client.sees_rst()
    told(server, "reset-on-accept", 0)


def test_close_on_accept(place):
    server = place.serve("close-on-accept")
    place.connect(server).sees_only_fin()
    told(server, "close-on-accept", 0)


def test_close_unread(place):
    server = place.serve("close-unread")
    client = place.connect(server)
    client.sees_nothing()
    client.says(b"x")
    client.sees_rst()
    told(server, "close-unread", 0)


def test_reset_at_end(place):
    server = place.serve("reset-at-end")
    client = place.connect(server)
    big = TWENTY * 5000
    client.exchanges(big, big)
    client.sees_nothing()
    client.finishes()
    client.sees_rst()
    told(server, "reset-at-end", len(big))


@pytest.mark.parametrize("fault, at_least", [("delay=60ms", 0.06), ("delay=60ms±20ms", 0.04)])
def test_delay(place, fault, at_least):
    server = place.serve(fault)
    begin = time.monotonic()
    client = place.connect(server)
    client.says(TWENTY)
    client.finishes()
    client.sees(TWENTY)
    assert time.monotonic() - begin >= at_least
    client.sees_fin()
    told(server, fault, 20)


def test_jitter_delays_each_answer(place):
    server = place.serve("jitter=30ms±10ms")
    client = place.connect(server)
    for _ in range(3):
        begin = time.monotonic()
        client.says(TWENTY)
        client.sees(TWENTY)
        assert time.monotonic() - begin >= 0.02
    client.finishes()
    client.sees_fin()
    told(server, "jitter=30ms±10ms", 60)


def test_drip(place):
    server = place.serve("drip=5/20ms")
    client = place.connect(server)
    begin = time.monotonic()
    client.says(TWENTY)
    client.sees(TWENTY)
    assert time.monotonic() - begin >= 0.08
    client.finishes()
    client.sees_fin()
    told(server, "drip=5/20ms", 20)


def test_rate(place):
    server = place.serve("rate=100KiB/s")
    client = place.connect(server)
    data = TWENTY * 1024
    begin = time.monotonic()
    client.exchanges(data, data)
    # A fiftieth of a second's bytes may come at once.
    assert time.monotonic() - begin >= 0.2 - 0.02
    client.finishes()
    client.sees_fin()
    told(server, "rate=100KiB/s", len(data))


def test_slow_close(place):
    server = place.serve("slow-close=80ms")
    client = place.connect(server)
    client.says(TWENTY)
    client.sees(TWENTY)
    begin = time.monotonic()
    client.finishes()
    client.sees_fin()
    assert time.monotonic() - begin >= 0.08
    told(server, "slow-close=80ms", 20)


def test_corrupt(place):
    server = place.serve("corrupt=10")
    client = place.connect(server)
    client.says(TWENTY)
    client.finishes()
    [(byte, _)] = flips(client.reads(20), TWENTY)
    assert byte < 10
    client.sees_fin()
    told(server, "corrupt=10", 20)


@pytest.mark.parametrize(
    "fault, echo",
    [
        ("drop=10", TWENTY[10:]),
        ("repeat=10", TWENTY[:10] + TWENTY),
        (r'banner="220 ready\r\n"', b"220 ready\r\n" + TWENTY),
    ],
)
def test_drop_and_repeat_and_banner(place, fault, echo):
    server = place.serve(fault)
    client = place.connect(server)
    client.says(TWENTY)
    client.finishes()
    client.sees(echo)
    client.sees_fin()
    told(server, fault, len(echo))


def test_never_accept(place):
    server = place.serve("never-accept")
    client = place.connect(server)
    client.says(TWENTY)
    client.sees_nothing()
    client.finishes()
    client.sees_nothing()
    assert server.counters()["accepted"] == 0
    assert server.sessions(0) == []


def test_accept_delay(place):
    server = place.serve("accept-delay=60ms")
    begin = time.monotonic()
    client = place.connect(server)
    client.says(TWENTY)
    client.sees(TWENTY)
    assert time.monotonic() - begin >= 0.06
    client.finishes()
    client.sees_fin()
    [session] = server.sessions(1)
    assert (session.ending, session.fault) == ("finished", None)


@pytest.mark.plain_only
def test_backlog_full(place):
    server = place.serve("backlog-full")
    for _ in range(2):
        with pytest.raises(socket.timeout):
            Client(server.address, timeout=0.15)
    assert server.sessions(0) == []
    server.stop()
    # What kept the port is gone.
    with pytest.raises(ConnectionRefusedError):
        Client(server.address)


@pytest.mark.plain_only
def test_refuse(place):
    server = place.serve("refuse")
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            Client(server.address)
    assert server.counters()["accepted"] == 0
