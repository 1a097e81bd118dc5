"""Limits as files: what `apply` writes where, and what it says when the host lacks the file."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.kernel.cgroups import files
from lading.kernel.errors import KernelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


_ENOTSUPP = 524  # the kernel's own number, which memory.kmem.limit_in_bytes lets out


@dataclass(frozen=True, slots=True)
class Setting:
    """One value for one file of one controller; `without` is the warning when it cannot be set."""

    controller: str
    file: str
    value: str
    without: str


def lacking(what: str, discarded: str) -> str:
    """Build Docker's warning for a limit that is not supported."""
    return (
        f"Your kernel does not support {what} or the cgroup is not mounted. {discarded} discarded."
    )


MEMORY = lacking("memory limit capabilities", "Limitation")
SWAP = (
    "Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
    "Memory limited without swap."
)
RESERVATION = lacking("memory soft limit capabilities", "Limitation")
SWAPPINESS = lacking("memory swappiness capabilities", "Memory swappiness")
KERNEL_MEMORY = lacking("kernel memory limit capabilities", "Limitation")
OOM_KILL_DISABLE = "Your kernel does not support OomKillDisable. OomKillDisable discarded."
PIDS = lacking("PIDs limit capabilities", "PIDs limit")
SHARES = lacking("CPU shares", "Shares")
QUOTA = lacking("CPU CFS quota", "Quota")
PERIOD = lacking("CPU CFS period", "Period")
BURST = lacking("CPU CFS burst", "Burst")
REALTIME = lacking("CPU real-time scheduler", "Real-time limit")
IDLE = lacking("idle CPU groups", "Idle")
CPUSET = lacking("cpuset", "Cpuset")
WEIGHT = lacking("Block I/O weight", "Weight")
WEIGHT_DEVICE = lacking("Block I/O weight_device", "Weight-device")
HUGETLB = lacking("huge page limits", "Huge page limit")
DEVICES = lacking("device rules", "Device rules")


def throttle(kind: str, direction: str) -> str:
    """Build the warning for a missing rate limit: *kind* "BPS" or "IOPS", "read" or "write"."""
    return lacking(f"{kind} Block I/O {direction} limit", f"Block I/O {kind} {direction} limit")


def write_all(settings: Iterable[Setting], directories: Mapping[str, str]) -> list[str]:
    """Write *settings* into the cgroup's *directories* (by controller); give the warnings.

    Some limits bound each other (memory and memory + swap, quota and period), so the order that
    works depends on the values in force: what the kernel calls invalid is tried again after the
    others. Raises KernelError for a value that stays refused.
    """
    warnings: list[str] = []
    again: list[tuple[str, Setting]] = []
    for setting in settings:
        directory = directories.get(setting.controller)
        if directory is None:
            warnings.append(setting.without)
            continue
        try:
            written = files.write_if_there(directory, setting.file, setting.value)
        except KernelError as error:
            if error.errno in (errno.EOPNOTSUPP, _ENOTSUPP):
                written = False
            elif error.errno == errno.EINVAL:
                again.append((directory, setting))
                continue
            else:
                raise
        if not written:
            warnings.append(setting.without)
    for directory, setting in again:
        files.write(directory, setting.file, setting.value)
    return list(dict.fromkeys(warnings))
