"""OCI resources as files of cgroup v1 (kernel documentation, admin-guide/cgroup-v1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.kernel.cgroups import settings as say
from lading.kernel.cgroups.settings import Setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.kernel.cgroups.resources import (
        BlockIO,
        Cpu,
        DeviceRule,
        Memory,
        Resources,
    )


def settings(resources: Resources) -> list[Setting]:
    """Give the files to write for all of *resources* but its device rules, in order."""
    found: list[Setting] = []
    if resources.memory is not None:
        found += _memory(resources.memory)
    if resources.cpu is not None:
        found += _cpu(resources.cpu)
    if resources.pids is not None and resources.pids.limit is not None:
        wanted = resources.pids.limit
        value = str(wanted) if wanted > 0 else "max"
        found.append(Setting("pids", "pids.max", value, say.PIDS))
    if resources.block_io is not None:
        found += _block_io(resources.block_io)
    return found


def device_line(rule: DeviceRule) -> str:
    """Write *rule* as devices.allow and devices.deny want it, as "c 1:3 rwm"."""
    if rule.type in (None, "a"):
        return "a"
    major = "*" if rule.major is None or rule.major < 0 else rule.major
    minor = "*" if rule.minor is None or rule.minor < 0 else rule.minor
    return f"{rule.type} {major}:{minor} {rule.access or 'rwm'}"


def _memory(memory: Memory) -> Iterator[Setting]:
    limit, swap = memory.limit, memory.swap
    if limit == -1 and swap is None:
        swap = -1  # memory + swap may never be below memory
    if limit:
        yield Setting("memory", "memory.limit_in_bytes", str(limit), say.MEMORY)
    if swap:
        yield Setting("memory", "memory.memsw.limit_in_bytes", str(swap), say.SWAP)
    if memory.reservation:
        value = str(memory.reservation)
        yield Setting("memory", "memory.soft_limit_in_bytes", value, say.RESERVATION)
    if memory.kernel:
        value = str(memory.kernel)
        yield Setting("memory", "memory.kmem.limit_in_bytes", value, say.KERNEL_MEMORY)
    if memory.kernel_tcp:
        value = str(memory.kernel_tcp)
        yield Setting("memory", "memory.kmem.tcp.limit_in_bytes", value, say.KERNEL_MEMORY)
    if memory.swappiness is not None and memory.swappiness != -1:
        value = str(memory.swappiness)
        yield Setting("memory", "memory.swappiness", value, say.SWAPPINESS)
    if memory.disable_oom_killer:
        yield Setting("memory", "memory.oom_control", "1", say.OOM_KILL_DISABLE)


def _cpu(cpu: Cpu) -> Iterator[Setting]:
    numbers = (
        (cpu.shares or None, "cpu.shares", say.SHARES),
        (cpu.period or None, "cpu.cfs_period_us", say.PERIOD),
        (cpu.quota or None, "cpu.cfs_quota_us", say.QUOTA),
        (cpu.burst, "cpu.cfs_burst_us", say.BURST),
        (cpu.realtime_period or None, "cpu.rt_period_us", say.REALTIME),
        (cpu.realtime_runtime or None, "cpu.rt_runtime_us", say.REALTIME),
        (cpu.idle, "cpu.idle", say.IDLE),
    )
    for number, file, warning in numbers:
        if number is not None:
            yield Setting("cpu", file, str(number), warning)
    if cpu.cpus:
        yield Setting("cpuset", "cpuset.cpus", cpu.cpus, say.CPUSET)
    if cpu.mems:
        yield Setting("cpuset", "cpuset.mems", cpu.mems, say.CPUSET)


def _block_io(block_io: BlockIO) -> Iterator[Setting]:
    if block_io.weight:
        yield Setting("blkio", "blkio.bfq.weight", str(block_io.weight), say.WEIGHT)
    for device in block_io.weight_device or ():
        if device.weight:
            value = f"{device.major}:{device.minor} {device.weight}"
            yield Setting("blkio", "blkio.bfq.weight_device", value, say.WEIGHT_DEVICE)
    limits = (
        (block_io.throttle_read_bps_device, "read_bps", "BPS", "read"),
        (block_io.throttle_write_bps_device, "write_bps", "BPS", "write"),
        (block_io.throttle_read_iops_device, "read_iops", "IOPS", "read"),
        (block_io.throttle_write_iops_device, "write_iops", "IOPS", "write"),
    )
    for rates, file, kind, direction in limits:
        for rate in rates or ():
            value = f"{rate.major}:{rate.minor} {rate.rate}"
            warning = say.throttle(kind, direction)
            yield Setting("blkio", f"blkio.throttle.{file}_device", value, warning)
