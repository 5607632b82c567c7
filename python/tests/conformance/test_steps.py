"""The steps of a script."""

from __future__ import annotations

import resource
import time

import pytest

from client import CLOSE, flips

TWENTY = b"0123456789abcdefghij"
BIG = bytes(i * 31 % 251 for i in range(150_000))


def played(server, script, steps, count=1):
    """The log has this script, with this many steps completed; the script has ended the connection."""
    session = server.sessions(count)[-1]
    assert session.ending == "fault", session
    assert session.fault.script == script
    assert (session.fault.completed, session.fault.steps) == (steps, steps), session.fault
    assert session.error is None
    return session


def test_echo_sends_back_n_bytes_and_the_end_of_a_script_is_close(place):
    server = place.serve("echo 5")
    client = place.connect(server)
    client.says(b"hello, world")
    client.sees(b"hello")
    client.sees_only_fin()
    assert played(server, "echo 5", 1).bytes == 5


def test_echo_all_ends_with_the_fin_of_the_peer(place):
    server = place.serve("echo all")
    client = place.connect(server)
    client.exchanges(BIG, BIG)
    client.sees_nothing()
    client.finishes()
    client.sees_fin()
    assert played(server, "echo all", 1).bytes == len(BIG)


def test_echo_goes_on_for_more_than_the_buffers_hold(place):
    server = place.serve(f"echo {len(BIG) - 1}")
    client = place.connect(server)
    client.exchanges(BIG, BIG[:-1])
    client.sees_fin()
    played(server, f"echo {len(BIG) - 1}", 1)


@pytest.mark.parametrize("step", ["discard", "drop"])
def test_discard_and_drop_send_nothing_back(place, step):
    script = f"{step} 4; echo all"
    server = place.serve(script)
    client = place.connect(server)
    client.says(TWENTY[:4])
    client.sees_nothing()
    client.says(TWENTY[4:])
    client.finishes()
    client.sees(TWENTY[4:])
    client.sees_fin()
    assert played(server, script, 2).bytes == 16


def test_corrupt_changes_one_bit_that_the_log_names(place):
    server = place.serve("corrupt 16; echo all", seed=7)
    client = place.connect(server)
    client.says(TWENTY)
    client.finishes()
    got = client.reads(20)
    client.sees_fin()
    [changed] = flips(got, TWENTY)
    assert changed[0] < 16
    [flip] = played(server, "corrupt 16; echo all", 2).fault.flips
    assert (flip.byte, flip.bit) == changed


def test_corrupt_counts_all_bytes_that_were_sent(place):
    server = place.serve('send "abc"; corrupt 10; echo all', seed=7)
    client = place.connect(server)
    client.says(TWENTY)
    client.finishes()
    [changed] = flips(client.reads(23), b"abc" + TWENTY)
    assert 3 <= changed[0] < 13
    [flip] = server.sessions(1)[0].fault.flips
    assert (flip.byte, flip.bit) == changed


def test_corrupt_in_a_long_message(place):
    script = f"corrupt {len(BIG)}"
    server = place.serve(script, seed=3)
    client = place.connect(server)
    try:
        client.exchanges(BIG, BIG)
    except AssertionError as error:
        assert "first difference" in str(error)
    else:
        raise AssertionError("nothing was changed")
    client.sees_fin()
    [flip] = played(server, script, 1).fault.flips
    assert flip.byte < len(BIG)


def test_corrupt_changes_nothing_if_fin_comes_first(place):
    # Bits of 64 KiB: the chance that it is in the first byte is negligible, and the seed is fixed.
    server = place.serve("corrupt 64KiB", seed=1)
    client = place.connect(server)
    client.says(b"x")
    client.finishes()
    client.sees(b"x")
    client.sees_fin()
    assert played(server, "corrupt 64KiB", 1).fault.flips == ()


def test_repeat_sends_the_bytes_twice(place):
    server = place.serve("repeat 4; echo all")
    client = place.connect(server)
    client.says(TWENTY)
    client.finishes()
    client.sees(TWENTY[:4] * 2 + TWENTY[4:])
    client.sees_fin()
    played(server, "repeat 4; echo all", 2)


