"""Where the program is."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from typing import Iterator

OVERRIDE = "TCPECHO_BINARY"


class BinaryNotFound(RuntimeError):
    """The program ``tcpecho`` is not installed."""


def binary() -> str:
    """Returns the path of ``tcpecho``.

    The environment variable ``TCPECHO_BINARY`` decides, if it is set. Otherwise it is the program that this package
    has installed, and if there is none, the first one of ``PATH``.

    :raises BinaryNotFound: with the places that were looked at.
    """
    override = os.environ.get(OVERRIDE)
    if override:
        path = shutil.which(override)
        if path is None:
            raise BinaryNotFound(f"{OVERRIDE}={override} is not an executable file")
        return os.path.abspath(path)
    looked_at = []
    for directory in _script_directories():
        path = os.path.join(directory, "tcpecho")
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
        looked_at.append(path)
    path = shutil.which("tcpecho")
    if path is not None:
        return path
    raise BinaryNotFound(
        f"tcpecho is neither {' nor '.join(looked_at)} nor in PATH; "
        f"install pytest-tcpecho from a wheel, or set {OVERRIDE} to the program"
    )


def _script_directories() -> Iterator[str]:
    seen = set()
    # That of the environment; that of the interpreter, for `pip install --target`; that of `pip install --user`.
    for directory in (
        sysconfig.get_path("scripts"),
        os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bin"),
        sysconfig.get_path("scripts", "posix_user"),
    ):
        if directory not in seen:
            seen.add(directory)
            yield directory
