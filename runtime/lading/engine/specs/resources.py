"""HostConfig's limits as OCI's: what the container's cgroup is set to."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from lading.engine.model import Resources, ThrottleDevice
from lading.engine.specs.devices import device_rules
from lading.errors import LadingError
from lading.oci.spec import (
    LinuxBlockIO,
    LinuxCPU,
    LinuxMemory,
    LinuxPids,
    LinuxResources,
    LinuxThrottleDevice,
    LinuxWeightDevice,
)

NANO_CPU_PERIOD = 100_000
"""Microseconds: the CFS period that `--cpus` counts in."""


def linux_resources(limits: Resources, *, privileged: bool = False) -> LinuxResources:
    """Give the cgroup settings of a container's limits, its device rules included."""
    found = limit_settings(limits)
    found.devices = device_rules(limits, privileged=privileged)
    return found


def limit_settings(limits: Resources) -> LinuxResources:
    """Give the settings without device rules: what `docker update` can change."""
    return LinuxResources(
        memory=_memory(limits),
        cpu=_cpu(limits),
        pids=_pids(limits),
        block_io=_block_io(limits),
    )


def _memory(limits: Resources) -> LinuxMemory:
    memory = LinuxMemory()
    if limits.memory > 0:
        memory.limit = limits.memory
    if limits.memory_reservation > 0:
        memory.reservation = limits.memory_reservation
    if limits.memory_swap:
        memory.swap = limits.memory_swap
    if limits.memory_swappiness is not None and limits.memory_swappiness >= 0:
        memory.swappiness = limits.memory_swappiness
    if limits.oom_kill_disable is not None:
        memory.disable_oom_killer = limits.oom_kill_disable
    return memory


def _cpu(limits: Resources) -> LinuxCPU:
    cpu = LinuxCPU(cpus=limits.cpuset_cpus or None, mems=limits.cpuset_mems or None)
    if limits.cpu_shares > 0:
        cpu.shares = limits.cpu_shares
    if limits.nano_cpus > 0:
        cpu.period = NANO_CPU_PERIOD
        cpu.quota = limits.nano_cpus * NANO_CPU_PERIOD // 1_000_000_000
    if limits.cpu_period:
        cpu.period = limits.cpu_period
    if limits.cpu_quota:
        cpu.quota = limits.cpu_quota
    if limits.cpu_realtime_period:
        cpu.realtime_period = limits.cpu_realtime_period
    if limits.cpu_realtime_runtime:
        cpu.realtime_runtime = limits.cpu_realtime_runtime
    return cpu


def _pids(limits: Resources) -> LinuxPids | None:
    if limits.pids_limit is None:
        return None
    return LinuxPids(limit=limits.pids_limit if limits.pids_limit > 0 else -1)


def _block_io(limits: Resources) -> LinuxBlockIO | None:
    io = LinuxBlockIO(
        weight=limits.blkio_weight or None,
        weight_device=[
            LinuxWeightDevice(major=major, minor=minor, weight=device.weight)
            for device in limits.blkio_weight_device or ()
            for major, minor in (_numbers(device.path),)
        ],
        throttle_read_bps_device=_throttles(limits.blkio_device_read_bps),
        throttle_write_bps_device=_throttles(limits.blkio_device_write_bps),
        throttle_read_iops_device=_throttles(limits.blkio_device_read_iops),
        throttle_write_iops_device=_throttles(limits.blkio_device_write_iops),
    )
    return None if io == LinuxBlockIO() else io


def _throttles(devices: Iterable[ThrottleDevice] | None) -> list[LinuxThrottleDevice]:
    found = []
    for device in devices or ():
        major, minor = _numbers(device.path)
        found.append(LinuxThrottleDevice(major=major, minor=minor, rate=device.rate))
    return found


def _numbers(path: str) -> tuple[int, int]:
    """Look up a block device's numbers; raises LadingError if it is not there or none."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise LadingError(f"stat {path}: {(error.strerror or '').lower()}") from error
    if not stat.S_ISBLK(found.st_mode):
        raise LadingError(f"{path} is not a block device, which an I/O limit needs")
    return os.major(found.st_rdev), os.minor(found.st_rdev)
