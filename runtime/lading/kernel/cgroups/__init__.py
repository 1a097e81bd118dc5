"""Control groups behind one interface: v1, v2 and the hybrid of both.

>>> cgroup = cgroups.at("/lading/0123")
>>> cgroup.create()
>>> warnings = cgroup.apply(resources)
>>> cgroup.add(pid)
"""

from __future__ import annotations

from lading.kernel.cgroups.base import Cgroup, Controller, Hierarchy, Mode
from lading.kernel.cgroups.stats import Stats

__all__ = ["Cgroup", "Controller", "Hierarchy", "Mode", "Stats", "at", "detect"]


def detect() -> Hierarchy:
    """Find the host's cgroup mounts and controllers from /proc (read once per process)."""
    raise NotImplementedError


def at(path: str, hierarchy: Hierarchy | None = None) -> Cgroup:
    """Give the cgroup at *path* ("/lading/<id>") below the root of each hierarchy."""
    raise NotImplementedError
