"""Checks of resource limits: what is out of range is refused, what the host cannot do discarded.

The words are Docker's (`docker run --memory=1k`, `--cpus=1000`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lading.errors import InvalidParameter

if TYPE_CHECKING:
    from lading.engine.model import Resources
    from lading.engine.sysinfo import SysInfo

MINIMUM_MEMORY = 6 * 1024 * 1024


@dataclass(slots=True)
class _Check:
    """One pass over the limits of a container; discards in place, and says so in `warnings`."""

    limits: Resources
    host: SysInfo
    update: bool
    warnings: list[str] = field(default_factory=list)

    def memory(self) -> None:
        """Check the memory limit and the limit of memory and swap."""
        limits = self.limits
        if limits.memory != 0 and limits.memory < MINIMUM_MEMORY:
            raise InvalidParameter("Minimum memory limit allowed is 6MB")
        if limits.memory > 0 and not self.host.memory_limit:
            self._discard("memory limit capabilities", "Limitation discarded.")
            limits.memory, limits.memory_swap = 0, -1
        if limits.memory > 0 and limits.memory_swap != -1 and not self.host.swap_limit:
            self._discard("swap limit capabilities", "Memory limited without swap.")
            limits.memory_swap = -1
        if 0 < limits.memory_swap < limits.memory:
            raise InvalidParameter(
                "Minimum memoryswap limit should be larger than memory limit, see usage"
            )
        if limits.memory == 0 and limits.memory_swap > 0 and not self.update:
            raise InvalidParameter(
                "You should always set the Memory limit when using Memoryswap limit, see usage"
            )

    def memory_details(self) -> None:
        """Check swappiness, the soft limit and the OOM killer's switch."""
        limits = self.limits
        swappiness = limits.memory_swappiness
        if swappiness is not None and swappiness != -1:
            if not 0 <= swappiness <= 100:
                raise InvalidParameter(
                    f"Invalid value: {swappiness}, valid memory swappiness range is 0-100"
                )
            if not self.host.memory_swappiness:
                self._discard("memory swappiness capabilities", "Memory swappiness discarded.")
                limits.memory_swappiness = None
        if limits.memory_reservation > 0 and not self.host.memory_reservation:
            self._discard("memory soft limit capabilities", "Limitation discarded.")
            limits.memory_reservation = 0
        if 0 < limits.memory_reservation < MINIMUM_MEMORY:
            raise InvalidParameter("Minimum memory reservation allowed is 6MB")
        if 0 < limits.memory < limits.memory_reservation:
            raise InvalidParameter(
                "Minimum memory limit can not be less than memory reservation limit, see usage"
            )
        self._oom_killer()

    def _oom_killer(self) -> None:
        limits = self.limits
        if limits.oom_kill_disable and not self.host.oom_kill_disable:
            self.warnings.append(
                "Your kernel does not support OomKillDisable. OomKillDisable discarded."
            )
            limits.oom_kill_disable = None
        if limits.oom_kill_disable and limits.memory == 0:
            self.warnings.append(
                "OOM killer is disabled for the container, but no memory limit is set, "
                "this can result in the system running out of resources."
            )

    def pids(self) -> None:
        """Check the limit of tasks."""
        limit = self.limits.pids_limit
        if limit is not None and limit > 0 and not self.host.pids_limit:
            self._discard("PIDs limit capabilities", "PIDs limit discarded.")
            self.limits.pids_limit = None

    def cpu(self) -> None:
        """Check CPU time: --cpus, shares, period and quota."""
        limits, host = self.limits, self.host
        if limits.nano_cpus:
            self._nano_cpus()
        if limits.cpu_shares < 0:
            raise InvalidParameter(
                f"invalid CPU shares ({limits.cpu_shares}): value must be a positive integer"
            )
        if limits.cpu_shares > 0 and not host.cpu_shares:
            self._discard("CPU shares", "Shares discarded.")
            limits.cpu_shares = 0
        if (limits.cpu_period or limits.cpu_quota) and not host.cpu_cfs:
            self.warnings.append(
                "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded."
            )
            limits.cpu_period = limits.cpu_quota = 0
        if limits.cpu_period and not 1000 <= limits.cpu_period <= 1_000_000:
            raise InvalidParameter(
                "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s "
                "(i.e. 1000000)"
            )
        if 0 < limits.cpu_quota < 1000:
            raise InvalidParameter("CPU cfs quota can not be less than 1ms (i.e. 1000)")

    def _nano_cpus(self) -> None:
        limits, host = self.limits, self.host
        for value, name in ((limits.cpu_period, "Period"), (limits.cpu_quota, "Quota")):
            if value > 0:
                raise InvalidParameter(
                    f"Conflicting options: Nano CPUs and CPU {name} cannot both be set"
                )
        if not host.cpu_cfs:
            raise InvalidParameter(
                "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler "
                "or the cgroup is not mounted"
            )
        if not 0 <= limits.nano_cpus <= host.cpus * 1_000_000_000:
            raise InvalidParameter(
                f"range of CPUs is from 0.01 to {host.cpus}.00, as there are only {host.cpus} "
                "CPUs available"
            )

    def realtime(self) -> None:
        """Check realtime scheduling: its runtime is part of its period."""
        limits = self.limits
        if (limits.cpu_realtime_period or limits.cpu_realtime_runtime) and (
            not self.host.cpu_realtime
        ):
            raise InvalidParameter(
                "kernel does not support CPU real-time scheduler, which CpuRealtimePeriod and "
                "CpuRealtimeRuntime need"
            )
        if 0 < limits.cpu_realtime_period < limits.cpu_realtime_runtime:
            raise InvalidParameter(
                "cpu real-time runtime cannot be higher than cpu real-time period"
            )

    def cpuset(self) -> None:
        """Check that the CPUs and memory nodes asked for exist."""
        limits, host = self.limits, self.host
        if (limits.cpuset_cpus or limits.cpuset_mems) and not host.cpuset:
            self._discard("cpuset", "Cpuset discarded.")
            limits.cpuset_cpus = limits.cpuset_mems = ""
        for asked, available, what, things in (
            (limits.cpuset_cpus, host.cpuset_cpus, "cpus", "CPUs"),
            (limits.cpuset_mems, host.cpuset_mems, "mems", "memory nodes"),
        ):
            wanted = parse_set(asked)
            if wanted is None:
                raise InvalidParameter(
                    f"Invalid value {asked} for cpuset {what}: invalid format: {asked}"
                )
            if not wanted <= (parse_set(available) or set()):
                raise InvalidParameter(
                    f"Requested {things} are not available - requested {asked}, "
                    f"available: {available}"
                )

    def block_io(self) -> None:
        """Check block I/O weights and rates."""
        limits, host = self.limits, self.host
        if limits.blkio_weight and not host.blkio_weight:
            self._discard("Block I/O weight", "Weight discarded.")
            limits.blkio_weight = 0
        if limits.blkio_weight and not 10 <= limits.blkio_weight <= 1000:
            raise InvalidParameter("Range of blkio weight is from 10 to 1000")
        if limits.blkio_weight_device and not host.blkio_weight_device:
            self._discard("Block I/O weight_device", "Weight-device discarded.")
            limits.blkio_weight_device = []
        if host.blkio_throttle:
            return
        for attribute, what, lost in _THROTTLES:
            if getattr(limits, attribute):
                self._discard(what, f"Block I/O {lost} limit discarded.")
                setattr(limits, attribute, [])

    def _discard(self, what: str, consequence: str) -> None:
        self.warnings.append(
            f"Your kernel does not support {what} or the cgroup is not mounted. {consequence}"
        )


_THROTTLES = (
    ("blkio_device_read_bps", "BPS Block I/O read limit", "BPS read"),
    ("blkio_device_write_bps", "BPS Block I/O write limit", "BPS write"),
    ("blkio_device_read_iops", "IOPS Block read limit", "IOPS read"),
    ("blkio_device_write_iops", "IOPS Block write limit", "IOPS write"),
)


def parse_set(text: str) -> set[int] | None:
    """Read a list of CPUs or memory nodes such as `0-2,4`; None if it is malformed."""
    found: set[int] = set()
    for part in text.split(",") if text else ():
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() if dash else True)):
            return None
        low, high = int(first), int(last or first)
        if high < low or high > 65535:
            return None
        found.update(range(low, high + 1))
    return found


def check_limits(limits: Resources, host: SysInfo, *, update: bool = False) -> list[str]:
    """Check and adjust limits in place; gives Docker's warnings for what this host cannot do.

    Raises InvalidParameter for what is out of range or contradictory.
    """
    check = _Check(limits, host, update)
    check.memory()
    check.memory_details()
    check.pids()
    check.cpu()
    check.realtime()
    check.cpuset()
    check.block_io()
    return check.warnings
