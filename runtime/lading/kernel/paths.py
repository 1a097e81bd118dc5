"""Path lookup that cannot be led astray: openat2(2)."""

from __future__ import annotations

import ctypes
import os
from enum import IntFlag

from lading.kernel.syscalls import check, path_bytes, raw


class Resolve(IntFlag):
    """How openat2(2) resolves a path."""

    NO_XDEV = 0x01
    NO_MAGICLINKS = 0x02
    NO_SYMLINKS = 0x04
    BENEATH = 0x08
    IN_ROOT = 0x10


class _OpenHow(ctypes.Structure):
    """struct open_how of linux/openat2.h."""

    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def openat2(
    directory: int,
    path: str | os.PathLike[str],
    flags: int,
    *,
    resolve: Resolve | int = 0,
    mode: int = 0,
) -> int:
    """Open *path* from the directory descriptor *directory* on, close-on-exec (Linux 5.6).

    With `Resolve.IN_ROOT` absolute paths, "..", and symbolic links all stay below *directory*.
    Raises KernelError: ENOSYS on older kernels, EPERM under seccomp filters that are older.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, int(resolve))
    size = ctypes.sizeof(how)
    result = raw("openat2", directory, path_bytes(path), ctypes.byref(how), size)
    return check(result, "open", path)
