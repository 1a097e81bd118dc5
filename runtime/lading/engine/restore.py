"""Taking over what an earlier daemon left: running containers, ended ones, and rests."""

from __future__ import annotations

import contextlib
import logging
import shutil
from dataclasses import dataclass

from lading.engine.bundles import Bundles
from lading.engine.imagemounts import layers_of
from lading.engine.lifecycle import Lifecycle
from lading.engine.model import Container, Status
from lading.engine.registry import Entry, Registry
from lading.engine.restarts import starts_with_daemon
from lading.engine.store import ContainerStore
from lading.errors import LadingError
from lading.kernel.errors import KernelError
from lading.shim.client import Gone, Shim, abandon
from lading.shim.protocol import ExitStatus
from lading.storage.layers import LayerStore
from lading.storage.volumes import VolumeStore

_log = logging.getLogger(__name__)

LOST = 255
"""The exit code of a container whose end nobody saw: the machine was restarted."""


@dataclass(slots=True)
class Restore:
    """What a starting daemon does before it serves anybody."""

    registry: Registry
    store: ContainerStore
    layers: LayerStore
    volumes: VolumeStore
    bundles: Bundles
    lifecycle: Lifecycle

    async def take_over(self) -> dict[str, int]:
        """Read all records, find the shims, and clear rests away.

        Gives the host pids of the containers that run on, by id. Ends are handled later, by
        `settle`, when the networks know who runs.
        """
        for record in self.store.load():
            self._register(record)
        self._clear_layers()
        self._clear_volumes()
        running: dict[str, int] = {}
        for entry in self.registry:
            entry.found = await self._find(entry)
            if isinstance(entry.found, Shim):
                running[entry.id] = entry.found.pid
        self._clear_bundles()
        return running

    def _register(self, record: Container) -> None:
        try:
            self.registry.reserve(record.name, record.id)
        except LadingError as error:
            _log.error("container %s: %s", record.id, error)
            record.name = record.id
            self.registry.reserve(record.name, record.id)
        self.registry.add(Entry(record))

    def _clear_layers(self) -> None:
        """Remove layers of containers that were not made to the end, or half removed."""
        known = {entry.id for entry in self.registry}
        known.update(name for entry in self.registry for name in layers_of(entry.record))
        for rw in list(self.layers.rw_layers()):
            if rw.container_id not in known and rw.container_id.isalnum():
                _log.info("removing the layer of container %s, which is gone", rw.container_id)
                self.layers.remove_rw(rw.container_id)

    def _clear_volumes(self) -> None:
        """Remove volumes that were to come, or to go, with containers that are not there."""
        used = {mounted.point.name for entry in self.registry for mounted in entry.record.mounts}
        for name in self.store.orphans:
            if name not in used:
                with contextlib.suppress(LadingError):
                    self.volumes.remove(name)
        self.store.orphans.clear()

    def _clear_bundles(self) -> None:
        """Remove bundles of containers that do not run and have nothing left to tell."""
        directory = self.bundles.settings.bundles
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        known = {entry.id for entry in self.registry if entry.found is not None}
        for bundle in directory.iterdir():
            if bundle.name not in known and not bundle.name.startswith("."):
                shutil.rmtree(bundle, ignore_errors=True)

    async def _find(self, entry: Entry) -> Shim | ExitStatus | None:
        """Find a container's shim, or how it ended; None if it did not run."""
        bundle = self.bundles.path(entry.id)
        if not bundle.is_dir():
            if entry.record.running:
                return ExitStatus(exit_code=LOST, error="")
            return None
        found = await Shim.reconnect(bundle)
        if isinstance(found, Gone):
            if not entry.record.running and not (bundle / "state.json").exists():
                return None
            _log.warning("the shim of container %s is gone", entry.id)
            return await abandon(bundle)
        if isinstance(found, Shim) and not found.started:
            # The daemon died between creation and start: nobody was told that it runs.
            await found.quit()
            return None
        return found

    async def settle(self) -> None:
        """Watch what runs, note what ended, and start what is to start with the daemon."""
        for entry in self.registry:
            found, entry.found = entry.found, None
            record = entry.record
            async with entry.lock:
                if isinstance(found, Shim):
                    self._resume(entry, found)
                elif isinstance(found, ExitStatus):
                    await self.lifecycle.ended(entry, found)
                elif record.state.restarting or record.state.status is Status.REMOVING:
                    record.state.status = Status.EXITED
                    self.store.note(record)
            if found is None and self._starts_now(record):
                self.lifecycle.background.start(self._start(entry))

    def _resume(self, entry: Entry, shim: Shim) -> None:
        state = entry.state
        state.status = Status.PAUSED if shim.paused else Status.RUNNING
        state.pid = shim.pid
        entry.record.has_been_started = True
        entry.record.exec_ids.clear()
        self.lifecycle.mounting.hold(entry.record)
        self.lifecycle.watch(entry, shim)
        self.store.note(entry.record)

    def _starts_now(self, record: Container) -> bool:
        return record.has_been_started and starts_with_daemon(
            record.host_config.restart_policy,
            manually_stopped=record.manually_stopped,
            exit_code=record.state.exit_code,
        )

    async def _start(self, entry: Entry) -> None:
        try:
            await self.lifecycle.start(entry)
        except (LadingError, KernelError) as error:
            _log.warning("container %s could not be started: %s", entry.id, error)
