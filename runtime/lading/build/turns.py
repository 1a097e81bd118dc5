"""What stages that run side by side say, told as if they ran one after the other."""

from __future__ import annotations

from typing import Any

from lading.build.contracts import Report


class Turns:
    """Passes on what the stage whose turn it is says, and keeps what the later ones say."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._turn = -1
        self._kept: dict[int, list[dict[str, Any]]] = {}

    def report(self, number: int) -> Report:
        """Give what the stage at this place in the order reports to."""
        kept = self._kept[number] = []

        def take(item: dict[str, Any]) -> None:
            if number <= self._turn:
                self._report(item)
            else:
                kept.append(item)

        return take

    def begin(self, number: int) -> None:
        """Let a stage speak: what was kept comes first."""
        self._turn = number
        for item in self._kept.pop(number):
            self._report(item)
