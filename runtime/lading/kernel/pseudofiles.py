"""Files by which the kernel is told things: below /proc and in cgroup hierarchies."""

from __future__ import annotations

import os

from lading.kernel.errors import Attempt


def write_value(path: str, value: str) -> None:
    """Write *value* in one call, as the kernel wants it. Raises KernelError."""
    with Attempt(f"write {value} to", path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
