"""Which cgroup hierarchies the host mounts, and which limits they can enforce."""

from __future__ import annotations

import os
from dataclasses import dataclass

from lading.kernel.cgroups import files
from lading.kernel.cgroups.base import Controller, Hierarchy, Mode
from lading.kernel.mountinfo import MountInfo

_CORE_V2 = ("devices", "freezer")
"""Subjects that v2 has in every cgroup, without a controller to enable."""


_V1_NAMES = frozenset(
    (
        "blkio",
        "cpu",
        "cpuacct",
        "cpuset",
        "devices",
        "freezer",
        "hugetlb",
        "memory",
        "misc",
        "net_cls",
        "net_prio",
        "perf_event",
        "pids",
        "rdma",
    )
)


@dataclass(frozen=True, slots=True)
class Support:
    """Which limits the host can enforce, as Docker's /info and its warnings tell them."""

    memory: bool
    swap: bool
    reservation: bool
    swappiness: bool
    oom_kill_disable: bool
    kernel_memory: bool
    kernel_memory_tcp: bool
    cpu_shares: bool
    cpu_quota: bool
    cpu_realtime: bool
    cpuset: bool
    pids: bool
    blkio_weight: bool
    blkio_throttle: bool
    hugetlb: bool
    devices: bool
    freezer: bool


def from_mounts(mounts: list[MountInfo]) -> Hierarchy:
    """Tell the hierarchy from a list of mounts; of several mounts of one kind the first counts.

    Raises OSError subclasses only for reading cgroup.controllers of the unified mount.
    """
    controllers: dict[str, Controller] = {}
    v1: list[str] = []
    unified: str | None = None
    for entry in mounts:
        if entry.fstype == "cgroup2" and unified is None:
            unified = entry.mount_point
        if entry.fstype != "cgroup":
            continue
        names = [o for o in entry.super_options if o in _V1_NAMES or o.startswith("name=")]
        fresh = [name for name in names if name not in controllers]
        if not fresh:
            continue
        v1.append(entry.mount_point)
        for name in fresh:
            controllers[name] = Controller(name, entry.mount_point, 1)
    limiting = [name for name in controllers if not name.startswith("name=")]
    if unified is not None:
        for name in files.read(unified, "cgroup.controllers").split():
            controllers.setdefault(name, Controller(name, unified, 2))
        if not limiting:
            for name in _CORE_V2:
                controllers[name] = Controller(name, unified, 2)
    mode = Mode.V1 if unified is None else Mode.HYBRID if limiting else Mode.V2
    return Hierarchy(mode, controllers, tuple(v1), unified)


def support(hierarchy: Hierarchy) -> Support:
    """Find which limits can be enforced, by the files that the controllers have."""
    return _support_v2(hierarchy) if hierarchy.mode is Mode.V2 else _support_v1(hierarchy)


def _support_v1(hierarchy: Hierarchy) -> Support:
    def has(controller: str, file: str = "") -> bool:
        found = hierarchy.controllers.get(controller)
        return found is not None and os.path.exists(f"{found.mount_point}/{file}")

    return Support(
        memory=has("memory"),
        swap=has("memory", "memory.memsw.limit_in_bytes"),
        reservation=has("memory", "memory.soft_limit_in_bytes"),
        swappiness=has("memory", "memory.swappiness"),
        oom_kill_disable=has("memory", "memory.oom_control"),
        kernel_memory=has("memory", "memory.kmem.limit_in_bytes"),
        kernel_memory_tcp=has("memory", "memory.kmem.tcp.limit_in_bytes"),
        cpu_shares=has("cpu", "cpu.shares"),
        cpu_quota=has("cpu", "cpu.cfs_quota_us"),
        cpu_realtime=has("cpu", "cpu.rt_runtime_us"),
        cpuset=has("cpuset"),
        pids=has("pids"),
        blkio_weight=has("blkio", "blkio.bfq.weight") or has("blkio", "blkio.weight"),
        blkio_throttle=has("blkio", "blkio.throttle.read_bps_device"),
        hugetlb=has("hugetlb"),
        devices=has("devices") or hierarchy.unified is not None,
        freezer=has("freezer") or hierarchy.unified is not None,
    )


def _support_v2(hierarchy: Hierarchy) -> Support:
    has = hierarchy.has
    return Support(
        memory=has("memory"),
        swap=has("memory") and _below(hierarchy, "memory", "memory.swap.max"),
        reservation=has("memory"),
        swappiness=False,
        oom_kill_disable=False,
        kernel_memory=False,
        kernel_memory_tcp=False,
        cpu_shares=has("cpu"),
        cpu_quota=has("cpu"),
        cpu_realtime=False,
        cpuset=has("cpuset"),
        pids=has("pids"),
        blkio_weight=has("io") and _below(hierarchy, "io", "io.weight"),
        blkio_throttle=has("io"),
        hugetlb=has("hugetlb"),
        devices=True,
        freezer=True,
    )


def _below(hierarchy: Hierarchy, controller: str, file: str) -> bool:
    """Tell whether some child of the root has *file*: the root itself has no limits.

    Without any child that has the controller, the kernel's usual configuration is assumed.
    """
    found = hierarchy.controllers.get(controller)
    if found is None:
        return False
    prefix = file.partition(".")[0]
    with os.scandir(found.mount_point) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                continue
            names = os.listdir(entry.path)
            if any(name.startswith(prefix + ".") for name in names):
                return file in names
    return True