def test_repeat_of_64_kib(place):
    server = place.serve("repeat 64KiB")
    client = place.connect(server)
    client.exchanges(BIG[: 64 << 10], BIG[: 64 << 10] * 2)
    client.sees_fin()
    played(server, "repeat 64KiB", 1)


def test_expect_receives_these_bytes_and_sends_nothing(place):
    script = 'expect "EHLO "; expect 0x610d0a; send "250 ok"'
    server = place.serve(script)
    client = place.connect(server)
    client.says(b"EHL")
    client.sees_nothing()
    client.says(b"O a\r\n")
    client.sees(b"250 ok")
    client.sees_fin()
    assert not played(server, script, 3).fault.unexpected


@pytest.mark.parametrize("said", [b"HELO", b"EHLx", b"x"])
def test_expect_resets_at_another_byte(place, said):
    server = place.serve('send "220"; expect "EHLO"; echo all')
    client = place.connect(server)
    client.sees(b"220")
    client.says(said)
    client.sees_rst()
    [session] = server.sessions(1)
    assert session.fault.unexpected
    assert session.fault.completed == 1


def test_expect_resets_at_an_early_fin(place):
    server = place.serve('expect "EHLO"; echo all')
    client = place.connect(server)
    client.says(b"EHL")
    client.finishes()
    client.sees_rst()
    [session] = server.sessions(1)
    assert session.fault.unexpected
    assert session.fault.completed == 0


def test_wait_fin_discards_everything(place):
    server = place.serve('wait-fin; send "bye"')
    client = place.connect(server)
    client.says(BIG)
    client.sees_nothing()
    client.finishes()
    client.sees(b"bye")
    client.sees_fin()
    assert played(server, 'wait-fin; send "bye"', 2).bytes == 3


def test_stop_reading_closes_the_window_and_notices_no_fin(place):
    server = place.serve("echo 3; stop-reading")
    client = place.connect(server)
    client.says(b"abc")
    client.sees(b"abc")
    assert client.fills() < 64 << 20
    client.finishes()
    client.sees_nothing()
    assert server.sessions(0) == []
    assert server.counters()["active"] == 1


def test_send_knows_all_escapes(place):
    script = r'send "a\n\r\t\0\"\\\x7f\xFF;"; send 0x00ff10'
    server = place.serve(script)
    client = place.connect(server)
    client.sees(b'a\n\r\t\0"\\\x7f\xff;' + b"\x00\xff\x10")
    client.sees_fin()
    played(server, script, 2)


def test_send_takes_1024_bytes(place):
    script = "; ".join(['send "' + "x" * 1024 + '"'] * 3)
    server = place.serve(script)
    client = place.connect(server)
    client.sees(b"x" * 3072)
    client.sees_fin()
    played(server, script, 3)


def test_fin_half_closes_and_the_server_goes_on_receiving(place):
    server = place.serve('send "bye"; fin; discard 10; wait-fin')
    client = place.connect(server)
    client.sees(b"bye")
    client.sees_fin()
    client.says(BIG)
    assert server.sessions(0) == []
    client.finishes()
    assert played(server, 'send "bye"; fin; discard 10; wait-fin', 4).bytes == 3
    client.sees_fin()


def test_pause_reads_and_sends_nothing(place):
    server = place.serve("pause 80ms; echo all")
    begin = time.monotonic()
    client = place.connect(server)
    client.says(TWENTY)
    client.finishes()
    client.sees(TWENTY)
    assert time.monotonic() - begin >= 0.08
    client.sees_fin()
    played(server, "pause 80ms; echo all", 2)


def test_pause_with_a_range_is_drawn_from_the_seed(place):
    server = place.serve("pause 60ms±30ms; echo all", seed=5)
    begin = time.monotonic()
    client = place.connect(server)
    client.says(TWENTY)
    client.finishes()
    client.sees(TWENTY)
    assert time.monotonic() - begin >= 0.03
    client.sees_fin()


