"""How the kernel schedules the calling process: CPU (sched_setattr(2)) and I/O (ioprio_set(2))."""

from __future__ import annotations

import ctypes
import errno

from lading.kernel.errors import KernelError
from lading.kernel.syscalls import check, raw

POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
"""Scheduling policies by OCI's name."""

FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
"""Flags of sched_setattr(2) by OCI's name."""

IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
"""I/O scheduling classes by OCI's name."""

_IOPRIO_WHO_PROCESS = 1
_CLASS_SHIFT = 13


class _Attributes(ctypes.Structure):
    """struct sched_attr of sched_setattr(2), in its first version (48 bytes)."""

    _fields_ = [
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    ]


def set_scheduler(
    policy: str,
    *,
    flags: tuple[str, ...] = (),
    nice: int = 0,
    priority: int = 0,
    runtime: int = 0,
    deadline: int = 0,
    period: int = 0,
) -> None:
    """Set the policy by name, and what goes with it; times in nanoseconds.

    Raises KernelError EINVAL for an unknown name or what the policy does not allow.
    """
    word = 0
    for flag in flags:
        word |= _known(FLAGS, flag, "scheduler flag")
    number = _known(POLICIES, policy, "scheduler policy")
    attributes = _Attributes(0, number, word, nice, priority, runtime, deadline, period)
    attributes.size = ctypes.sizeof(attributes)
    check(raw("sched_setattr", 0, ctypes.byref(attributes), 0), "set scheduler", policy)


def set_io_priority(io_class: str, level: int) -> None:
    """Set the I/O class by name and the level in it (0 is the first, 7 the last)."""
    word = _known(IO_CLASSES, io_class, "I/O priority class") << _CLASS_SHIFT | level
    result = raw("ioprio_set", _IOPRIO_WHO_PROCESS, 0, word)
    check(result, "set I/O priority", f"{io_class}:{level}")


def _known(table: dict[str, int], name: str, what: str) -> int:
    if name not in table:
        raise KernelError(errno.EINVAL, f"use the {what}", name)
    return table[name]
