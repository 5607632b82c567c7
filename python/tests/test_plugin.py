"""The fixtures, as a project's tests use them: each test runs pytest on files of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import pytest_tcpecho
from pytest_tcpecho import BinaryNotFound, Server, StartFailed

README = Path(__file__).parents[1] / "README.md"


def gone(pid: int, within: float = 5) -> bool:
    """Whether the process ends. A process that its parent has not waited for yet has ended, too."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_the_examples_of_the_readme(pytester):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        pytester.makepyfile(**{f"test_readme_{number}": block})
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.ret == 0
    assert result.parseoutcomes()["passed"] >= len(blocks)


def test_marks_of_class_and_function_and_parameters(pytester):
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.tcpecho(seed=7)

        @pytest.mark.tcpecho("corrupt=4", engine="thread")
        class TestOfAClass:
            def test_inherited(self, tcpecho_server):
                assert (tcpecho_server.fault, tcpecho_server.seed) == ("corrupt=4", 7)

            @pytest.mark.tcpecho(fault="refuse", seed=8)
            def test_overridden(self, tcpecho_server):
                assert (tcpecho_server.fault, tcpecho_server.seed) == ("refuse", 8)

            @pytest.mark.parametrize("tcpecho_server", ["drop=1", {"fault": "drop=2", "host": "::1"}], indirect=True)
            def test_parameters(self, tcpecho_server):
                assert tcpecho_server.fault in ("drop=1", "drop=2")
                assert (tcpecho_server.host == "::1") == (tcpecho_server.fault == "drop=2")

        def test_plain(tcpecho_server):
            assert (tcpecho_server.fault, tcpecho_server.seed) == (None, None)
        """
    )
    pytester.runpytest_subprocess("--strict-markers").assert_outcomes(passed=5)


def test_the_log_is_in_the_report_of_a_failure(pytester):
    pytester.makepyfile(
        """
        import pytest, socket

        @pytest.mark.tcpecho("echo 2; reset")
        def test_fails(tcpecho_server):
            with socket.create_connection(tcpecho_server.address) as client:
                client.sendall(b"hello")
            tcpecho_server.sessions(1)
            assert False
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['*"event":"session"*"script":"echo 2; reset"*'])


def test_a_wrong_fault_is_an_error_with_the_column(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.tcpecho("echo 5; pasue 1s")
        def test_never_runs(tcpecho_server):
            pass
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*StartFailed*", "*column 9: expected a step*"])


def test_a_port_in_use_says_who_holds_it(tcpecho_server):
    with pytest.raises(StartFailed, match=f"Address already in use.*\nheld by PID {tcpecho_server.pid} ") as failed:
        Server(port=tcpecho_server.port)
    assert "ended at its start with status 2" in str(failed.value)


def test_sessions_waits_no_longer_than_asked(tcpecho_server):
    with pytest.raises(TimeoutError, match="0 of 2 connections have ended after 0.05 s"):
        tcpecho_server.sessions(2, timeout=0.05)


def test_sessions_and_counters_after_stop(tcpecho_server_factory):
    server = tcpecho_server_factory("stop-reading")
    with socket.create_connection(server.address) as client:
        client.sendall(b"x")
        while server.counters()["active"] == 0:
            pass
        [session] = server.stop()
    assert session.ending == "draining"
    assert session.fault.script == "stop-reading"
    assert server.sessions(1) == [session]
    assert server.counters()["endings"] == {"draining": 1}
    assert gone(server.pid)
    assert server.stop() == [session]


def test_a_test_may_close_its_server(tcpecho_server):
    assert tcpecho_server.counters()["accepted"] == 0
    tcpecho_server.close()
    assert tcpecho_server.sessions(0) == tcpecho_server.stop() == []
    tcpecho_server.close()


@pytest.mark.parametrize("noticed", [True, False])
def test_a_server_that_was_killed_is_an_error(noticed):
    server = Server()
    os.kill(server.pid, signal.SIGKILL)
    if noticed:
        assert gone(server.pid)
    with pytest.raises(RuntimeError, match="status -9"):
        server.close()


def test_the_environment_of_the_tests_is_not_the_servers(monkeypatch):
    monkeypatch.setenv("TCPECHO_FAULT", "refuse")
    monkeypatch.setenv("TCPECHO_LISTEN", "127.0.0.1:1")
    with Server() as server:
        assert server.port != 1
        assert server.seed is None


def test_another_binary(monkeypatch, tmp_path):
    program = tmp_path / "mine"
    program.write_text("#!/bin/sh\necho 'library is missing' >&2\nexit 127\n")
    program.chmod(0o755)
    monkeypatch.setenv("TCPECHO_BINARY", str(program))
    assert pytest_tcpecho.binary() == str(program)
    with pytest.raises(StartFailed, match="status 127\nstderr:\nlibrary is missing"):
        Server()
    monkeypatch.setenv("TCPECHO_BINARY", str(tmp_path / "none"))
    with pytest.raises(BinaryNotFound, match="none is not an executable file"):
        Server()


def test_no_binary(monkeypatch, tmp_path):
    monkeypatch.delenv("TCPECHO_BINARY", raising=False)
    monkeypatch.setattr(pytest_tcpecho._binary, "_script_directories", lambda: [str(tmp_path)])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BinaryNotFound, match=f"{tmp_path}/tcpecho nor in PATH.*TCPECHO_BINARY"):
        pytest_tcpecho.binary()


