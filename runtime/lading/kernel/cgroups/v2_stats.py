"""Counters of cgroup v2 (admin-guide/cgroup-v2: CPU, Memory, IO and PID interface files)."""

from __future__ import annotations

from lading.kernel.cgroups import files
from lading.kernel.cgroups.stats import (
    BlockIOEntry,
    BlockIOStats,
    CpuStats,
    MemoryStats,
    PidsStats,
    Stats,
)

_MICROSECOND = 1000


def read(directory: str) -> Stats:
    """Read the counters of one cgroup."""
    memory = files.read_if_there(directory, "memory.current")
    pids = files.read_if_there(directory, "pids.current")
    io = files.read_if_there(directory, "io.stat")
    return Stats(
        cpu=_cpu(directory),
        memory=None if memory is None else _memory(directory, int(memory)),
        pids=None if pids is None else PidsStats(int(pids), files.limit(directory, "pids.max")),
        block_io=None if io is None else _block_io(io),
    )


def _cpu(directory: str) -> CpuStats:
    """Read cpu.stat, whose usage part is there without the cpu controller, too."""
    found = files.keyed(files.read_if_there(directory, "cpu.stat"))
    return CpuStats(
        total=found.get("usage_usec", 0) * _MICROSECOND,
        user=found.get("user_usec", 0) * _MICROSECOND,
        system=found.get("system_usec", 0) * _MICROSECOND,
        periods=found.get("nr_periods", 0),
        throttled_periods=found.get("nr_throttled", 0),
        throttled_time=found.get("throttled_usec", 0) * _MICROSECOND,
    )


def _memory(directory: str, usage: int) -> MemoryStats:
    events = files.keyed(files.read_if_there(directory, "memory.events"))
    return MemoryStats(
        usage=usage,
        limit=files.limit(directory, "memory.max"),
        failcnt=events.get("max", 0),
        stats=files.keyed(files.read_if_there(directory, "memory.stat")),
    )


def _block_io(text: str) -> BlockIOStats:
    """Parse lines of "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 …"."""
    moved, done = [], []
    for line in text.splitlines():
        device, _, rest = line.partition(" ")
        major, separator, minor = device.partition(":")
        if not separator or not major.isdigit():
            continue
        counters = dict(pair.partition("=")[::2] for pair in rest.split())
        for operation, letter in (("read", "r"), ("write", "w")):
            byte_count = int(counters.get(f"{letter}bytes", 0))
            operations = int(counters.get(f"{letter}ios", 0))
            moved.append(BlockIOEntry(int(major), int(minor), operation, byte_count))
            done.append(BlockIOEntry(int(major), int(minor), operation, operations))
    return BlockIOStats(tuple(moved), tuple(done))
