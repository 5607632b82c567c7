"""A TCP echo server that fails on demand, for the tests of TCP clients.

With pytest, use the fixtures ``tcpecho_server``, ``tcpecho_server_factory``, ``tcpecho_gallery`` and
``tcpecho_fault``. Without pytest, use :class:`Server` and :class:`Gallery` as context managers.
"""

from ._binary import BinaryNotFound, binary
from ._gallery import Gallery, Row, rows
from ._process import StartFailed
from ._server import Server
from ._session import Fault, Flip, Session

__all__ = [
    "BinaryNotFound",
    "Fault",
    "Flip",
    "Gallery",
    "Row",
    "Server",
    "Session",
    "StartFailed",
    "binary",
    "rows",
]
