"""An engine's cgroups as the host sees them: whose processes are in them, and their removal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lab.shell import LabError, end, wait_until

_ROOT = Path("/sys/fs/cgroup")


def places(name: str) -> list[Path]:
    """The directories of the cgroup `name`, one in each hierarchy that has it."""
    tops = [_ROOT, *(path for path in _ROOT.iterdir() if path.is_dir())]
    return [top / name for top in tops if (top / name).is_dir()]


def processes(name: str) -> set[int]:
    """The pids in the cgroup `name` and below it."""
    found: set[int] = set()
    for place in places(name):
        for directory, _children, _files in os.walk(place):
            with suppress(OSError):
                found.update(map(int, (Path(directory) / "cgroup.procs").read_text().split()))
    return found


def remove(name: str) -> None:
    """End all that is in the cgroup `name` and remove it from every hierarchy.

    Raises LabError: it does not get empty.
    """
    for pid in processes(name):
        end(pid, 0)
    with suppress(LabError):
        wait_until(lambda: _removed(name), 10, f"the end of the cgroup {name}")
        return
    raise LabError(f"the cgroup {name} still holds the processes {sorted(processes(name))}")


def _removed(name: str) -> bool:
    for directory in _deepest_first(name):
        with suppress(OSError):
            directory.rmdir()
    return not places(name)


def _deepest_first(name: str) -> Iterator[Path]:
    for place in places(name):
        for directory, _children, _files in os.walk(place, topdown=False):
            yield Path(directory)
