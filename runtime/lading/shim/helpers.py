"""Forking a creator, and listening to it."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from lading.kernel import process
from lading.shim import creator, transport, warmup
from lading.shim.loop import READABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading.kernel.process import Exit
    from lading.oci.container import Stdio
    from lading.shim.children import Children
    from lading.shim.loop import Loop

NAME = "lading-creator"


class Helper:
    """A creator, forked at once; it waits for `assign`. See `lading.shim.creator`.

    `kept` is a descriptor that stays open in it until it ends; `early` tells that there is time
    to make ready.
    """

    def __init__(self, *, kept: int | None = None, early: bool = False) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            _work_and_exit(theirs, kept, early=early)
        theirs.close()
        self._reader = creator.messages()
        self.ended = False

    def assign(self, job: creator.Create | creator.Execute, stdio: Stdio | None) -> None:
        """Give it its job, and the process's streams, which can be closed then."""
        transport.Packet(job, stdio.triple() if stdio is not None else ()).send(self._link)

    def listen(
        self,
        loop: Loop,
        children: Children,
        heard: Callable[[creator.Message, list[int]], None],
        ended: Callable[[], None],
    ) -> None:
        """Pass on what it says, with descriptors that are the callee's; then that it has ended.

        No orphan is reaped before it has told of its process, which may have ended by then.
        """
        self._children = children
        self._holding = True
        children.hold()
        self._loop = loop
        self._heard = heard
        self._on_end = ended
        self._pidfd = process.pidfd_open(self.pid)
        self._link.setblocking(False)
        loop.watch(self._link.fileno(), READABLE, self._on_readable)
        children.watch(self.pid, self._pidfd, self._reaped)

    def begin(self) -> None:
        """Tell it to start the container."""
        with suppress(BrokenPipeError, ConnectionResetError):  # its end tells the rest
            transport.Packet(creator.Begin()).send(self._link)

    def hang_up(self) -> None:
        """Tell it that its work is not wanted any more."""
        if self._link.fileno() >= 0:
            self._loop.forget(self._link.fileno())
            self._link.close()

    def _on_readable(self, _: int) -> None:
        """Pass on one message."""
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
            self._release()

    def _release(self) -> None:
        if self._holding:
            self._holding = False
            self._children.release()

    def _reaped(self, _: Exit) -> None:
        while self._link.fileno() >= 0:
            self._on_readable(READABLE)
        self._release()
        os.close(self._pidfd)
        self.ended = True
        self._on_end()


def _work_and_exit(link: socket.socket, kept: int | None, *, early: bool) -> NoReturn:
    """Be the creator: nothing of the shim's clients and daemons stays open here."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        first = 3
        for descriptor in sorted({link.fileno(), link.fileno() if kept is None else kept}):
            if first < descriptor:
                process.close_range(first, descriptor - 1)
            first = descriptor + 1
        process.close_range(first)
        process.set_name(NAME)
        if early:
            warmup.rehearse()
        creator.serve(link)
    finally:
        os._exit(0)
