"""Machines that are not there: a lane whose scenarios end as a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from lab.cells import Cell
from lab.matrix.lanes import result_of
from lab.matrix.model import Machine, Result
from lab.shell import LabError

Ending = Callable[[str, str], Mapping[str, Any]]


def passed(_cell: str, scenario: str) -> Mapping[str, Any]:
    return {"outcome": "passed", "duration": 1.5, "complaint": "", "observations": {"it": scenario}}


class FakeLane:
    """Counts what runs at the same time; `ending` says how each scenario ends, or raises."""

    name = "fake"
    memory = 1
    typical = (10.0, 2.0)
    most = 0

    def __init__(self, ending: Ending = passed, broken: Mapping[str, str] | None = None) -> None:
        self.ending, self.broken = ending, broken or {}
        self.ran: list[tuple[str, str]] = []
        self.released: list[str] = []
        self.closed = 0
        self.running = self.peak = 0
        self._lock = threading.Lock()

    def missing(self, cell: Cell) -> str:
        return self.broken.get(cell.name, "")

    def prepare(self, cell: Cell, _engine: str) -> Machine:
        if cell.name in self.broken:
            raise LabError(self.broken[cell.name])
        return Machine(cell.name, how="pretended")

    def run(self, cell: Cell, scenario: str, engine: str) -> tuple[Result, Mapping[str, Any]]:
        with self._lock:
            self.running += 1
            self.peak = max(self.peak, self.running)
            self.ran.append((cell.name, scenario))
        try:
            document = {
                "engine": engine,
                "version": "1.0",
                "kernel": "6.1.9-x",
                "cgroups": cell.cgroups,
                "image": "sha256:" + "ab" * 32,
                "scenarios": {scenario: self.ending(cell.name, scenario)},
            }
            return result_of(cell.name, scenario, document), document
        finally:
            with self._lock:
                self.running -= 1

    def release(self, cell: Cell) -> None:
        self.released.append(cell.name)

    def close(self) -> None:
        self.closed += 1
