"""Telling the service manager how the daemon does (sd_notify(3)), and taking its sockets."""

from __future__ import annotations

import contextlib
import os
import socket

FIRST_PASSED_FD = 3
"""The first descriptor of socket activation (sd_listen_fds(3))."""


def notify(state: str) -> None:
    """Send `READY=1`, `STOPPING=1`, … to the manager that set NOTIFY_SOCKET; without one, nothing.

    A manager that does not listen is no reason to fail.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
    ):
        sender.sendto(state.encode(), address)


def passed_sockets() -> list[socket.socket]:
    """Return the listening sockets that the service manager passed to this very process.

    The variables that announce them are removed, so that no child takes them for its own.
    """
    owner = os.environ.pop("LISTEN_PID", "")
    count = os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if owner != str(os.getpid()) or not count.isdigit():
        return []
    sockets = []
    for number in range(FIRST_PASSED_FD, FIRST_PASSED_FD + int(count)):
        os.set_inheritable(number, False)
        sockets.append(socket.socket(fileno=number))
    return sockets
