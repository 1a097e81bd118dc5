"""Control groups behind one interface: v1, v2 and the hybrid of both.

>>> cgroup = cgroups.at("/lading/0123")
>>> cgroup.create()
>>> warnings = cgroup.apply(resources)
>>> cgroup.add(pid)
"""

from __future__ import annotations

import errno
from functools import cache

from lading.kernel.cgroups.base import Cgroup, Controller, Hierarchy, Mode
from lading.kernel.cgroups.discovery import Support, from_mounts, support
from lading.kernel.cgroups.stats import Stats
from lading.kernel.errors import KernelError
from lading.kernel.mountinfo import mountinfo

__all__ = [
    "Cgroup",
    "Controller",
    "Hierarchy",
    "Mode",
    "Stats",
    "Support",
    "at",
    "detect",
    "support",
]


@cache
def detect() -> Hierarchy:
    """Find the host's cgroup mounts and controllers from /proc (once per process)."""
    return from_mounts(mountinfo())


def at(path: str, hierarchy: Hierarchy | None = None) -> Cgroup:
    """Give the cgroup at *path* ("/lading/<id>") below the root of each hierarchy.

    Raises KernelError ENODEV when no cgroup file system is mounted.
    """
    found = hierarchy or detect()
    if not found.mounts and found.unified is None:
        raise KernelError(errno.ENODEV, "find a cgroup file system for", path)
    if found.mode is Mode.V2:
        from lading.kernel.cgroups.v2 import CgroupV2

        return CgroupV2(path, found)
    from lading.kernel.cgroups.v1 import CgroupV1

    return CgroupV1(path, found)
