"""How much memory processes have to themselves, shared pages divided among those who share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


def pss(pids: Iterable[int]) -> float:
    """The proportional set size of processes together, in MiB (proc_pid_smaps(5))."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            match = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
            total += int(match[1]) if match else 0
    return total / 1024


def parent(pid: int) -> int:
    """The parent of a process: a container's shim, when it is the container's PID 1."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


def children(pid: int) -> list[int]:
    """All descendants of a process."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *children(child)]
    return found
