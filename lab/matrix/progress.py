"""The matrix while it runs: a bar for each cell where there is a terminal, or else lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from lab.cells import Cell
from lab.matrix.model import NOT_RUN, PASSED, SKIPPED, Job, Machine, Result
from lab.matrix.plan import clock

_EVERY = 30.0


class Show(Protocol):
    """Hears what starts and what ends."""

    def begin(self, cell: str, scenario: str) -> None:
        """A scenario starts, or the cell's preparation where it is ""."""
        ...

    def tell(self, entry: Machine | Result) -> None:
        """A machine is known, or a scenario has ended."""
        ...


@contextmanager
def shown(cells: Sequence[Cell], jobs: Sequence[Job], estimate: float) -> Iterator[Show]:
    """The way to show progress that fits where the output goes."""
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        yield _Lines(console, len(jobs), estimate)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[doing]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress, cells, jobs, estimate)


class _Bars:
    def __init__(
        self, progress: Progress, cells: Sequence[Cell], jobs: Sequence[Job], estimate: float
    ) -> None:
        self._progress = progress
        self._whole = progress.add_task(
            "all", total=len(jobs), doing=f"about {clock(estimate)} in all"
        )
        self._bars: dict[str, TaskID] = {}
        self._bad: dict[str, int] = {}
        for cell in cells:
            total = sum(job.cell.name == cell.name for job in jobs)
            if total:
                self._bars[cell.name] = progress.add_task(cell.name, total=total, doing="")

    def begin(self, cell: str, scenario: str) -> None:
        """Say what the cell is at."""
        doing = scenario.partition("::")[2] if scenario else "is made ready"
        self._progress.update(self._bars[cell], doing=doing)

    def tell(self, entry: Machine | Result) -> None:
        """Count it; failures are listed above the bars."""
        if isinstance(entry, Machine):
            if entry.problem:
                self._progress.console.print(f"! {entry.cell}: {entry.problem}", markup=False)
            return
        if entry.outcome not in (PASSED, SKIPPED, NOT_RUN):
            self._progress.console.print(_line(entry), markup=False)
        for bar in (self._whole, self._bars[entry.cell]):
            self._progress.advance(bar)


class _Lines:
    def __init__(self, console: Console, total: int, estimate: float) -> None:
        self._console, self._total, self._estimate = console, total, estimate
        self._done = 0
        self._started = self._last = time.monotonic()

    def begin(self, cell: str, scenario: str) -> None:
        """Say that a cell is made ready; single scenarios are too many to be told."""
        if not scenario:
            self._print(f"{cell}: is made ready")

    def tell(self, entry: Machine | Result) -> None:
        """Tell what went wrong at once, and how far it is now and then."""
        if isinstance(entry, Machine):
            if entry.problem:
                self._print(f"! {entry.cell}: {entry.problem}")
            elif not entry.version:
                self._print(f"{entry.cell}: ready after {clock(entry.took)} ({entry.how})")
            return
        self._done += 1
        if entry.outcome not in (PASSED, SKIPPED, NOT_RUN):
            self._print(_line(entry))
        now = time.monotonic()
        if now - self._last > _EVERY or self._done == self._total:
            self._last = now
            spent = clock(now - self._started)
            self._print(f"{self._done} of {self._total} after {spent} of {clock(self._estimate)}")

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def _line(result: Result) -> str:
    reason = result.complaint.strip().splitlines()
    last = f": {reason[-1][:200]}" if reason else ""
    return f"{result.outcome}: {result.cell} {result.scenario}{last}"