def test_rate_is_a_limit(place):
    server = place.serve("rate 1000/s; echo all")
    client = place.connect(server)
    begin = time.monotonic()
    client.says(bytes(200))
    client.finishes()
    client.sees(bytes(200))
    client.sees_fin()
    assert time.monotonic() - begin >= 0.1  # Without the wait after the last piece, which may be half of all.
    played(server, "rate 1000/s; echo all", 2)


def test_chunk_sends_pieces_and_waits_before_each(place):
    server = place.serve("chunk 6 every 25ms; echo all")
    client = place.connect(server)
    begin = time.monotonic()
    client.says(TWENTY)
    pieces, times = [], []
    while sum(map(len, pieces)) < 20:
        pieces.append(client.socket.recv(100))
        times.append(time.monotonic() - begin)
    assert b"".join(pieces) == TWENTY
    # A slow client finds two pieces at once.
    assert len(pieces[0]) % 6 == 0 or len(pieces[0]) == 20
    assert times[-1] >= 4 * 0.025
    client.finishes()
    client.sees_fin()
    played(server, "chunk 6 every 25ms; echo all", 2)


def test_rate_replaces_chunk(place):
    server = place.serve("chunk 1 every 10s; rate 1MiB/s; echo all")
    client = place.connect(server)
    client.says(TWENTY)
    client.finishes()
    client.sees(TWENTY)
    client.sees_fin()


def test_close_sends_fin_and_the_kernel_answers_later_bytes_with_rst(place):
    server = place.serve('send "x"; close')
    client = place.connect(server)
    client.sees(b"x")
    client.sees_only_fin()
    played(server, 'send "x"; close', 2)
    client.says(b"late")
    deadline = time.monotonic() + 5
    while client.state() != CLOSE:
        assert time.monotonic() < deadline, "no RST came"
        time.sleep(0.001)
    with pytest.raises(BrokenPipeError):
        client.says(b"later")


def test_close_discards_what_was_not_read(place):
    server = place.serve("echo 1; pause 60ms; close")
    client = place.connect(server)
    client.says(TWENTY)
    client.sees(b"0")
    client.sees_only_fin()
    played(server, "echo 1; pause 60ms; close", 3)


def test_reset_comes_after_everything_that_was_sent(place):
    script = f"echo {len(BIG)}; reset"
    server = place.serve(script)
    client = place.connect(server)
    client.exchanges(BIG, BIG)
    client.sees_rst()
    assert played(server, script, 2).bytes == len(BIG)


def test_reset_waits_for_a_slow_reader(place):
    script = f"echo {len(BIG)}; reset"
    server = place.serve(script)
    client = place.connect(server)
    # The server cannot go on before the client reads; what is in flight then is not lost.
    client.socket.setblocking(False)
    left = memoryview(BIG)
    quiet = time.monotonic()
    while left and time.monotonic() - quiet < 0.1:
        try:
            left = left[client.socket.send(left) :]
            quiet = time.monotonic()
        except BlockingIOError:
            time.sleep(0.005)
    client.exchanges(bytes(left), BIG)
    client.sees_rst()
    played(server, script, 2)


def test_close_unread_with_a_byte_is_rst(place):
    server = place.serve("echo 3; close-unread")
    client = place.connect(server)
    client.says(b"abcd")
    client.sees(b"abc")
    client.sees_rst()
    played(server, "echo 3; close-unread", 2)


def test_close_unread_waits_for_a_byte(place):
    server = place.serve('send "hi"; close-unread')
    client = place.connect(server)
    client.sees(b"hi")
    client.sees_nothing()
    client.says(b"x")
    client.sees_rst()
    played(server, 'send "hi"; close-unread', 2)


def test_close_unread_without_a_byte_is_close(place):
    server = place.serve("echo 3; close-unread")
    client = place.connect(server)
    client.says(b"abc")
    client.sees(b"abc")
    client.finishes()
    client.sees_fin()
    played(server, "echo 3; close-unread", 2)


def test_bytes_wait_for_the_step_that_reads_them(place):
    script = 'send "a"; pause 50ms; echo 3; send "b"; discard 3; echo 3; fin; wait-fin'
    server = place.serve(script)
    client = place.connect(server)
    client.says(b"123456789rest")
    client.sees(b"a123b789")
    client.sees_fin()
    client.finishes()
    played(server, script, 8)


