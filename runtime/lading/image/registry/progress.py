"""What a transfer tells while it runs, in the terms of Docker's progress stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Step:
    """A line of a pull or push: of one layer (`id`, twelve digits) or, without, of the whole.

    `current` and `total` are bytes, None where the step is no matter of bytes.
    """

    status: str
    id: str = ""
    current: int | None = None
    total: int | None = None


Report: TypeAlias = Callable[[Step], None]


class Throttle:
    """Passes on the byte counts of one layer, at most once for each hundredth of its size."""

    def __init__(self, report: Report, status: str, layer: str, total: int) -> None:
        self._report = report
        self._status = status
        self._layer = layer
        self._total = total
        self._next = 0

    def __call__(self, current: int) -> None:
        """Tell that `current` bytes are done, if that is worth a line."""
        if current >= self._next or current == self._total:
            self._next = current + max(self._total // 100, 1)
            self._report(Step(self._status, self._layer, current, self._total))
