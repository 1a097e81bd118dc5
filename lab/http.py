"""The little HTTP that asks whether a daemon is up."""

from __future__ import annotations

import socket
from pathlib import Path


def ping(path: Path) -> bool:
    """Whether a daemon on this unix socket answers `GET /_ping` with 200."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(path))
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(64)
    except OSError:
        return False