def test_a_program_that_never_becomes_ready(monkeypatch, tmp_path):
    program = tmp_path / "silent"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("TCPECHO_BINARY", str(program))
    monkeypatch.setattr(pytest_tcpecho._process.Process.lines, "__defaults__", (0.1,))
    with pytest.raises(StartFailed, match="was not ready after 0.1 s"):
        Server()


KILLED = """
    import os, signal, sys
    from pytest_tcpecho import Server
    servers = [Server(), Server("never-accept"), Server(engine="fork")]
    print(*[server.pid for server in servers], flush=True)
    {end}
"""


@pytest.mark.parametrize(
    "end", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(3)", "sys.exit(0)", "raise SystemError"]
)
def test_no_server_outlives_the_tests(end):
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED).format(end=end)], capture_output=True, text=True, timeout=30
    )
    pids = [int(pid) for pid in ran.stdout.split()]
    assert len(pids) == 3, ran.stderr
    assert all(gone(pid) for pid in pids)


def test_an_interrupted_run_leaves_no_server(pytester):
    pytester.makepyfile(
        """
        import os, signal

        def test_interrupted(tcpecho_server_factory):
            servers = [tcpecho_server_factory() for _ in range(2)]
            with open("pids", "w") as file:
                print(*[server.pid for server in servers], file=file)
            os.kill(os.getpid(), signal.SIGINT)
        """
    )
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert all(gone(int(pid)) for pid in (pytester.path / "pids").read_text().split())


def test_under_xdist(pytester):
    pytest.importorskip("xdist")
    pytester.makepyfile(
        """
        import os, pytest, socket

        @pytest.mark.parametrize("n", range(12))
        @pytest.mark.tcpecho("reset-after=3")
        def test_each(tcpecho_server, n):
            with open(f"pid-{n}", "w") as file:
                file.write(str(tcpecho_server.pid))
            with socket.create_connection(tcpecho_server.address, timeout=5) as client:
                client.sendall(b"hello")
                with pytest.raises(ConnectionResetError):
                    while client.recv(5):
                        pass
            assert [s.bytes for s in tcpecho_server.sessions(1)] == [3]
        """
    )
    pytester.runpytest_subprocess("-n", "3").assert_outcomes(passed=12)
    pids = [int(file.read_text()) for file in pytester.path.glob("pid-*")]
    assert len(set(pids)) == 12
    assert all(gone(pid) for pid in pids)
