"""The shim's event loop: epoll(7), one callback a descriptor, and timers.

asyncio would double the shim's memory.
"""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections.abc import Callable
from contextlib import suppress

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT
HUNG_UP = select.EPOLLHUP | select.EPOLLERR
"""Always reported, asked for or not."""

Callback = Callable[[int], None]
"""Gets the events that have happened."""


class Loop:
    """Calls back when descriptors become ready and when timers run out.

    An error that a callback lets escape is a bug; it costs the descriptor, not the loop, and
    `on_error` hears of it.
    """

    def __init__(self) -> None:
        self.on_error: Callable[[Exception], None] = lambda _: None
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self._events: dict[int, int] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._running = True

    def watch(self, descriptor: int, events: int, callback: Callback) -> None:
        """Call back when one of `events` happens, or the other end hangs up; change that later."""
        if descriptor not in self._callbacks:
            self._epoll.register(descriptor, events)
        elif self._events[descriptor] != events:
            self._epoll.modify(descriptor, events)
        self._callbacks[descriptor] = callback
        self._events[descriptor] = events

    def forget(self, descriptor: int) -> None:
        """Stop watching; to be done before the descriptor is closed. Twice is fine."""
        if self._callbacks.pop(descriptor, None) is not None:
            del self._events[descriptor]
            with suppress(OSError):
                self._epoll.unregister(descriptor)

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call back once, after `seconds`."""
        entry = (time.monotonic() + seconds, next(self._numbers), callback)
        heapq.heappush(self._timers, entry)

    def run(self) -> None:
        """Serve until `stop` is called."""
        while self._running:
            for descriptor, events in self._epoll.poll(self._timeout()):
                callback = self._callbacks.get(descriptor)
                if callback is None:  # an earlier callback of this round has forgotten it
                    continue
                try:
                    callback(events)
                except Exception as error:  # noqa: BLE001  # the other descriptors go on
                    self.forget(descriptor)
                    self.on_error(error)
            self._fire_timers()

    def stop(self) -> None:
        """Let `run` return after this round."""
        self._running = False

    def _timeout(self) -> float | None:
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - time.monotonic())

    def _fire_timers(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()
