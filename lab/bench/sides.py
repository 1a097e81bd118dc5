"""Two engines beside each other: brought up together, measured in turns, told as a table.

Both have their turns one after the other in one run, so that a noisy moment hits both; what
counts is the ratio of the medians.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import images
from lab.dockercli import any_words
from lab.engine import Engine
from lab.lading import Lading
from lab.paths import RESULTS
from lab.reference import Reference
from lab.slots import claim


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: medians in milliseconds or MiB, and Lading's as a part of Docker's."""

    name: str
    unit: str
    lading: float
    docker: float
    ratio: float
    target: float

    @property
    def reached(self) -> bool:
        """Whether the target was reached."""
        return self.ratio <= self.target


def row(name: str, unit: str, medians: Sequence[float], target: float) -> Row:
    """A row of Lading's and Docker's medians, in this order."""
    ours, theirs = medians
    return Row(name, unit, ours, theirs, ours / theirs, target)


@contextmanager
def both() -> Iterator[tuple[Lading, Reference]]:
    """Lading and Docker, up and with busybox; both are gone at the end.

    Benches at the same time have engines of their own.
    """
    name = claim("bench")
    lading, docker = Lading(name), Reference(name=name)
    try:
        for engine in (lading, docker):
            # What a run that was killed left under this name is nobody's.
            engine.down()
        for engine in (lading, docker):
            engine.up()
            load(engine, images.busybox())
        yield lading, docker
    finally:
        lading.down()
        docker.down()


def client(engine: Engine) -> list[str]:
    """The words of the `docker` command line, bound to the engine."""
    return [*any_words(), "--host", f"unix://{engine.socket}"]


def load(engine: Engine, archive: Path) -> None:
    """Bring an image into the engine."""
    words = [*client(engine), "load", "--quiet", "--input", str(archive)]
    subprocess.run(words, check=True, capture_output=True)


def daemons() -> list[int]:
    """The daemons of both engines that run on this host."""
    found: list[int] = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            if any(word.rpartition(b"/")[2] in (b"dockerd", b"ladingd") for word in words[:2]):
                found.append(int(name))
    return found


def in_turns(
    rounds: int,
    one: Callable[[], object],
    other: Callable[[], object],
    warm: int = 2,
    before: tuple[Callable[[], object], Callable[[], object]] | None = None,
) -> list[float]:
    """The medians of two things in milliseconds, done in turns, `warm` times before it counts.

    `before` is done before each time, without counting.
    """
    actions = (one, other)
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(-warm, rounds):
        for at, action in enumerate(actions):
            if before is not None:
                before[at]()
            begun = time.perf_counter()
            action()
            if turn >= 0:
                taken[at].append((time.perf_counter() - begun) * 1000)
    return [statistics.median(times) for times in taken]


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The measurements as lines for people."""
    yield f"{'':<28} {'Lading':>9} {'Docker':>9} {'':<4} {'ratio':>6} {'target':>7}"
    for one in rows:
        mark = "✓" if one.reached else "✗"
        yield (
            f"{one.name:<28} {one.lading:>9.1f} {one.docker:>9.1f} {one.unit:<4} "
            f"{one.ratio:>6.3f} {one.target:>7.2f} {mark}"
        )


def report(name: str, rows: Sequence[Row], rounds: int, others: int) -> None:
    """Print the table, and save it as results/bench-NAME.json.

    `others` are the engines that ran here beside the two.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    document = {
        "kernel": os.uname().release,
        "rounds": rounds,
        "others": others,
        "cli": any_words()[-1],
        "rows": [asdict(one) for one in rows],
    }
    (RESULTS / f"bench-{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    for line in table(rows):
        print(line)
