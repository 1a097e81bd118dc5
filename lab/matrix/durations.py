"""How long things took here before: what an estimate is made of."""

from __future__ import annotations

import fcntl
import heapq
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

from lab.files import write_whole
from lab.matrix.model import Job, Run
from lab.paths import CACHE

PREPARE = "(prepare)"
"""The name under which a cell's own preparation is kept, beside its scenarios."""


class Durations:
    """Seconds by driver and engine, cell and scenario, kept in a file of this machine's cache."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or CACHE / "durations.json"
        self._known = self._read()

    def _read(self) -> dict[str, dict[str, dict[str, float]]]:
        with suppress(OSError, ValueError):
            known: dict[str, dict[str, dict[str, float]]] = json.loads(self.path.read_text())
            return known
        return {}

    def of(self, lane: str, cell: str, what: str, default: float) -> float:
        """The seconds that `what` took, or takes elsewhere, or what its like takes."""
        cells = self._known.get(lane, {})
        if (own := cells.get(cell, {}).get(what)) is not None:
            return own
        elsewhere = [times[what] for times in cells.values() if what in times]
        if elsewhere:
            return median(elsewhere)
        if what == PREPARE:
            return default
        alike = [
            seconds
            for name in ([cell] if len(cells.get(cell, {})) > 1 else cells)
            for key, seconds in cells[name].items()
            if key != PREPARE
        ]
        return median(alike) if alike else default

    def learn(self, run: Run) -> None:
        """Keep what a run measured, beside what others learned meanwhile."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._known = self._read()
            self._merge(run)
            write_whole(self.path, json.dumps(self._known, indent=1, sort_keys=True) + "\n")

    def _merge(self, run: Run) -> None:
        cells = self._known.setdefault(lane_key(run.driver, run.engine), {})
        for result in run.results.values():
            if result.took:
                cells.setdefault(result.cell, {})[result.scenario] = round(result.took, 2)
        for machine in run.machines.values():
            if machine.took and not machine.problem:
                cells.setdefault(machine.cell, {})[PREPARE] = round(machine.took, 2)


def lane_key(driver: str, engine: str) -> str:
    """What durations are comparable within."""
    return f"{driver}/{engine}"


def estimate(
    durations: Durations,
    lane: str,
    jobs: Sequence[Job],
    typical: tuple[float, float],
    at_once: int,
    ready: Iterable[str] = (),
) -> float:
    """The seconds that the jobs will take on so many machines at once.

    `ready` are the cells that need no preparation any more.
    """
    prepared = set(ready)
    free = [0.0] * max(1, at_once)
    usable: dict[str, float] = {}
    for job in jobs:
        name = job.cell.name
        if name not in prepared and name not in usable:
            start = heapq.heappop(free)
            usable[name] = start + durations.of(lane, name, PREPARE, typical[0])
            heapq.heappush(free, usable[name])
        start = max(heapq.heappop(free), usable.get(name, 0.0))
        heapq.heappush(free, start + durations.of(lane, name, job.scenario, typical[1]))
    return max(free)


def per_cell(
    durations: Durations, lane: str, jobs: Iterable[Job], typical: tuple[float, float]
) -> Mapping[str, float]:
    """The seconds of work in each cell, preparation included, one after the other."""
    seconds: dict[str, float] = {}
    for job in jobs:
        name = job.cell.name
        if name not in seconds:
            seconds[name] = durations.of(lane, name, PREPARE, typical[0])
        seconds[name] += durations.of(lane, name, job.scenario, typical[1])
    return seconds
