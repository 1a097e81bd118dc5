"""Shims in waiting: forked, and their creators with them, before anybody asks for one.

The forks and the memory that they have to copy are a quarter of a container's start; here they are
done when there is time. The spawner keeps one spare. It hands it the request, and makes another
soon after the spare's creator has ended, which is when the container runs.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from typing import NoReturn

from lading.kernel import process
from lading.shim import failures, title, transport
from lading.shim.children import Children
from lading.shim.helpers import Helper
from lading.shim.loop import Loop
from lading.shim.protocol import SpawnRequest
from lading.shim.shim import NAME, Shim

PAUSE = 10
"""Milliseconds after a start until the next spare is made: what was started has the processors."""


class Reserve:
    """The spawner's shims in waiting."""

    def __init__(self, spawner_socket: socket.socket) -> None:
        self._spawner_socket = spawner_socket
        self._poller = select.poll()
        self._poller.register(spawner_socket, select.POLLIN)
        self._links: dict[int, socket.socket] = {}
        self._spare: socket.socket | None = None

    def wait(self) -> None:
        """Wait until the daemon says something; make a spare shim when there is time."""
        while True:
            ready = dict(self._poller.poll(None if self._links else PAUSE))
            if ready.pop(self._spawner_socket.fileno(), None):
                return
            for descriptor in ready:
                self._drop(descriptor)
            if not self._links and not ready:
                self._spare = self._make()

    def hand_over(self, request: SpawnRequest, control: int) -> None:
        """Give a request to the spare shim, or to one made now. Raises OSError."""
        spare, self._spare = self._spare or self._make(), None
        try:
            transport.Packet(request, [control]).send(spare)
        except (BrokenPipeError, ConnectionResetError):  # somebody has killed the spare one
            self._drop(spare.fileno())
            transport.Packet(request, [control]).send(self._make())

    def _make(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            if os.fork() == 0:
                for link in (ours, self._spawner_socket, *self._links.values()):
                    link.close()
                _stand_by_and_exit(theirs)
        self._links[ours.fileno()] = ours
        self._poller.register(ours, 0)
        return ours

    def _drop(self, descriptor: int) -> None:
        """Forget a shim that is on its own now, or a spare one that was killed."""
        self._poller.unregister(descriptor)
        link = self._links.pop(descriptor)
        if link is self._spare:
            self._spare = None
        link.close()


def _stand_by_and_exit(link: socket.socket) -> NoReturn:
    """Be a shim, in a process of its own: own session, own name, nothing of the daemon's open."""
    status = 1
    bundle = ""
    try:
        helper = _prepare(link)
        loop = Loop()
        children = Children(loop)
        received = transport.spawn_requests().receive(link)
        if received is not None:
            begun_ns = time.monotonic_ns()
            request, descriptors = received
            bundle = request.bundle
            link.close()
            control = socket.socket(fileno=descriptors[0])
            Shim(request, control, helper, loop, children, begun_ns).run()
        status = 0
    except Exception as error:  # noqa: BLE001  # nobody is above who could hear of it
        failures.note(bundle, error)
    finally:
        os._exit(status)


def _prepare(link: socket.socket) -> Helper:
    """Take leave of the spawner, and fork the creator."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # its own children it reaps itself
    os.setsid()
    process.set_child_subreaper()
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in range(3):
        os.dup2(null, number)
    os.close(null)
    os.chdir("/")
    os.umask(0o022)
    process.set_name(NAME)
    title.set_title(NAME)
    return Helper(kept=link.fileno(), early=True)
