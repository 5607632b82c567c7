"""The fixtures of the gallery, and what each row of it does to a client."""

from __future__ import annotations

import errno
import socket
import sys
import urllib.request
from pathlib import Path

import pytest

import pytest_tcpecho
from pytest_tcpecho import Gallery

sys.path.insert(0, str(Path(__file__).parent / "conformance"))
from client import ending  # noqa: E402


@pytest.mark.parametrize("family", [0, 1])
def test_each_row_keeps_its_promise(tcpecho_fault, family):
    patience = 0.3 if tcpecho_fault.ending in ("timed-out", "connect-timeout") else 10
    address = tcpecho_fault.hosts[family], tcpecho_fault.port
    assert ending(address, b"hello, world", patience) == tcpecho_fault.ending


def test_rows_by_name_and_in_order(tcpecho_gallery):
    assert list(tcpecho_gallery)[0] == "echo"
    assert len(tcpecho_gallery) >= 24
    row = tcpecho_gallery["reset-after"]
    assert (row.fault, row.script, row.ending) == ("reset-after=10", "echo 10; reset", "reset")
    assert row.address == (row.hosts[0], row.port)
    assert tcpecho_gallery["echo"].fault is None
    assert tcpecho_gallery["refuse"].script is None
    assert all(row.does and row.expect for row in tcpecho_gallery.values())
    assert str(row) == "reset-after"


def test_an_unknown_name_is_answered_with_the_names(tcpecho_gallery):
    with pytest.raises(KeyError, match="no fault is called 'reset'; there are echo, reset-after"):
        tcpecho_gallery["reset"]


def test_rows_are_the_names_before_any_test(tcpecho_gallery):
    assert pytest_tcpecho.rows() == tuple(tcpecho_gallery)


def test_the_index_is_a_page(tcpecho_gallery):
    with urllib.request.urlopen(tcpecho_gallery.index, timeout=5) as answer:
        assert "reset-after" in answer.read().decode()


def test_engine_and_seed():
    with Gallery(engine="thread", seed=5) as gallery:
        assert gallery.seed == 5
        with socket.create_connection(gallery["echo"].address, timeout=5) as client:
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        refused = socket.socket()
        assert refused.connect_ex(gallery["refuse"].address) == errno.ECONNREFUSED
        refused.close()


def test_one_test_for_each_row_or_for_some(pytester):
    pytester.makepyfile(
        """
        import pytest

        def test_all(tcpecho_fault, tcpecho_gallery):
            assert tcpecho_gallery[tcpecho_fault.name] is tcpecho_fault

        @pytest.mark.parametrize("tcpecho_fault", ["refuse", "drip"], indirect=True)
        def test_some(tcpecho_fault):
            assert tcpecho_fault.name in ("refuse", "drip")

        @pytest.mark.parametrize("first", [1, 2])
        @pytest.mark.parametrize(("second", "tcpecho_fault"), [(3, "echo")], indirect=["tcpecho_fault"])
        def test_beside_others(first, second, tcpecho_fault):
            assert tcpecho_fault.name == "echo"
        """
    )
    result = pytester.runpytest_subprocess("-v")
    result.assert_outcomes(passed=len(pytest_tcpecho.rows()) + 2 + 2)
    result.stdout.fnmatch_lines(["*test_all?reset-after? PASSED*", "*test_some?refuse? PASSED*"])


def test_each_worker_of_xdist_has_its_own(pytester):
    pytest.importorskip("xdist")
    pytester.makepyfile(
        """
        import os

        def test_each(tcpecho_fault, tcpecho_gallery):
            with open("pid-" + os.environ["PYTEST_XDIST_WORKER"], "w") as file:
                file.write(str(tcpecho_gallery.pid))
        """
    )
    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=len(pytest_tcpecho.rows()))
    pids = {file.read_text() for file in pytester.path.glob("pid-*")}
    assert len(pids) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
