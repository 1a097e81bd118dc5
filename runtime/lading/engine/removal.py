"""Removing containers: their layer, files and anonymous volumes, and then their name."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass

from lading.engine import filters as terms
from lading.engine import times
from lading.engine.announce import announce
from lading.engine.control import Control
from lading.engine.events import EventBus, EventType
from lading.engine.execs import Execs
from lading.engine.filters import Filters
from lading.engine.imagemounts import remove_layers
from lading.engine.model import Container, Status
from lading.engine.registry import Entry, Registry
from lading.engine.store import ContainerStore
from lading.engine.volumes import Volumes
from lading.engine.waits import WaitResult
from lading.errors import Conflict, LadingError, NotFound
from lading.storage.layers import LayerStore

_log = logging.getLogger(__name__)

PRUNE_FILTERS = ("label", "label!", "until")

_REASONS = {
    Status.RUNNING: "container is running: stop the container before removing or force remove",
    Status.PAUSED: "container is paused and must be unpaused first",
    Status.RESTARTING: (
        "container is restarting: stop the container before removing or force remove"
    ),
}


@dataclass(slots=True)
class Removal:
    """Removes containers."""

    registry: Registry
    store: ContainerStore
    layers: LayerStore
    volumes: Volumes
    execs: Execs
    events: EventBus

    async def remove(
        self, entry: Entry, ref: str, control: Control, *, force: bool, volumes: bool
    ) -> None:
        """Remove a container, with its anonymous volumes if `volumes`.

        A running one is killed first with `force`; without, raises Conflict in Docker's words.
        """
        if entry.removing:
            raise Conflict(f"removal of container {ref} is already in progress")
        if entry.state.running:
            if not force:
                raise Conflict(f'cannot remove container "{ref}": {_REASONS[entry.state.status]}')
            with contextlib.suppress(Conflict):
                await control.destroy(entry)
        async with entry.lock:
            if entry.removing:
                raise Conflict(f"removal of container {ref} is already in progress")
            if entry.state.running:
                raise Conflict(f'cannot remove container "{ref}": {_REASONS[entry.state.status]}')
            await self.remove_locked(entry, volumes=volumes)

    async def auto_remove(self, entry: Entry) -> None:
        """Remove a `--rm` container after its end, with its lock held; a failure is logged."""
        try:
            await self.remove_locked(entry, volumes=True)
        except LadingError as error:
            _log.warning("container %s could not be removed: %s", entry.id, error)

    async def remove_locked(self, entry: Entry, *, volumes: bool) -> None:
        """Remove a stopped container whose lock is held.

        Its record goes first: a crash leaves rests without a record, which the next start of the
        daemon clears away. If the layer cannot be removed the container stays, as dead.
        """
        record = entry.record
        doomed = _anonymous_volumes(record) if volumes else []
        before, record.state.status = record.state.status, Status.REMOVING
        entry.removing = True
        try:
            if doomed:
                self.store.tie_volumes(record.id, doomed)
            self.store.withdraw(record.id)
            remove_layers(self.layers, record)
            self.layers.remove_rw(record.id)
        except (LadingError, OSError) as error:
            entry.removing, record.state.status = False, Status.DEAD
            record.state.error = str(error)
            with contextlib.suppress(LadingError):
                self.store.add(record)
            entry.waits.removed(WaitResult(record.state.exit_code, str(error)))
            raise LadingError(f"unable to remove filesystem for {record.id}: {error}") from error
        record.state.status = before
        for client in entry.clients:
            client.close()
        self.registry.discard(entry)
        self.execs.forget(entry)
        for name in doomed:
            with contextlib.suppress(Conflict, NotFound):
                await self.volumes.remove(name)
        self.store.delete(record.id)
        announce(self.events, record, "destroy")
        entry.waits.removed(WaitResult(record.state.exit_code))

    async def prune(self, filters: Filters, control: Control) -> tuple[list[str], int]:
        """Remove the stopped containers that pass the filters; gives ids and the bytes freed."""
        terms.check(filters, PRUNE_FILTERS)
        limit = terms.until(filters, time.time_ns())
        removed: list[str] = []
        space = 0
        for entry in self.registry:
            record = entry.record
            if (
                record.running
                or entry.removing
                or not terms.has_labels(filters, record.config.labels)
                or (limit is not None and times.parsed(record.created) >= limit)
            ):
                continue
            try:
                size = await asyncio.to_thread(self._size, record.id)
                await self.remove(entry, record.id, control, force=False, volumes=False)
            except LadingError as error:
                _log.warning("container %s was not pruned: %s", record.id, error)
                continue
            removed.append(record.id)
            space += size
        self.events.publish(EventType.CONTAINER, "prune", "", {"reclaimed": str(space)})
        return removed, space

    def _size(self, container_id: str) -> int:
        return self.layers.size(self.layers.rw(container_id))


def _anonymous_volumes(record: Container) -> list[str]:
    """Name the volumes that were made for a container alone."""
    return [
        mounted.point.name
        for mounted in record.mounts
        if mounted.detail.anonymous and mounted.point.type == "volume"
    ]
