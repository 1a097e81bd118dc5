"""Which scenarios run in which cells, how many machines at once, and how long that takes."""

from __future__ import annotations

import hashlib
import os
import subprocess
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import zip_longest
from pathlib import Path

from lab.cells import Cell
from lab.matrix import smoke
from lab.matrix.durations import Durations, estimate, lane_key, per_cell
from lab.matrix.lanes import Lane
from lab.matrix.model import Job
from lab.paths import PROJECT, program
from lab.shell import LabError

_PER_CORE = 2
_SHARE = 0.8
_SOURCES = ("runtime/lading", "scenarios", "lab/cells.toml")


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is to run: `jobs`, and of them those that are already `done`."""

    lane: str
    engine: str
    cells: Sequence[Cell]
    scenarios: Sequence[str]
    code: str

    @property
    def jobs(self) -> list[Job]:
        """Cell by cell, so that few cells are in memory at a time."""
        return [Job(cell, scenario) for cell in self.cells for scenario in self.scenarios]

    @property
    def key(self) -> dict[str, object]:
        """What must be the same for an interrupted run to be gone on with."""
        return {
            "driver": self.lane,
            "engine": self.engine,
            "cells": [cell.facts() for cell in self.cells],
            "scenarios": list(self.scenarios),
            "code": self.code,
        }


def collect(project: Path = PROJECT) -> list[str]:
    """The names of all scenarios, in order. Raises LabError: they can not be collected."""
    words = [program("pytest"), "scenarios", "--collect-only", "-o", "addopts=", "-q"]
    words += ["-p", "no:randomly", "-p", "no:cacheprovider"]
    done = subprocess.run(words, cwd=project, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"the scenarios can not be collected: {done.stdout.strip()[-300:]}")
    nodes = [line for line in done.stdout.splitlines() if "::" in line]
    return list(dict.fromkeys(node.partition("[")[0].removeprefix("scenarios/") for node in nodes))


def select(scenarios: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """Those that a pattern, a folder, a file or a function's name means; all for none.

    `smoke` means those of `lab.matrix.smoke`. Raises LabError: one of `wanted` means no scenario.
    """
    chosen: list[str] = []
    patterns = [one.removeprefix("scenarios/") for one in wanted if one]
    if smoke.NAME in patterns:
        patterns = [*(one for one in patterns if one != smoke.NAME), *smoke.SCENARIOS]
    for pattern in patterns:
        found = [name for name in scenarios if _means(pattern, name)]
        if not found:
            raise LabError(f"no scenario is meant by {pattern}: `invoke lab.list` has them all")
        chosen += found
    return [name for name in scenarios if name in set(chosen)] if patterns else list(scenarios)


def shard(scenarios: Sequence[str], which: str) -> list[str]:
    """One of so many parts, `2/3` the second of three; all for "". Raises LabError."""
    if not which:
        return list(scenarios)
    number, _, parts = which.partition("/")
    if not (number.isdigit() and parts.isdigit() and 1 <= int(number) <= int(parts)):
        raise LabError(f"--shard {which}: it is a part and how many there are, such as 2/3")
    return list(scenarios[int(number) - 1 :: int(parts)])


def within(
    seconds: float,
    lane: Lane,
    engine: str,
    cells: Sequence[Cell],
    scenarios: Sequence[str],
    machines: int,
) -> list[str]:
    """As many scenarios as fit in the time by the estimate, from each folder in turn, or else one.

    An estimate may be of a busier day; when the time is over nothing more starts.
    """
    folders: dict[str, list[str]] = {}
    for name in scenarios:
        folders.setdefault(name.partition("/")[0], []).append(name)
    turns = [name for turn in zip_longest(*folders.values()) for name in turn if name]
    durations, key = Durations(), lane_key(lane.name, engine)

    def takes(count: int) -> float:
        jobs = [Job(cell, name) for cell in cells for name in turns[:count]]
        return estimate(durations, key, jobs, lane.typical, machines)

    count = max(1, bisect_right(range(1, len(turns) + 1), seconds, key=takes))
    chosen = set(turns[:count])
    if count < len(turns):
        print(
            f"{count} of {len(turns)} scenarios fit in {clock(seconds)}; the others are left out."
        )
    return [name for name in scenarios if name in chosen]


def at_once(lane: Lane, asked: int = 0) -> int:
    """How many machines may run: at most two for each core, in four fifths of the free memory.

    Raises LabError: not even one machine fits.
    """
    room = int(_available() * _SHARE / lane.memory)
    if room < 1:
        need = lane.memory >> 20
        raise LabError(f"a machine takes {need} MiB, and {_available() >> 20} MiB are free here")
    limits = [room, _PER_CORE * len(os.sched_getaffinity(0)), *(n for n in (lane.most, asked) if n)]
    return min(limits)


def code_digest(project: Path = PROJECT) -> str:
    """Names the runtime, the scenarios and the cells as they are, in sixteen digits."""
    digest = hashlib.sha256()
    for source in _SOURCES:
        top = project / source
        files = [top] if top.is_file() else sorted(top.rglob("*.py"))
        for path in files:
            digest.update(str(path.relative_to(project)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def describe(
    plan: Plan, lane: Lane, durations: Durations, todo: Sequence[Job], machines: int
) -> tuple[list[str], float]:
    """What a person should know before it starts, and the estimate in seconds."""
    key = lane_key(lane.name, plan.engine)
    seconds = estimate(durations, key, todo, lane.typical, machines)
    return list(_lines(plan, lane, durations, todo, machines, seconds)), seconds


def _lines(
    plan: Plan,
    lane: Lane,
    durations: Durations,
    todo: Sequence[Job],
    machines: int,
    seconds: float,
) -> Iterator[str]:
    work = per_cell(durations, lane_key(lane.name, plan.engine), todo, lane.typical)
    width = max(len(cell.name) for cell in plan.cells)
    for cell in plan.cells:
        count = sum(job.cell == cell for job in todo)
        yield (
            f"  {cell.name:<{width}}  {count:4} scenarios  {clock(work.get(cell.name, 0)):>7}  "
            + (cell.describe())
        )
    done = len(plan.jobs) - len(todo)
    before = f" ({done} done before)" if done else ""
    yield (
        f"{len(todo)} scenarios{before} on {plan.engine}, {machines} {lane.name} "
        f"machine{'s' if machines > 1 else ''} at once: about {clock(seconds)}"
    )


def clock(seconds: float) -> str:
    """Seconds as people read them: `12 s`, `4:05 min`, `1:10 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"


def _means(pattern: str, name: str) -> bool:
    return (
        name == pattern
        or name.startswith((f"{pattern.rstrip('/')}/", f"{pattern}::"))
        or name.partition("::")[2] == pattern
        or fnmatchcase(name, pattern)
    )


def _available() -> int:
    """The memory that can be had without swapping, in bytes."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    raise LabError("/proc/meminfo does not say how much memory is available")
