"""`docker update`: other limits and another restart policy, also for a running container."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from lading.engine.announce import announce
from lading.engine.checks.host import check_restart_policy
from lading.engine.checks.limits import check_limits
from lading.engine.events import EventBus
from lading.engine.model import HostConfig, UpdateConfig
from lading.engine.registry import Entry
from lading.engine.specs.resources import limit_settings
from lading.engine.store import ContainerStore
from lading.engine.sysinfo import sysinfo
from lading.errors import Conflict, LadingError
from lading.shim.client import Shim

_CHANGEABLE = (
    "blkio_weight",
    "cpu_shares",
    "nano_cpus",
    "cpu_period",
    "cpu_quota",
    "cpuset_cpus",
    "cpuset_mems",
    "memory",
    "memory_swap",
    "memory_reservation",
    "cpu_realtime_period",
    "cpu_realtime_runtime",
)


@dataclass(slots=True)
class Updates:
    """Changes containers' limits."""

    store: ContainerStore
    events: EventBus

    async def update(self, entry: Entry, update: UpdateConfig) -> list[str]:
        """Apply what is set in `update`; gives warnings.

        Raises InvalidParameter for limits out of range, Conflict for what does not fit those that
        the container has; nothing is changed then.
        """
        warnings = check_limits(update, sysinfo(), update=True)
        check_restart_policy(update.restart_policy)
        async with entry.lock:
            record = entry.record
            if entry.removing:
                raise _refused(entry, 'Container is marked for removal and cannot be "update".')
            try:
                _check_fit(record.host_config, update)
            except Conflict as error:
                raise _refused(entry, error.message) from None
            if entry.shim is not None:
                warnings += await self._apply(entry.shim, entry, update)
            before = msgspec.structs.replace(record.host_config)
            _change(record.host_config, update)
            if update.restart_policy.name:
                record.host_config.restart_policy = update.restart_policy
            try:
                self.store.save(record)
            except LadingError:
                record.host_config = before
                raise
            if update.restart_policy.name:
                entry.restarts.reset(update.restart_policy)
        announce(self.events, record, "update")
        return warnings

    async def _apply(self, shim: Shim, entry: Entry, update: UpdateConfig) -> list[str]:
        try:
            return await shim.update(limit_settings(update))
        except LadingError as error:
            raise LadingError(f"Cannot update container {entry.id}: {error}") from error


def _refused(entry: Entry, reason: str) -> Conflict:
    return Conflict(f"Cannot update container {entry.id}: {reason}")


def _check_fit(host: HostConfig, update: UpdateConfig) -> None:
    """Compare new limits with those that stay; raises Conflict."""
    for new, old, what, has in (
        (update.cpu_period, host.nano_cpus, "CPU Period", "NanoCPUs has"),
        (update.cpu_quota, host.nano_cpus, "CPU Quota", "NanoCPUs has"),
        (update.nano_cpus, host.cpu_period, "Nano CPUs", "CPU Period has"),
        (update.nano_cpus, host.cpu_quota, "Nano CPUs", "CPU Quota has"),
    ):
        if new > 0 and old > 0:
            raise Conflict(
                f"Conflicting options: {what} cannot be updated as {has} already been set"
            )
    if update.memory and not update.memory_swap and 0 < host.memory_swap < update.memory:
        raise Conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the "
            "memoryswap at the same time"
        )
    if update.restart_policy.name not in ("", "no") and host.auto_remove:
        raise Conflict(
            "Restart policy cannot be updated because AutoRemove is enabled for the container"
        )


def _change(host: HostConfig, update: UpdateConfig) -> None:
    """Write what an update sets into a container's configuration."""
    for name in _CHANGEABLE:
        value = getattr(update, name)
        if value:
            setattr(host, name, value)
    if update.pids_limit is not None:
        host.pids_limit = update.pids_limit if update.pids_limit > 0 else None
