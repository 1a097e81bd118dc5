"""Hearing of it when a container's memory runs out."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from lading.shim.loop import READABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading.kernel.cgroups import Cgroup
    from lading.shim.loop import Loop


class MemoryWatch:
    """Counts the processes that the kernel killed for lack of memory; `told` hears of more."""

    def __init__(self, loop: Loop, told: Callable[[], None]) -> None:
        self.kills = 0
        self._loop = loop
        self._told = told
        self._descriptor: int | None = None

    def watch(self, cgroup: Cgroup | None) -> None:
        """Begin to listen; what happened before counts as well."""
        if cgroup is None:
            return
        with suppress(OSError):
            self._descriptor = descriptor = cgroup.watch_oom()
            if descriptor is not None:
                self._loop.watch(descriptor, READABLE, lambda _: self._heard(descriptor, cgroup))
        self.count(cgroup)

    def _heard(self, descriptor: int, cgroup: Cgroup) -> None:
        with suppress(OSError):
            os.read(descriptor, 4096)
        self.count(cgroup)

    def count(self, cgroup: Cgroup | None) -> None:
        """Look how many there are by now."""
        if cgroup is None:
            return
        with suppress(OSError):
            kills = cgroup.oom_kill_count()
            if kills > self.kills:
                self.kills = kills
                self._told()

    def close(self) -> None:
        """Stop listening."""
        if self._descriptor is not None:
            self._loop.forget(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
