"""Commands about what a container may use, and uses: pause, resume, update, events."""

from __future__ import annotations

import os
import re
import select
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from lading.errors import Conflict, InvalidParameter
from lading.kernel.process import pidfd_open
from lading.oci import spec
from lading.oci.cli.processes import read_text
from lading.oci.cli.store import container_of
from lading.oci.spec import LinuxBlockIO, LinuxCPU, LinuxMemory, LinuxPids, LinuxResources
from lading.oci.state import STOPPED

if TYPE_CHECKING:
    import argparse

    from lading.kernel.cgroups.stats import BlockIOEntry, Stats

_SIZE = re.compile(r"(-?\d+)([kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def run_pause(options: argparse.Namespace) -> int:
    """Freeze a container."""
    container_of(options).pause()
    return 0


def run_resume(options: argparse.Namespace) -> int:
    """Let it go on."""
    container_of(options).resume()
    return 0


def run_update(options: argparse.Namespace) -> int:
    """Change limits; what the host cannot limit is told on stderr."""
    if options.resources:
        resources = spec.decode_resources(read_text(options.resources), options.resources)
    else:
        resources = _resources(options)
    for warning in container_of(options).update(resources):
        print(f"lading-oci: {warning}", file=sys.stderr)
    return 0


def _resources(options: argparse.Namespace) -> LinuxResources:
    return LinuxResources(
        memory=LinuxMemory(
            limit=_size(options.memory),
            reservation=_size(options.memory_reservation),
            swap=_size(options.memory_swap),
        ),
        cpu=LinuxCPU(
            shares=_number(options.cpu_shares),
            quota=_number(options.cpu_quota),
            period=_number(options.cpu_period),
            cpus=options.cpuset_cpus,
            mems=options.cpuset_mems,
        ),
        pids=LinuxPids(limit=_number(options.pids_limit)) if options.pids_limit else None,
        block_io=LinuxBlockIO(weight=_number(options.blkio_weight)),
    )


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise InvalidParameter(f"{text!r} is not a number") from None


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    found = _SIZE.fullmatch(text)
    if found is None:
        raise InvalidParameter(f"{text!r} is not a size; 67108864 or 64m would be one")
    return int(found[1]) << _UNITS[found[2].lower()]


def run_events(options: argparse.Namespace) -> int:
    """Print statistics: once, or again and again until the container ends."""
    container = container_of(options)
    if container.status() == STOPPED:
        raise Conflict(f"container {container.id} is not running")
    found = _DURATION.fullmatch(options.interval)
    if found is None or not float(found[1]):
        raise InvalidParameter(f"--interval {options.interval}: 5s would be one")
    seconds = float(found[1]) * _SECONDS[found[2] or "s"]
    pidfd = pidfd_open(container.pid)
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    while True:
        event = {"type": "stats", "id": container.id, "data": document(container.stats())}
        sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
        sys.stdout.buffer.flush()
        if options.stats or poller.poll(seconds * 1000):
            break
    os.close(pidfd)
    return 0


def document(stats: Stats) -> dict[str, Any]:
    """Give *stats* in the shape that runc's `events` has, which containerd reads."""
    found: dict[str, Any] = {}
    if stats.cpu is not None:
        cpu = stats.cpu
        usage = {"total": cpu.total, "kernel": cpu.system, "user": cpu.user}
        if cpu.per_cpu:
            usage["percpu"] = list(cpu.per_cpu)  # type: ignore[assignment]
        throttling = {
            "periods": cpu.periods,
            "throttledPeriods": cpu.throttled_periods,
            "throttledTime": cpu.throttled_time,
        }
        found["cpu"] = {"usage": usage, "throttling": throttling}
    if stats.memory is not None:
        memory = stats.memory
        used = {"usage": memory.usage, "max": memory.max_usage, "failcnt": memory.failcnt}
        if memory.limit is not None:
            used["limit"] = memory.limit
        found["memory"] = {"usage": used, "raw": memory.stats}
    if stats.pids is not None:
        pids = {"current": stats.pids.current}
        found["pids"] = pids if stats.pids.limit is None else {**pids, "limit": stats.pids.limit}
    if stats.block_io is not None:
        found["blkio"] = {
            "ioServiceBytesRecursive": [_entry(e) for e in stats.block_io.bytes],
            "ioServicedRecursive": [_entry(e) for e in stats.block_io.operations],
        }
    return found


def _entry(entry: BlockIOEntry) -> dict[str, Any]:
    return {
        "major": entry.major,
        "minor": entry.minor,
        "op": entry.operation,
        "value": entry.value,
    }
