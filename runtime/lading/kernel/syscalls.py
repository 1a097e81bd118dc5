"""libc and the numbers of the system calls that libc does not wrap.

Numbers from 424 on are the same on every architecture; the older ones come from two tables: that
of x86_64, and the generic one which arm64, riscv64 and loongarch64 share (asm-generic/unistd.h).
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any, NoReturn

from lading.kernel.errors import KernelError

libc = ctypes.CDLL(None, use_errno=True)
"""libc, giving up the interpreter lock during a call."""

_held = ctypes.PyDLL(None, use_errno=True)
"""libc, keeping the interpreter lock: for clone, whose child must own it when it comes back."""

MACHINE = os.uname().machine

_OLDER = {
    "x86_64": {
        "clone": 56,
        "capget": 125,
        "capset": 126,
        "pivot_root": 155,
        "keyctl": 250,
        "ioprio_set": 251,
        "sched_setattr": 314,
        "seccomp": 317,
        "bpf": 321,
    },
    "generic": {
        "clone": 220,
        "capget": 90,
        "capset": 91,
        "pivot_root": 41,
        "keyctl": 219,
        "ioprio_set": 30,
        "sched_setattr": 274,
        "seccomp": 277,
        "bpf": 280,
    },
}

NUMBERS: dict[str, int] = {
    **_OLDER["x86_64" if MACHINE == "x86_64" else "generic"],
    "pidfd_send_signal": 424,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
}
"""The number of each system call made by `raw`, on this machine's architecture."""

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
AT_SYMLINK_NOFOLLOW = 0x100


def raw(name: str, *arguments: Any) -> int:
    """Make the system call *name* by syscall(2); -1 means failure, with `ctypes.get_errno()`.

    Integers are passed as longs; bytes, None and ctypes values as ctypes passes them.
    """
    return _invoke(libc.syscall, name, arguments)


def raw_holding_lock(name: str, *arguments: Any) -> int:
    """As `raw`, without giving up the interpreter lock."""
    return _invoke(_held.syscall, name, arguments)


def check(result: int, call: str, target: object = "") -> int:
    """Give *result* back, or raise `KernelError` from errno when it is -1."""
    if result == -1:
        fail(call, target)
    return result


def fail(call: str, target: object = "") -> NoReturn:
    """Raise `KernelError` from the errno that the last ctypes call left."""
    raise KernelError(ctypes.get_errno() or errno.EIO, call, target)


def path_bytes(path: str | bytes | os.PathLike[str] | None) -> bytes | None:
    """Encode *path* for the kernel; a NUL inside it is refused with EINVAL, not cut off."""
    if path is None:
        return None
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise KernelError(errno.EINVAL, "use the path", encoded)
    return encoded


def _invoke(syscall: Any, name: str, arguments: tuple[Any, ...]) -> int:
    longs = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return int(syscall(ctypes.c_long(NUMBERS[name]), *longs))


libc.syscall.restype = ctypes.c_long
_held.syscall.restype = ctypes.c_long
