"""What running containers use, as `docker stats` gets it (API definition StatsResponse)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from lading.engine import times
from lading.engine.model import NEVER
from lading.engine.registry import Entry
from lading.kernel import cgroups
from lading.kernel.cgroups import Stats
from lading.kernel.cgroups.stats import BlockIOEntry
from lading.kernel.errors import KernelError

PERIOD = 1.0
"""Seconds between two samples."""

_TICKS = os.sysconf("SC_CLK_TCK")
_MEMORY = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
_NO_CPU: dict[str, Any] = {
    "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
    "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
}
_BLKIO = (
    "io_service_bytes_recursive",
    "io_serviced_recursive",
    "io_queue_recursive",
    "io_service_time_recursive",
    "io_wait_time_recursive",
    "io_merged_recursive",
    "io_time_recursive",
    "sectors_recursive",
)


async def samples(
    entry: Entry, cgroup_path: str, *, stream: bool, one_shot: bool
) -> AsyncIterator[dict[str, Any]]:
    """Give samples of a container's use, one a second, or a single one.

    A single one that is no `one_shot` takes a second, to tell the CPU's use before, too.
    """
    before: dict[str, Any] = {}
    if not stream and not one_shot and entry.record.running:
        before = sample(entry, cgroup_path, {})
        await asyncio.sleep(PERIOD)
    while True:
        current = sample(entry, cgroup_path, before)
        yield current
        if not stream or entry.removing:
            return
        before = current
        await asyncio.sleep(PERIOD)


def sample(entry: Entry, cgroup_path: str, before: dict[str, Any]) -> dict[str, Any]:
    """Read all counters now; zeros for a container that does not run."""
    record = entry.record
    found: dict[str, Any] = {
        "name": f"/{record.name}",
        "id": record.id,
        "read": NEVER,
        "preread": before.get("read", NEVER),
        "pids_stats": {},
        "blkio_stats": dict.fromkeys(_BLKIO),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _NO_CPU,
        "precpu_stats": before.get("cpu_stats", _NO_CPU),
        "memory_stats": {},
    }
    if not record.state.pid:
        return found
    try:
        stats = cgroups.at(cgroup_path).stats()
    except KernelError:
        return found
    found["read"] = times.now()
    found["pids_stats"] = _pids(stats)
    found["blkio_stats"] = _blkio(stats)
    found["cpu_stats"] = _cpu(stats)
    found["memory_stats"] = _memory(stats)
    networks = interfaces(record.state.pid)
    if networks and record.host_config.network_mode != "host":
        found["networks"] = networks
    return found


def _pids(stats: Stats) -> dict[str, int]:
    if stats.pids is None:
        return {}
    found = {"current": stats.pids.current}
    if stats.pids.limit is not None:
        found["limit"] = stats.pids.limit
    return found


def _cpu(stats: Stats) -> dict[str, Any]:
    cpu = stats.cpu
    if cpu is None:
        return _NO_CPU
    usage: dict[str, Any] = {
        "total_usage": cpu.total,
        "usage_in_kernelmode": cpu.system,
        "usage_in_usermode": cpu.user,
    }
    if cpu.per_cpu:
        usage["percpu_usage"] = list(cpu.per_cpu)
    return {
        "cpu_usage": usage,
        "system_cpu_usage": system_cpu(),
        "online_cpus": len(cpu.per_cpu) or os.cpu_count() or 1,
        "throttling_data": {
            "periods": cpu.periods,
            "throttled_periods": cpu.throttled_periods,
            "throttled_time": cpu.throttled_time,
        },
    }


def system_cpu() -> int:
    """Give the nanoseconds that all CPUs have spent on anything (proc_stat(5))."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = file.readline().split()
    return sum(map(int, fields[1:8])) * 1_000_000_000 // _TICKS


def _memory(stats: Stats) -> dict[str, Any]:
    memory = stats.memory
    if memory is None:
        return {}
    found: dict[str, Any] = {
        "usage": memory.usage,
        "stats": memory.stats,
        "limit": min(memory.limit or _MEMORY, _MEMORY),
    }
    if memory.max_usage:
        found["max_usage"] = memory.max_usage
    if memory.failcnt:
        found["failcnt"] = memory.failcnt
    return found


def _blkio(stats: Stats) -> dict[str, Any]:
    io = stats.block_io
    if io is None:
        return dict.fromkeys(_BLKIO)
    empty: list[Any] | None = [] if cgroups.detect().version == 1 else None
    found: dict[str, Any] = dict.fromkeys(_BLKIO, empty)
    found["io_service_bytes_recursive"] = [_entry(each) for each in io.bytes]
    if empty is not None:
        found["io_serviced_recursive"] = [_entry(each) for each in io.operations]
    return found


def _entry(counter: BlockIOEntry) -> dict[str, Any]:
    return {
        "major": counter.major,
        "minor": counter.minor,
        "op": counter.operation,
        "value": counter.value,
    }


_COLUMNS = ((0, "bytes"), (1, "packets"), (2, "errors"), (3, "dropped"))
"""Where /proc/net/dev has what Docker shows, in each direction."""


def interfaces(pid: int) -> dict[str, dict[str, int]]:
    """Read the counters of a process's network interfaces, without `lo` (proc_net(5))."""
    try:
        lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, _, rest = line.partition(":")
        values = [int(value) for value in rest.split()]
        if name.strip() == "lo" or len(values) < 16:
            continue
        received = {f"rx_{word}": values[at] for at, word in _COLUMNS}
        sent = {f"tx_{word}": values[8 + at] for at, word in _COLUMNS}
        found[name.strip()] = received | sent
    return found
