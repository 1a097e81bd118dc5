"""Forking a creator, and listening to it."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING, NoReturn

from lading.kernel import process
from lading.shim import creator, transport
from lading.shim.loop import READABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lading.kernel.process import Exit
    from lading.oci.container import Stdio
    from lading.shim.children import Children
    from lading.shim.loop import Loop

NAME = "lading-creator"


class Helper:
    """A creator at work; see `lading.shim.creator` for what it says.

    It is forked at once, and listened to when `listen` says who does.
    """

    def __init__(self, work: Callable[[socket.socket], None], stdio: Stdio | None) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            kept = {theirs.fileno(), *(stdio.triple() if stdio is not None else ())}
            _work_and_exit(work, theirs, kept)
        theirs.close()
        self._reader = creator.messages()
        self.ended = False

    def listen(
        self,
        loop: Loop,
        children: Children,
        heard: Callable[[creator.Message, list[int]], None],
        ended: Callable[[], None],
    ) -> None:
        """Pass on what it says, with descriptors that are the callee's; then that it has ended."""
        self._loop = loop
        self._heard = heard
        self._on_end = ended
        self._pidfd = process.pidfd_open(self.pid)
        self._link.setblocking(False)
        loop.watch(self._link.fileno(), READABLE, self._on_readable)
        children.watch(self.pid, self._pidfd, self._reaped)

    def begin(self) -> None:
        """Tell it to start the container."""
        transport.Packet(creator.Begin()).send(self._link)

    def hang_up(self) -> None:
        """Tell it that its work is not wanted any more."""
        if self._link.fileno() >= 0:
            self._loop.forget(self._link.fileno())
            self._link.close()

    def _on_readable(self, _: int) -> None:
        """Pass on one message, or all that are left."""
        try:
            received = self._reader.receive(self._link)
        except BlockingIOError:
            return
        except OSError:
            received = None
        if received is None:
            self.hang_up()
        else:
            self._heard(*received)

    def _reaped(self, _: Exit) -> None:
        while self._link.fileno() >= 0:
            self._on_readable(READABLE)
        os.close(self._pidfd)
        self.ended = True
        self._on_end()


def _work_and_exit(
    work: Callable[[socket.socket], None], link: socket.socket, kept: Iterable[int]
) -> NoReturn:
    """Be the creator: nothing of the shim's clients and daemons stays open here."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        first = 3
        for descriptor in sorted(kept):
            if first < descriptor:
                process.close_range(first, descriptor - 1)
            first = descriptor + 1
        process.close_range(first)
        process.set_name(NAME)
        work(link)
    finally:
        os._exit(0)
