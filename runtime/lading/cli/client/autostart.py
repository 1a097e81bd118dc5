"""Start a daemon when none runs, and wait until it is ready.

Only for root and only on the default socket. The daemon says that it is ready by sd_notify(3) on a
socket of ours; should it end instead, its pidfd says so. Nothing is polled in between.
"""

from __future__ import annotations

import os
import sys
from _socket import AF_UNIX, SOCK_DGRAM
from _socket import socket as raw_socket
from fcntl import LOCK_EX, flock

from lading.cli.client.sockets import CLOSE_ON_EXEC, Address, connect
from lading.cli.failures import CliError, NoDaemon

#: The directory whose lock says that a daemon is being started; it leaves no file behind.
LOCK = "/run"
LOG = "/var/log/ladingd.log"


def may_start() -> bool:
    """Tell whether this user could run a daemon."""
    return os.geteuid() == 0


def program() -> str:
    """Find the daemon's program: the one installed beside this Python."""
    return os.path.join(os.path.dirname(sys.executable), "ladingd")


def start(address: Address) -> None:
    """Start the daemon and return when it serves; raises CliError if it does not come up.

    Of several commands that find no daemon, one starts it and the others wait for that one.
    """
    lock = os.open(LOCK, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flock(lock, LOCK_EX)
        try:
            connect(address).close()
        except NoDaemon:
            _start()
    finally:
        os.close(lock)


def _start() -> None:
    path = program()
    if not os.access(path, os.X_OK):
        raise CliError(
            f"Cannot connect to the Lading daemon: none is running, and there is no {path} to start"
        )
    sys.stderr.write("lading: no daemon is running; starting ladingd\n")
    sys.stderr.flush()
    ready = raw_socket(AF_UNIX, SOCK_DGRAM | CLOSE_ON_EXEC)
    try:
        ready.bind(b"")
        name = ready.getsockname()
        log_start = os.path.getsize(LOG) if os.path.exists(LOG) else 0
        pid = _spawn(path, "@" + name[1:].decode())
        _await(ready, pid, log_start)
    finally:
        ready.close()


def _spawn(path: str, notify_socket: str) -> int:
    """Run the daemon in a session of its own, in / and with the usual umask, whatever ours are."""
    environment = {**os.environ, "NOTIFY_SOCKET": notify_socket}
    for name in ("LADING_HOST", "DOCKER_HOST"):
        environment.pop(name, None)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mask = os.umask(0o022)
    os.chdir("/")
    try:
        return os.posix_spawn(path, [path], environment, file_actions=actions, setsid=True)
    finally:
        os.fchdir(here)
        os.close(here)
        os.umask(mask)


def _await(ready: raw_socket, pid: int, log_start: int) -> None:
    from select import POLLIN, poll

    pidfd = os.pidfd_open(pid)
    waiting = poll()
    waiting.register(ready.fileno(), POLLIN)
    waiting.register(pidfd, POLLIN)
    try:
        while True:
            events = dict(waiting.poll())
            if ready.fileno() in events:
                if b"READY=1" in ready.recv(4096).split(b"\n"):
                    return
            elif pidfd in events:
                raise CliError(f"ladingd did not start: {_last_words(log_start)}")
    finally:
        os.close(pidfd)


def _last_words(start_at: int) -> str:
    with open(LOG, "rb") as log:
        log.seek(start_at)
        lines = log.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"it ended without a word; see {LOG}"
