"""The shim's child processes: those it waits for, by pidfd, and orphans that come to it."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from lading.kernel.errors import KernelError
from lading.kernel.process import Exit, wait_pidfd
from lading.shim.loop import READABLE

if TYPE_CHECKING:
    from lading.shim.loop import Loop


class Children:
    """Reaps: whoever is watched calls back with its end, everybody else is just let go.

    Processes of a container that shares another's pid namespace, or the host's, become children
    of the shim (its nearest subreaper) when their parent ends.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._watched: set[int] = set()
        self._holds = 0
        self._not_ours_yet: list[Callable[[int], None]] = []
        self._alarm, self._trigger = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        loop.watch(self._alarm, READABLE, self._on_alarm)
        signal.set_wakeup_fd(self._trigger, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _ignore)

    def hold(self) -> None:
        """Keep orphans until `release`: one of the children to come is not known yet."""
        self._holds += 1

    def release(self) -> None:
        """Reap orphans again, when all that has been held for is known."""
        self._holds -= 1
        self._reap_orphans()

    def expect(self, pid: int) -> None:
        """Keep `pid` for a later `watch`, if it ends before."""
        self._watched.add(pid)

    def abandon(self, pid: int) -> None:
        """Let a child go that was expected."""
        self._watched.discard(pid)
        self._reap_orphans()

    def watch(self, pid: int, pidfd: int, ended: Callable[[Exit], None]) -> None:
        """Reap `pid` when it ends, and call `ended`; the pidfd stays the caller's.

        It may be a grandchild: it is reaped, then, when its parent has ended and it is ours.
        """

        def reap(_: int) -> None:
            self._loop.forget(pidfd)
            try:
                outcome = wait_pidfd(pidfd, block=False)
            except KernelError as error:
                if error.errno != errno.ECHILD:
                    raise
                self._not_ours_yet.append(reap)
                return
            if outcome is None:
                self._loop.watch(pidfd, READABLE, reap)
                return
            self._watched.discard(pid)
            ended(outcome)
            self._reap_orphans()

        self._watched.add(pid)
        self._loop.watch(pidfd, READABLE, reap)

    def _on_alarm(self, _: int) -> None:
        with suppress(BlockingIOError):
            while os.read(self._alarm, 512):
                pass
        self._reap_orphans()

    def _reap_orphans(self) -> None:
        """Reap zombies up to a watched one, which hides the rest until it has been reaped."""
        waiting, self._not_ours_yet = self._not_ours_yet, []
        for reap in waiting:
            reap(READABLE)
        if self._holds:
            return
        with suppress(ChildProcessError):
            while zombie := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if zombie.si_pid in self._watched:
                    return
                os.waitid(os.P_PID, zombie.si_pid, os.WEXITED | os.WNOHANG)


def _ignore(*_: object) -> None:
    """Take a signal; unlike SIG_IGN this is not handed on to a program that is executed."""
