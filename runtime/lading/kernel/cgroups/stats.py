"""What a cgroup has used, in one shape for v1 and v2."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CpuStats:
    """CPU time in nanoseconds; `per_cpu` is empty on v2, which does not count it."""

    total: int = 0
    user: int = 0
    system: int = 0
    per_cpu: tuple[int, ...] = ()
    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0


@dataclass(frozen=True, slots=True)
class MemoryStats:
    """Memory in bytes; `limit` is None when unlimited, `max_usage` and `failcnt` are 0 on v2.

    `stats` holds the kernel's own memory.stat.
    """

    usage: int = 0
    max_usage: int = 0
    limit: int | None = None
    failcnt: int = 0
    stats: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PidsStats:
    """How many tasks there are; `limit` is None when unlimited."""

    current: int = 0
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class BlockIOEntry:
    """One counter of one block device: `operation` is "read", "write", … as Docker names it."""

    major: int
    minor: int
    operation: str
    value: int


@dataclass(frozen=True, slots=True)
class BlockIOStats:
    """Bytes moved and operations done, by device."""

    bytes: tuple[BlockIOEntry, ...] = ()
    operations: tuple[BlockIOEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Stats:
    """All counters of one cgroup; a part whose controller is missing is None."""

    cpu: CpuStats | None
    memory: MemoryStats | None
    pids: PidsStats | None
    block_io: BlockIOStats | None
