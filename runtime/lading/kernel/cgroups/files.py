"""Reading and writing the files of a cgroup."""

from __future__ import annotations

import errno
import os

from lading.kernel.errors import Attempt, KernelError
from lading.kernel.pseudofiles import write_value

UNLIMITED_V1 = 0x7FFFFFFFFFFFF000
"""What v1 shows as a limit that was never set: the largest number of whole 4096-byte pages."""


def write(directory: str, name: str, value: str) -> None:
    """Write *value* to a file of the cgroup. Raises KernelError."""
    write_value(f"{directory}/{name}", value)


def write_if_there(directory: str, name: str, value: str) -> bool:
    """Write as `write`; False when the kernel has no such file."""
    try:
        write(directory, name, value)
    except KernelError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    return True


def read(directory: str, name: str) -> str:
    """Read a file of the cgroup, without the final newline. Raises KernelError."""
    path = f"{directory}/{name}"
    with Attempt("read", path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts = []
            while part := os.read(descriptor, 65536):
                parts.append(part)
        finally:
            os.close(descriptor)
    return b"".join(parts).decode().rstrip("\n")


def read_if_there(directory: str, name: str) -> str | None:
    """Read as `read`; None when the kernel has no such file, or the cgroup is gone."""
    try:
        return read(directory, name)
    except KernelError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
            return None
        raise


def number(directory: str, name: str) -> int:
    """Read one number; 0 where there is no such file."""
    return int(read_if_there(directory, name) or 0)


def limit(directory: str, name: str) -> int | None:
    """Read a limit; None for "max", for v1's greatest number, and where there is no such file."""
    text = read_if_there(directory, name)
    if text is None or text == "max":
        return None
    value = int(text)
    return None if value >= UNLIMITED_V1 else value


def keyed(text: str | None) -> dict[str, int]:
    """Parse lines of "key number"."""
    found = {}
    for line in (text or "").splitlines():
        key, _, value = line.partition(" ")
        if value.isdigit():
            found[key] = int(value)
    return found


def process_ids(directory: str, *, recursive: bool = False) -> set[int]:
    """Give the processes in a cgroup, and in those below; none when it is gone."""
    if not recursive:
        text = read_if_there(directory, "cgroup.procs") or ""
        return {int(line) for line in text.splitlines()}
    found: set[int] = set()
    for path, _, _ in os.walk(directory):
        found |= process_ids(path)
    return found


def in_unified(path: str) -> bool:
    """Tell whether the calling process is in the cgroup *path* of cgroup2 (cgroups(7))."""
    return f"0::{path}" in read("/proc/self", "cgroup").splitlines()
