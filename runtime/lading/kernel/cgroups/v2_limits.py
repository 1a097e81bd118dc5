"""OCI resources as files of cgroup v2 (kernel documentation, admin-guide/cgroup-v2)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from lading.kernel.cgroups import settings as say
from lading.kernel.cgroups.settings import Setting
from lading.kernel.errors import KernelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lading.kernel.cgroups.resources import (
        BlockIO,
        Cpu,
        HugepageLimit,
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
        found.append(Setting("pids", "pids.max", _or_max(resources.pids.limit), say.PIDS))
    if resources.block_io is not None:
        found += _block_io(resources.block_io)
    found += hugepages(resources.hugepage_limits)
    found += _unified(resources.unified)
    return found


def weight_of_shares(shares: int) -> int:
    """Convert v1's cpu.shares (2 … 262144) to v2's cpu.weight (1 … 10000), as Docker does."""
    bounded = min(max(shares, 2), 262144)
    return 1 + (bounded - 2) * 9999 // 262142


def weight_of_blkio(weight: int) -> int:
    """Convert v1's blkio.weight (10 … 1000) to v2's io.weight (1 … 10000), as Docker does."""
    return 1 + (weight - 10) * 9999 // 990


def hugepages(limits: Sequence[HugepageLimit] | None) -> Iterator[Setting]:
    """Give the files for limits on huge pages."""
    for limit in limits or ():
        file = f"hugetlb.{limit.page_size}.max"
        yield Setting("hugetlb", file, _or_max(limit.limit), say.HUGETLB)


def _or_max(limit: int) -> str:
    return str(limit) if limit > 0 else "max"


def _memory(memory: Memory) -> Iterator[Setting]:
    if memory.limit:
        yield Setting("memory", "memory.max", _or_max(memory.limit), say.MEMORY)
    if memory.swap:
        yield Setting("memory", "memory.swap.max", _swap(memory), say.SWAP)
    if memory.reservation:
        yield Setting("memory", "memory.low", _or_max(memory.reservation), say.RESERVATION)
    if memory.disable_oom_killer:
        yield Setting("", "", "", say.OOM_KILL_DISABLE)


def _swap(memory: Memory) -> str:
    """Give v2's swap alone; OCI counts memory + swap together."""
    swap, limit = memory.swap or 0, memory.limit or 0
    if swap == -1 or limit == -1:
        return "max"
    if swap < limit:
        call = f"limit memory + swap to {swap}, which is less than memory alone"
        raise KernelError(errno.EINVAL, call, limit)
    return str(swap - limit)


def _cpu(cpu: Cpu) -> Iterator[Setting]:
    if cpu.idle is not None:
        yield Setting("cpu", "cpu.idle", str(cpu.idle), say.IDLE)
    if cpu.shares:
        yield Setting("cpu", "cpu.weight", str(weight_of_shares(cpu.shares)), say.SHARES)
    if cpu.quota or cpu.period:
        period = cpu.period or 100_000
        yield Setting("cpu", "cpu.max", f"{_or_max(cpu.quota or -1)} {period}", say.QUOTA)
    if cpu.burst is not None:
        yield Setting("cpu", "cpu.max.burst", str(cpu.burst), say.BURST)
    if cpu.realtime_period or cpu.realtime_runtime:
        yield Setting("", "", "", say.REALTIME)
    if cpu.cpus:
        yield Setting("cpuset", "cpuset.cpus", cpu.cpus, say.CPUSET)
    if cpu.mems:
        yield Setting("cpuset", "cpuset.mems", cpu.mems, say.CPUSET)


def _block_io(block_io: BlockIO) -> Iterator[Setting]:
    if block_io.weight:
        value = f"default {weight_of_blkio(block_io.weight)}"
        yield Setting("io", "io.weight", value, say.WEIGHT)
    for device in block_io.weight_device or ():
        if device.weight:
            value = f"{device.major}:{device.minor} {weight_of_blkio(device.weight)}"
            yield Setting("io", "io.weight", value, say.WEIGHT_DEVICE)
    limits = (
        (block_io.throttle_read_bps_device, "rbps", "BPS", "read"),
        (block_io.throttle_write_bps_device, "wbps", "BPS", "write"),
        (block_io.throttle_read_iops_device, "riops", "IOPS", "read"),
        (block_io.throttle_write_iops_device, "wiops", "IOPS", "write"),
    )
    for rates, key, kind, direction in limits:
        for rate in rates or ():
            value = f"{rate.major}:{rate.minor} {key}={_or_max(rate.rate)}"
            yield Setting("io", "io.max", value, say.throttle(kind, direction))


def _unified(values: Mapping[str, str] | None) -> Iterator[Setting]:
    """Give files named outright; a name with a slash would leave the cgroup."""
    for file, value in (values or {}).items():
        if "/" in file or "." not in file:
            raise KernelError(errno.EINVAL, "use the cgroup file", file)
        controller = file.partition(".")[0]
        yield Setting(controller, file, value, say.lacking(f"the cgroup file {file}", "Value"))
