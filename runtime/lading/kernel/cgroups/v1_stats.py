"""Counters of cgroup v1 (admin-guide/cgroup-v1: cpuacct, memory, blkio-controller, pids)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.kernel.cgroups import files
from lading.kernel.cgroups.stats import (
    BlockIOEntry,
    BlockIOStats,
    CpuStats,
    MemoryStats,
    PidsStats,
    Stats,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


def read(directories: Mapping[str, str]) -> Stats:
    """Read the counters of one cgroup, given its directory for each controller."""
    accounting, memory = directories.get("cpuacct"), directories.get("memory")
    pids, blkio = directories.get("pids"), directories.get("blkio")
    return Stats(
        cpu=None if accounting is None else _cpu(accounting, directories.get("cpu")),
        memory=None if memory is None else _memory(memory),
        pids=None if pids is None else _pids(pids),
        block_io=None if blkio is None else _block_io(blkio),
    )


def _cpu(accounting: str, cpu: str | None) -> CpuStats:
    throttled = files.keyed(files.read_if_there(cpu, "cpu.stat")) if cpu else {}
    per_cpu = files.read_if_there(accounting, "cpuacct.usage_percpu") or ""
    return CpuStats(
        total=files.number(accounting, "cpuacct.usage"),
        user=files.number(accounting, "cpuacct.usage_user"),
        system=files.number(accounting, "cpuacct.usage_sys"),
        per_cpu=tuple(int(value) for value in per_cpu.split()),
        periods=throttled.get("nr_periods", 0),
        throttled_periods=throttled.get("nr_throttled", 0),
        throttled_time=throttled.get("throttled_time", 0),
    )


def _memory(directory: str) -> MemoryStats:
    return MemoryStats(
        usage=files.number(directory, "memory.usage_in_bytes"),
        max_usage=files.number(directory, "memory.max_usage_in_bytes"),
        limit=files.limit(directory, "memory.limit_in_bytes"),
        failcnt=files.number(directory, "memory.failcnt"),
        stats=files.keyed(files.read_if_there(directory, "memory.stat")),
    )


def _pids(directory: str) -> PidsStats:
    return PidsStats(files.number(directory, "pids.current"), files.limit(directory, "pids.max"))


def _block_io(directory: str) -> BlockIOStats:
    """Read what the I/O scheduler bfq counted, or, where it is not used, the throttling layer."""
    for family in ("bfq", "throttle"):
        moved = f"blkio.{family}.io_service_bytes_recursive"
        done = f"blkio.{family}.io_serviced_recursive"
        found = BlockIOStats(
            _entries(files.read_if_there(directory, moved)),
            _entries(files.read_if_there(directory, done)),
        )
        if found.bytes or found.operations:
            return found
    return BlockIOStats()


def _entries(text: str | None) -> tuple[BlockIOEntry, ...]:
    """Parse lines of "8:0 Read 4096"; the last line, a grand total, has no device."""
    found = []
    for line in (text or "").splitlines():
        fields = line.split()
        if len(fields) == 3:
            major, _, minor = fields[0].partition(":")
            found.append(BlockIOEntry(int(major), int(minor), fields[1], int(fields[2])))
    return tuple(found)
