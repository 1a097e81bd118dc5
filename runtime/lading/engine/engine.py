"""The engine: its parts, put together, and its start and end."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from lading.engine import apparmor, imagemounts
from lading.engine.accounts import AccountBook
from lading.engine.attach import Attacher
from lading.engine.background import Background
from lading.engine.building import Building
from lading.engine.bundles import Bundles
from lading.engine.commit import Commits
from lading.engine.containers import Containers
from lading.engine.control import Control
from lading.engine.create import Creation
from lading.engine.events import EventBus
from lading.engine.execs import Execs
from lading.engine.files import Files
from lading.engine.health import HealthChecks
from lading.engine.hostchecks import check_host
from lading.engine.images import Images
from lading.engine.lifecycle import Lifecycle
from lading.engine.model import Container
from lading.engine.mounting import Mounting
from lading.engine.networking import Networking
from lading.engine.networks import Networks
from lading.engine.registry import Entry, Registry
from lading.engine.removal import Removal
from lading.engine.restore import Restore
from lading.engine.settings import Settings
from lading.engine.store import ContainerStore
from lading.engine.transfers import Transfers
from lading.engine.update import Updates
from lading.engine.volumes import Volumes
from lading.errors import LadingError
from lading.image.store import ImageStore, ImageUser
from lading.kernel import cgroups
from lading.kernel.errors import KernelError
from lading.network.manager import NetworkManager
from lading.network.model import NetworkOptions
from lading.shim.client import Spawner
from lading.shim.spawner import SpawnerHandle
from lading.storage.blobs import BlobStore
from lading.storage.digests import Digest
from lading.storage.layers import LayerStore
from lading.storage.volumes import VolumeStore

_log = logging.getLogger(__name__)


class Engine:
    """A container engine on one root and one run directory.

    Built before the event loop runs; `start` opens the stores and takes over what an earlier
    daemon left, `stop` ends (or with live restore leaves) the containers.
    """

    def __init__(self, settings: Settings, spawner: SpawnerHandle | None = None) -> None:
        self.settings = settings
        self.events = EventBus()
        self._handle = spawner
        self._registry = Registry()
        self._background = Background()
        self._store = ContainerStore(settings.containers)
        self._blobs = BlobStore(settings.root / "image" / "blobs")
        self._layers = LayerStore(settings.root / "overlay2")
        self._images = ImageStore(settings.root / "image", self._blobs, self._layers)
        self._volumes = VolumeStore(settings.root / "volumes")
        self._manager = NetworkManager(settings.root / "network", _network_options(settings))
        self.images = Images(self._images, self.events, self._image_users)
        self.transfers = Transfers(
            self._images, settings.root / "image", lambda: self.settings, self.events
        )
        self.volumes = Volumes(self._volumes, self.events, self._volume_users)
        self.networks = Networks(self._manager, self.events)
        accounts = AccountBook(self._layers)
        self.execs = Execs(self._registry, self.events, accounts, self._background)
        self.containers = self._make_containers(accounts)
        self.building = Building.at(
            settings, self.containers, self.images, self._layers, self.transfers
        )

    def _make_containers(self, accounts: AccountBook) -> Containers:
        """Put the parts of a container's life together."""
        settings, store, events, registry = (
            self.settings,
            self._store,
            self.events,
            self._registry,
        )
        mounting = Mounting(self._volumes, events)
        bundles = Bundles(settings, store, self._layers, mounting, accounts, self._find)
        networking = Networking(self._manager, settings, store, events, self._find)
        health = HealthChecks(self.execs.probe, events, self._background, store.note)
        removal = Removal(registry, store, self._layers, self.volumes, self.execs, events)
        lifecycle = Lifecycle(
            store=store,
            events=events,
            bundles=bundles,
            mounting=mounting,
            networking=networking,
            health=health,
            background=self._background,
            auto_remove=removal.auto_remove,
        )
        self._lifecycle = lifecycle
        self._restore = Restore(registry, store, self._layers, self._volumes, bundles, lifecycle)
        control = Control(lifecycle, health, events, store, settings.stop_timeout)
        return Containers(
            settings=settings,
            registry=registry,
            creation=Creation(
                settings=settings,
                registry=registry,
                store=store,
                layers=self._layers,
                images=self._images,
                volumes=self.volumes,
                networks=self._manager,
                events=events,
            ),
            lifecycle=lifecycle,
            control=control,
            removal=removal,
            updates=Updates(store, events),
            attacher=Attacher(events, self._background),
            files=Files(self._layers, store, accounts),
            networking=networking,
            commits=Commits(self._images, self._layers, events, control),
            ancestors=self._ancestors,
        )

    async def start(self) -> None:
        """Open the stores, find the containers that run, and apply restart policies."""
        self.settings.root.mkdir(mode=0o710, parents=True, exist_ok=True)
        for store in (self._blobs, self._layers, self._images, self._volumes, self._store):
            store.open()
        await asyncio.to_thread(check_host, self._layers.root)
        self.building.open()
        self._lifecycle.spawner = await Spawner.start(self._handle)
        running = await self._restore.take_over()
        for warning in self._manager.start(running):
            _log.warning("%s", warning)
        await asyncio.to_thread(apparmor.prepare)
        await self._restore.settle()
        await asyncio.to_thread(self._images.collect)

    async def stop(self) -> None:
        """Stop the containers unless live restore is on, and let go of everything."""
        self._lifecycle.stopping = True
        if not self.settings.live_restore:
            await self._stop_containers()
        await self._background.close()
        for entry in self._registry:
            if entry.shim is not None:
                await entry.shim.close()
        if self._lifecycle.spawner is not None:
            await self._lifecycle.spawner.close()
        await self._store.settled()
        self._manager.stop()
        _remove_empty_parent(self.settings)
        self.events.close()

    async def _stop_containers(self) -> None:
        """Stop all containers at once; the slowest has its own grace and five seconds."""
        control = self.containers.control
        running = [entry for entry in self._registry if entry.record.running]
        graces = [control.grace(entry) for entry in running]
        patience: int | None = max([self.settings.shutdown_timeout, *(g + 5 for g in graces)])
        if any(grace < 0 for grace in graces):
            patience = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await asyncio.gather(*(self._stop_one(entry) for entry in running))

    async def _stop_one(self, entry: Entry) -> None:
        try:
            await self.containers.control.stop(entry, None, "")
        except LadingError as error:
            _log.warning("container %s could not be stopped: %s", entry.id, error)

    def _find(self, ref: str) -> Container:
        return self._registry.find(ref).record

    def _image_users(self, image_id: Digest) -> list[ImageUser]:
        """List the containers that are made of an image, or mount it: those let `force` through."""
        return [
            ImageUser(entry.id, entry.record.running and entry.record.image_id == image_id)
            for entry in self._registry
            if entry.record.image_id == image_id or imagemounts.uses(entry.record, image_id)
        ]

    def _volume_users(self, name: str) -> list[str]:
        return [
            entry.id
            for entry in self._registry
            if any(mounted.point.name == name for mounted in entry.record.mounts)
        ]

    def _ancestors(self, ref: str) -> set[str]:
        """Give the ids of an image and of all images made from it."""
        found: set[str] = set()
        waiting = [self._images.get(ref).id]
        while waiting:
            image_id = waiting.pop()
            if image_id not in found:
                found.add(image_id)
                waiting += self._images.children(image_id)
        return found


def _remove_empty_parent(settings: Settings) -> None:
    """Remove the cgroup that containers' cgroups are in, if it is ours and the last has left."""
    if settings.cgroup_parent == Settings().cgroup_parent:
        with contextlib.suppress(KernelError):
            cgroups.at(settings.cgroup_parent).delete_if_empty()


def _network_options(settings: Settings) -> NetworkOptions:
    """Give the network manager its part of the settings, and its defaults where they are empty."""
    defaults = NetworkOptions()
    return NetworkOptions(
        bridge=settings.bridge or defaults.bridge,
        bip=settings.bip,
        mtu=settings.mtu or defaults.mtu,
        address_pools=settings.address_pools,
        publish_ip=settings.publish_ip,
    )
