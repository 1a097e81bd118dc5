"""The spawner: a small single-threaded process that forks a shim per container.

`ladingd` calls `fork_spawner` first of all, before it imports the engine or starts a loop, so that
what is forked stays small, and shares its memory with the daemon. If the spawner dies, the daemon,
which has threads by then, executes another one: `python -m lading.shim.spawner FD`.

The spawner ends when the daemon's end of the connection is closed. Shims live on.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from dataclasses import dataclass
from typing import NoReturn

from lading.oci.protect import execute_from_readonly_mount

NAME = "lading-spawner"


@dataclass(slots=True, frozen=True)
class SpawnerHandle:
    """The daemon's hold of its spawner: its pid, and the SOCK_SEQPACKET connection to it."""

    pid: int
    sock: socket.socket


def fork_spawner() -> SpawnerHandle:
    """Fork the spawner; to be called by a process that has neither threads nor an event loop yet.

    What the spawner needs is imported before, so that both share it. Raises OSError when there is
    no room for another process.
    """
    _warm()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        _run_and_exit(theirs)
    theirs.close()
    return SpawnerHandle(pid, ours)


def execute_spawner() -> SpawnerHandle:
    """Execute a fresh spawner; for a process that may have threads.

    Raises OSError when that cannot be done.
    """
    import subprocess  # not os.posix_spawn, whose children ignore signals 32 and 33 for ever

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        number = theirs.fileno()
        program = [sys.executable, "-m", "lading.shim.spawner", str(number)]
        child = subprocess.Popen(program, pass_fds=[number])
    child.returncode = 0  # whoever holds the handle waits for it
    return SpawnerHandle(child.pid, ours)


def _warm() -> None:
    """Have everything in memory that a shim needs, and keep the garbage collector off it.

    The collector writes to every object that it looks at, which would unshare their pages.
    """
    from lading.shim import standby, title, warmup  # noqa: F401  # for those who are forked

    warmup.warm()
    gc.collect()
    gc.freeze()


def _run_and_exit(sock: socket.socket) -> NoReturn:
    """Be the spawner, in a process of its own."""
    status = 1
    try:
        _get_out_of_the_way(sock.fileno())
        serve(sock)
        status = 0
    finally:
        os._exit(status)


def _get_out_of_the_way(kept: int) -> None:
    """Leave to the daemon what is the daemon's: its signals, descriptors and name."""
    from lading.kernel import process
    from lading.shim import title

    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, _ignore)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the shims
    if kept > 3:
        process.close_range(3, kept - 1)
    process.close_range(kept + 1)
    process.set_name(NAME)
    title.set_title(NAME)


def serve(sock: socket.socket) -> None:
    """Have a shim forked for every request, until the daemon hangs up."""
    from lading.shim import standby, transport
    from lading.shim.protocol import SpawnFailed

    reader = transport.spawn_requests()
    reserve = standby.Reserve(sock)
    while True:
        reserve.wait()
        received = reader.receive(sock)
        if received is None:
            return
        request, descriptors = received
        try:
            reserve.hand_over(request, descriptors[0])
        except OSError as error:
            message = f"the spawner cannot make a shim: {error.strerror}"
            failure = SpawnFailed(container_id=request.container_id, error=message)
            transport.Packet(failure).send(sock)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _ignore(*_: object) -> None:
    """Take a signal; unlike SIG_IGN this is not handed on to a program that is executed."""


if __name__ == "__main__":
    execute_from_readonly_mount()
    _warm()
    _run_and_exit(socket.socket(fileno=int(sys.argv[1])))
