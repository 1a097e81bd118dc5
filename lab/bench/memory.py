"""How much memory an engine's processes take, whatever else runs on the machine.

The kernel's own figure (Pss of smaps_rollup) divides a page by all who map it. A second dockerd on
the machine, of another installation with the same files, would halve what the first one's program
counts for. So pages are counted here by their frame numbers: a page is divided by those processes
of the *same* engine that map it. For an engine that is alone on the machine both are the same, but
for the pages of libraries that other programs use, too, which count in full. Both engines are
measured alike.
"""

from __future__ import annotations

import mmap
from array import array
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

_ENTRY = 8
_PRESENT = 1 << 63
_FRAME = (1 << 55) - 1
"""Of an entry of pagemap: the page is in memory, and where (kernel: admin-guide/mm/pagemap)."""


def taken(pids: Collection[int], among: Collection[int]) -> float:
    """The memory of some processes of an engine in MiB, shared pages divided among its processes.

    *among* are all the engine's processes. Needs root, to whom alone frame numbers are shown.
    """
    frames = {pid: _frames(pid) for pid in {*pids, *among}}
    sharing = Counter(frame for pages in frames.values() for frame in pages)
    pages = sum(1 / sharing[frame] for pid in set(pids) for frame in frames[pid])
    return pages * mmap.PAGESIZE / (1 << 20)


def _frames(pid: int) -> set[int]:
    """The page frames that a process maps; none for one that has ended."""
    found: set[int] = set()
    with suppress(OSError), open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            if line.endswith("[vsyscall]"):  # the kernel's, and out of pagemap's range
                continue
            begin, end = (int(word, 16) for word in line.split()[0].split("-"))
            pagemap.seek(begin // mmap.PAGESIZE * _ENTRY)
            entries = array("Q", pagemap.read((end - begin) // mmap.PAGESIZE * _ENTRY))
            found.update(entry & _FRAME for entry in entries if entry & _PRESENT)
    return found


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
