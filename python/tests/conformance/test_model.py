"""Random scripts: what comes back is what a model says that was written from docs/faults.md, in a few lines."""

from __future__ import annotations

import random

import pytest

from client import PATIENCE

SCRIPTS = 40


def draw(rng: random.Random, message: bytes) -> list[str]:
    """A script. `expect` mostly gets what comes at that place of the message."""
    steps: list[str] = []
    at = 0
    for _ in range(rng.randrange(1, 7)):
        n = rng.choice([1, 2, 3, 10, 40, 200])
        kind = rng.choice(["echo", "echo", "discard", "drop", "repeat", "send", "expect", "pause", "chunk", "rate"])
        if kind in ("echo", "discard", "drop", "repeat"):
            steps.append(f"{kind} {n}")
            at += n
        elif kind == "send":
            steps.append("send 0x" + rng.randbytes(n).hex())
        elif kind == "expect":
            wanted = message[at : at + n] if rng.random() < 0.8 else b"?" * n
            if wanted:
                steps.append("expect 0x" + wanted.hex())
                at += len(wanted)
        elif kind == "pause":
            steps.append("pause 1ms")
        elif kind == "chunk":
            steps.append("chunk 100 every 1ms")
        else:
            steps.append("rate 1MiB/s")
    last = rng.choice(["echo all", "wait-fin", "fin", "fin; wait-fin", "fin; discard 3", "close", "reset", "close-unread"])
    return [*steps, *last.split("; ")]


def model(steps: list[str], message: bytes) -> tuple[bytes, str]:
    """What the client gets back, and how the connection ends."""
    left, out = message, b""
    for step in steps:
        name, _, argument = step.partition(" ")
        if name in ("echo", "discard", "drop", "repeat", "wait-fin"):
            n = len(left) if name == "wait-fin" or argument == "all" else int(argument)
            taken, left = left[:n], left[n:]
            out += {"echo": taken, "repeat": taken * 2}.get(name, b"")
        elif name == "send":
            out += bytes.fromhex(argument[2:])
        elif name == "expect":
            wanted = bytes.fromhex(argument[2:])
            if not left.startswith(wanted):
                return out, "RST"
            left = left[len(wanted) :]
        elif name == "reset":
            return out, "RST"
        elif name == "close-unread":
            return out, "RST" if left else "FIN"
    return out, "FIN"


def played(place, server, message: bytes, rng: random.Random) -> tuple[bytes | None, str]:
    """What really came back. The message goes out in pieces.

    None instead of the bytes: the server had reset the connection before connect(2) returned, so nothing can be read.
    """
    try:
        client = place.connect(server)
    except ConnectionResetError:
        return None, "RST"
    reset = False
    try:
        cut = rng.randrange(len(message) + 1)
        client.says(message[:cut])
        client.says(message[cut:])
        client.finishes()
    except ConnectionResetError:
        # The errno is told once; what came before can still be read.
        reset = True
    except OSError:
        # EPIPE or ENOTCONN: the server has ended the connection.
        pass
    got = b""
    client.socket.settimeout(PATIENCE)
    try:
        while piece := client.socket.recv(1 << 16):
            got += piece
    except ConnectionResetError:
        reset = True
    client.close()
    return got, "RST" if reset else "FIN"


@pytest.mark.parametrize("seed", range(3))
def test_random_scripts(place, seed):
    rng = random.Random(f"{seed} {place.engine} {place.host} {place.tiny}")
    # What is sent has room in the smallest buffers, so no step waits for the client to read.
    messages = [rng.randbytes(rng.choice([0, 1, 5, 30, 300])) for _ in range(SCRIPTS)]
    scripts = [draw(rng, message) for message in messages]
    rules = [f"{number}:{'; '.join(script)}" for number, script in enumerate(scripts, 1)]
    server = place.serve(",".join(rules), seed=seed)
    for script, message in zip(scripts, messages):
        got, end = played(place, server, message, rng)
        bytes, close = model(script, message)
        assert end == close and got in (bytes, None), f"{'; '.join(script)} with {message.hex()}"
    sessions = server.sessions(SCRIPTS)
    assert all(session.ending == "fault" for session in sessions)
    assert sum(session.bytes for session in sessions) == sum(
        len(model(script, message)[0]) for script, message in zip(scripts, messages)
    )