def test_fin_ends_each_step_that_reads_and_the_others_are_played(place):
    script = 'echo 10; discard 10; corrupt 10; repeat 10; drop 10; wait-fin; send "end"'
    server = place.serve(script)
    client = place.connect(server)
    client.says(b"12345")
    client.finishes()
    client.sees(b"12345end")
    client.sees_fin()
    played(server, script, 7)


def test_repeat_at_an_early_fin_repeats_what_came(place):
    server = place.serve("repeat 10; echo all")
    client = place.connect(server)
    client.says(b"abc")
    client.finishes()
    client.sees(b"abcabc")
    client.sees_fin()


@pytest.mark.parametrize("script", ["pause 1m; echo all", "echo all", "stop-reading", "wait-fin", "chunk 1 every 1m; echo all"])
def test_the_rst_of_the_peer_ends_the_script_at_once(place, script):
    server = place.serve(script)
    client = place.connect(server)
    if script.startswith("chunk"):
        client.says(b"ab")
    deadline = time.monotonic() + 5
    while server.counters()["faults"] == 0:
        assert time.monotonic() < deadline
    client.resets()
    [session] = server.sessions(1)
    assert session.ending == "reset", session
    assert session.fault.script == script


def test_a_drain_ends_what_waits_for_the_peer_with_fin(place):
    server = place.serve("echo all", drain_timeout=5)
    client = place.connect(server)
    client.says(b"abc")
    client.sees(b"abc")
    [session] = server.stop()
    assert session.ending == "draining"
    client.sees_fin()


def test_a_drain_lets_a_pause_go_on(place):
    server = place.serve('discard 1; pause 150ms; send "done"', drain_timeout=5)
    client = place.connect(server)
    client.says(b"x")
    time.sleep(0.03)
    [session] = server.stop()
    client.sees(b"done")
    client.sees_fin()
    assert session.ending == "fault"


def test_the_end_of_the_drain_resets_if_bytes_are_unread(place):
    server = place.serve('send "hi"; pause 1m', drain_timeout=0.05)
    client = place.connect(server)
    client.sees(b"hi")
    client.says(b"unread")
    [session] = server.stop()
    assert session.ending == "draining"
    client.sees_rst()


def test_the_end_of_the_drain_is_fin_if_nothing_is_unread(place):
    server = place.serve('send "hi"; pause 1m', drain_timeout=0.05)
    client = place.connect(server)
    client.sees(b"hi")
    [session] = server.stop()
    assert session.ending == "draining"
    client.sees_fin()


def test_a_script_has_at_most_64_steps(place):
    script = "; ".join(["echo 1"] * 64)
    server = place.serve(script)
    client = place.connect(server)
    client.exchanges(bytes(64), bytes(64))
    client.sees_fin()
    played(server, script, 64)


def test_pause_and_send_do_not_notice_a_fin(place):
    server = place.serve('pause 60ms; send "a"; pause 20ms; send "b"; echo all')
    client = place.connect(server)
    client.says(b"xyz")
    client.finishes()
    client.sees(b"abxyz")
    client.sees_fin()
    played(server, 'pause 60ms; send "a"; pause 20ms; send "b"; echo all', 5)


def test_a_connection_beyond_max_connections_is_closed_at_once(place):
    server = place.serve("stop-reading", options=["--max-connections", "2"])
    clients = [place.connect(server) for _ in range(2)]
    deadline = time.monotonic() + 5
    while server.counters()["faults"] < 2:
        assert time.monotonic() < deadline
    place.connect(server).sees_fin()
    assert server.sessions(1)[0].ending == "limit"
    for client in clients:
        client.sees_nothing()


@pytest.mark.one_engine
@pytest.mark.plain_only
def test_4096_scripts_are_played_at_a_time(place):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 9000:
        pytest.skip(f"at most {hard} descriptors (ulimit -n)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (9000, hard))
    try:
        server = place.serve("stop-reading")
        for _ in range(4096):
            place.connect(server)
        place.connect(server).sees_fin()
        assert [session.ending for session in server.sessions(1)] == ["limit"]
        assert server.counters()["active"] == 4096
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
