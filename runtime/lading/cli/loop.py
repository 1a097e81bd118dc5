"""Wait for several things at once: sockets, the keyboard, signals.

poll(2) and the signal wake-up descriptor, without the selectors and signal packages, whose imports
are not free.
"""

from __future__ import annotations

import os
from _signal import (  # type: ignore[import-not-found]  # typeshed has signal only
    SIG_DFL,
    SIGKILL,
    SIGSTOP,
    set_wakeup_fd,
    signal,
)
from select import POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, poll

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Handler = Callable[[], None]

READABLE = POLLIN | POLLHUP | POLLERR | POLLNVAL


class Loop:
    """Calls a handler when its descriptor can be read or written, or when a signal came."""

    def __init__(self) -> None:
        self._poll = poll()
        self._readers: dict[int, Handler] = {}
        self._writers: dict[int, Handler] = {}
        self._on_signal: Callable[[int], None] | None = None
        self._restore: dict[int, object] = {}
        self._wake: tuple[int, int] | None = None

    def __enter__(self) -> Loop:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _register(self, fd: int) -> None:
        mask = (POLLIN if fd in self._readers else 0) | (POLLOUT if fd in self._writers else 0)
        if mask:
            self._poll.register(fd, mask)
        else:
            try:
                self._poll.unregister(fd)
            except KeyError:
                return

    def reader(self, fd: int, handler: Handler | None) -> None:
        """Call the handler when there is something to read; None ends that."""
        if handler:
            self._readers[fd] = handler
        else:
            self._readers.pop(fd, None)
        self._register(fd)

    def writer(self, fd: int, handler: Handler | None) -> None:
        """Call the handler when there is room to write; None ends that."""
        if handler:
            self._writers[fd] = handler
        else:
            self._writers.pop(fd, None)
        self._register(fd)

    def signals(self, numbers: Iterable[int], handler: Callable[[int], None]) -> None:
        """Call the handler with the number of each of these signals that arrives."""
        self._on_signal = handler
        read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wake = (read_end, write_end)
        set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in numbers:
            if number in (SIGKILL, SIGSTOP):
                continue
            self._restore[number] = signal(number, _noticed)
        self.reader(read_end, self._read_signals)

    def _read_signals(self) -> None:
        assert self._wake
        assert self._on_signal
        for number in os.read(self._wake[0], 512):
            self._on_signal(number)

    def run(self, finished: Callable[[], bool]) -> None:
        """Serve handlers until `finished` says so; it is asked after each round."""
        while not finished():
            for fd, events in self._poll.poll():
                if events & READABLE and fd in self._readers:
                    self._readers[fd]()
                if events & (POLLOUT | POLLERR | POLLHUP) and fd in self._writers:
                    self._writers[fd]()

    def close(self) -> None:
        """Give signals their former meaning."""
        if self._wake is None:
            return
        set_wakeup_fd(-1)
        for number, before in self._restore.items():
            signal(number, SIG_DFL if before is None else before)
        for fd in self._wake:
            os.close(fd)
        self._wake = None


def _noticed(_number: int, _frame: object) -> None:
    """Let the wake-up descriptor tell the loop; there is nothing to do at once."""
