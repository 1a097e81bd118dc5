"""What the host's kernel lets an engine limit: asked once, and kept for the daemon's life."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lading.kernel import cgroups

if TYPE_CHECKING:
    from lading.kernel.cgroups import Hierarchy


@dataclass(frozen=True, slots=True)
class SysInfo:
    """Which limits work here; `cpus` are those online, `cpuset_*` those that a cgroup may use."""

    cgroup_version: int
    memory_limit: bool
    swap_limit: bool
    memory_reservation: bool
    memory_swappiness: bool
    oom_kill_disable: bool
    pids_limit: bool
    cpu_shares: bool
    cpu_cfs: bool
    cpu_realtime: bool
    cpuset: bool
    cpuset_cpus: str
    cpuset_mems: str
    blkio_weight: bool
    blkio_weight_device: bool
    blkio_throttle: bool
    cpus: int


@functools.cache
def sysinfo() -> SysInfo:
    """Ask this host."""
    hierarchy = cgroups.detect()
    probe = _probe_v2 if hierarchy.version == 2 else _probe_v1
    return probe(hierarchy)


def _has_file(hierarchy: Hierarchy, controller: str, *names: str) -> bool:
    found = hierarchy.controllers.get(controller)
    return found is not None and any(
        os.path.exists(os.path.join(found.mount_point, name)) for name in names
    )


def _cpuset_files(hierarchy: Hierarchy) -> tuple[str, str]:
    """Give the CPUs and memory nodes that a container may be bound to, as lists like `0-3`."""
    found = hierarchy.controllers.get("cpuset")
    if found is None:
        return "", ""
    base = Path(found.mount_point)
    return (
        _first_line(base / "cpuset.effective_cpus", base / "cpuset.cpus.effective"),
        _first_line(base / "cpuset.effective_mems", base / "cpuset.mems.effective"),
    )


def _first_line(*candidates: Path) -> str:
    for path in candidates:
        try:
            return path.read_text().strip()
        except OSError:
            continue
    return ""


def _probe_v1(hierarchy: Hierarchy) -> SysInfo:
    memory = functools.partial(_has_file, hierarchy, "memory")
    cpu = functools.partial(_has_file, hierarchy, "cpu")
    blkio = functools.partial(_has_file, hierarchy, "blkio")
    cpus, mems = _cpuset_files(hierarchy)
    return SysInfo(
        cgroup_version=1,
        memory_limit=hierarchy.has("memory"),
        swap_limit=memory("memory.memsw.limit_in_bytes"),
        memory_reservation=memory("memory.soft_limit_in_bytes"),
        memory_swappiness=memory("memory.swappiness"),
        oom_kill_disable=memory("memory.oom_control"),
        pids_limit=hierarchy.has("pids"),
        cpu_shares=cpu("cpu.shares"),
        cpu_cfs=cpu("cpu.cfs_quota_us"),
        cpu_realtime=cpu("cpu.rt_period_us"),
        cpuset=hierarchy.has("cpuset"),
        cpuset_cpus=cpus,
        cpuset_mems=mems,
        blkio_weight=blkio("blkio.weight", "blkio.bfq.weight"),
        blkio_weight_device=blkio("blkio.weight_device", "blkio.bfq.weight_device"),
        blkio_throttle=blkio("blkio.throttle.read_bps_device"),
        cpus=len(os.sched_getaffinity(0)),
    )


def _probe_v2(hierarchy: Hierarchy) -> SysInfo:
    cpus, mems = _cpuset_files(hierarchy)
    memory, cpu, block = (hierarchy.has(name) for name in ("memory", "cpu", "io"))
    weight = _below_root(hierarchy, "io.weight") or _below_root(hierarchy, "io.bfq.weight")
    return SysInfo(
        cgroup_version=2,
        memory_limit=memory,
        swap_limit=memory and _below_root(hierarchy, "memory.swap.max"),
        memory_reservation=memory,
        memory_swappiness=False,
        oom_kill_disable=False,
        pids_limit=hierarchy.has("pids"),
        cpu_shares=cpu,
        cpu_cfs=cpu,
        cpu_realtime=False,
        cpuset=hierarchy.has("cpuset"),
        cpuset_cpus=cpus,
        cpuset_mems=mems,
        blkio_weight=block and weight,
        blkio_weight_device=block and weight,
        blkio_throttle=block,
        cpus=len(os.sched_getaffinity(0)),
    )


def _below_root(hierarchy: Hierarchy, name: str) -> bool:
    """Tell whether a cgroup2 file that the root cgroup lacks is in any cgroup below it."""
    if hierarchy.unified is None:
        return False
    try:
        with os.scandir(hierarchy.unified) as entries:
            return any(
                entry.is_dir() and os.path.exists(os.path.join(entry.path, name))
                for entry in entries
            )
    except OSError:
        return False
