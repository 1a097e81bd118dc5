"""Creating containers: everything is checked first, then made, and unmade if any of it fails."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from dataclasses import dataclass

from lading.engine import imagemounts, modes, names, times
from lading.engine.announce import announce
from lading.engine.checks.config import check_config
from lading.engine.checks.host import check_host_config
from lading.engine.checks.limits import check_limits
from lading.engine.endpoints import Networks, settle
from lading.engine.events import EventBus
from lading.engine.imageconfig import merge
from lading.engine.inherited import Finder, inherited_mounts, without_inherited
from lading.engine.links import settled_links
from lading.engine.logoptions import check_log_options
from lading.engine.model import (
    Container,
    ContainerConfig,
    HostConfig,
    MountRecord,
    NetworkingConfig,
    NetworkSettings,
)
from lading.engine.mountspecs import WantedMount, wanted_mounts
from lading.engine.registry import Entry, Registry
from lading.engine.settings import Settings
from lading.engine.specs.security import parse_security_options
from lading.engine.store import ContainerStore
from lading.engine.sysinfo import sysinfo
from lading.engine.volumes import Volumes
from lading.errors import InvalidParameter, LadingError, NotFound
from lading.image.registry.platforms import Platform, mismatch
from lading.image.store import Image, ImageStore
from lading.oci import defaults
from lading.storage.copying import copy_up
from lading.storage.layers import LayerStore
from lading.storage.rwlayers import RwLayer
from lading.storage.volumes import ANONYMOUS_LABEL

_MAC_DEPRECATED = (
    "The container-wide MacAddress field is now deprecated. It should be specified in "
    "EndpointsConfig instead."
)


@dataclass(frozen=True, slots=True)
class Created:
    """The answer to a creation."""

    id: str
    warnings: list[str]


@dataclass(slots=True)
class Creation:
    """Makes containers."""

    settings: Settings
    registry: Registry
    store: ContainerStore
    layers: LayerStore
    images: ImageStore
    volumes: Volumes
    networks: Networks
    events: EventBus

    async def create(
        self,
        name: str | None,
        config: ContainerConfig,
        host: HostConfig,
        networking: NetworkingConfig | None,
        *,
        platform: str = "",
    ) -> Created:
        """Make a container; see `Containers.create`."""
        warnings = self._check(config, host)
        image = self._image(config.image, platform)
        merge(config, image.config if image else None)
        self._check_others(host)
        self._fill_defaults(config, host)
        check_log_options(host)
        wanted = wanted_mounts(config, host)
        inherited = inherited_mounts(host.volumes_from, self._find, wanted)
        wanted = without_inherited(wanted, inherited)
        container_id = _new_id()
        endpoints = settle(config, host, networking, self.networks)
        _name_host(config, host, container_id, self._find)
        with contextlib.ExitStack() as undo:
            chosen = names.check(name) if name else names.generate(self.registry.names)
            self.registry.reserve(chosen, container_id)
            undo.callback(self.registry.release, chosen, container_id)
            host.links = settled_links(host.links, chosen, self._find)
            words = config.words
            record = Container(
                id=container_id,
                name=chosen,
                created=times.now(),
                path=words[0],
                args=words[1:],
                image_id=image.id if image else "",
                config=config,
                host_config=host,
                network_settings=NetworkSettings(networks=endpoints),
                mounts=inherited,
                wished_macs={
                    network: settings.mac_address
                    for network, settings in endpoints.items()
                    if settings.mac_address
                },
            )
            await self._make(record, image, wanted, undo)
            undo.pop_all()
        self.registry.add(Entry(record))
        announce(self.events, record, "create")
        return Created(container_id, warnings)

    def _check(self, config: ContainerConfig, host: HostConfig) -> list[str]:
        """Check what needs no look at anything else; gives warnings."""
        _normalize(host)
        check_config(config)
        warnings = check_host_config(host, config)
        warnings += check_limits(host, sysinfo())
        parse_security_options(host.security_opt)
        if host.storage_opt:
            raise LadingError(
                "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
            )
        if any(mount.type == imagemounts.KIND for mount in host.mounts or ()):
            warnings.append(imagemounts.WARNING)
        if config.mac_address:
            warnings.append(_MAC_DEPRECATED)
        return warnings

    def _image(self, ref: str, platform: str) -> Image | None:
        """Find the image; raises NotFound if it is not there, or not for the platform asked for."""
        if not ref:
            return None
        image = self.images.get(ref)
        if platform and (complaint := mismatch(ref, image, Platform.parse(platform))):
            raise NotFound(complaint)
        return image

    def _check_others(self, host: HostConfig) -> None:
        """Look up the containers that a request refers to; their ids take their names' place."""
        for attribute in ("pid_mode", "ipc_mode"):
            donor = modes.container_of(getattr(host, attribute))
            if donor is not None:
                setattr(host, attribute, f"container:{self._find(donor).id}")
        donor = modes.container_of(host.network_mode)
        if donor is not None:
            with contextlib.suppress(NotFound):
                host.network_mode = f"container:{self.registry.find(donor).id}"

    def _find(self, ref: str) -> Container:
        """Find a container that a request refers to: a missing one makes the request wrong."""
        try:
            return self.registry.find(ref).record
        except NotFound as error:
            raise InvalidParameter(error.message) from None

    def _fill_defaults(self, config: ContainerConfig, host: HostConfig) -> None:
        """Put the daemon's defaults where the request leaves a choice, as inspect shows them."""
        daemon, limits = self.settings, sysinfo()
        host.shm_size = host.shm_size or daemon.shm_size
        host.ipc_mode = host.ipc_mode or daemon.ipc_mode
        host.runtime = host.runtime or daemon.default_runtime
        host.cgroupns_mode = (
            host.cgroupns_mode
            or daemon.cgroupns_mode
            or (modes.PRIVATE if limits.cgroup_version == 2 else modes.HOST)
        )
        if host.memory > 0 and host.memory_swap == 0 and limits.swap_limit:
            host.memory_swap = 2 * host.memory
        if host.oom_kill_disable is None and limits.oom_kill_disable:
            host.oom_kill_disable = False
        if host.pids_limit is not None and host.pids_limit <= 0:
            host.pids_limit = None
        if not host.log_config.type:
            host.log_config.type = daemon.log_driver
            host.log_config.config = {**daemon.log_opts, **(host.log_config.config or {})}
        host.log_config.config = host.log_config.config or {}
        config.labels = config.labels or {}
        if host.privileged:
            host.masked_paths = host.readonly_paths = None
            return
        if host.masked_paths is None:
            host.masked_paths = defaults.masked_paths()
        if host.readonly_paths is None:
            host.readonly_paths = list(defaults.READONLY_PATHS)

    async def _make(
        self,
        record: Container,
        image: Image | None,
        wanted: list[WantedMount],
        undo: contextlib.ExitStack,
    ) -> None:
        """Make the layer, the volumes and the record."""
        undo.callback(self.store.delete, record.id)
        fresh = self._name_volumes(wanted)
        if fresh:
            self.store.tie_volumes(record.id, fresh)
        rw = self.layers.create_rw(record.id, image.diff_ids if image else ())
        undo.callback(self.layers.remove_rw, record.id)
        for inherited in record.mounts:
            if inherited.point.type == imagemounts.KIND:
                imagemounts.take_over(self.layers, record.id, inherited)
                undo.callback(self.layers.remove_rw, imagemounts.layer_of(inherited))
        copies: list[tuple[str, str]] = []
        for mount in wanted:
            if mount.point.type == "volume":
                self._make_volume(record, mount, undo)
                if image is not None and self._wants_copy(mount):
                    copies.append((mount.point.destination, mount.point.source))
            mounted = MountRecord(point=mount.point, detail=mount.detail)
            if mount.point.type == imagemounts.KIND:
                imagemounts.make_layer(
                    self.layers, record.id, mounted, self.images.get(mount.point.name)
                )
                undo.callback(self.layers.remove_rw, imagemounts.layer_of(mounted))
            record.mounts.append(mounted)
        if copies:
            await asyncio.to_thread(self._copy_up, rw, copies)
        self.store.add(record)

    def _name_volumes(self, wanted: list[WantedMount]) -> list[str]:
        """Name those without a name; gives the names of all that are not there yet."""
        points = [mount.point for mount in wanted if mount.point.type == "volume"]
        for point in points:
            point.name = point.name or secrets.token_hex(32)
        return [point.name for point in points if not self._has_volume(point.name)]

    def _wants_copy(self, mount: WantedMount) -> bool:
        """Tell whether an image's files are to be copied into a volume that is still empty."""
        return (
            mount.copy
            and not mount.detail.subpath
            and self.volumes.store.is_empty(mount.point.name)
        )

    def _make_volume(
        self, record: Container, mount: WantedMount, undo: contextlib.ExitStack
    ) -> None:
        """Make a mount's volume if it is not there, and write it into the mount."""
        name = mount.point.name
        known = self._has_volume(name)
        labels = dict(mount.volume_labels or {})
        if mount.detail.anonymous:
            labels[ANONYMOUS_LABEL] = ""
        volume = self.volumes.create(
            name,
            driver=mount.volume_driver or record.host_config.volume_driver,
            options=mount.volume_options,
            labels=labels or None,
        )
        if not known:
            undo.callback(self._remove_volume, name)
        mount.point.name = volume.name
        mount.point.source = volume.mountpoint
        mount.point.driver = volume.driver

    def _has_volume(self, name: str) -> bool:
        try:
            self.volumes.store.get(name)
        except NotFound:
            return False
        return True

    def _remove_volume(self, name: str) -> None:
        """Remove a volume of a creation that failed."""
        with contextlib.suppress(LadingError):
            self.volumes.store.remove(name)

    def _copy_up(self, rw: RwLayer, copies: list[tuple[str, str]]) -> None:
        """Fill new volumes with what the image has at their place."""
        with self.layers.view(rw) as root:
            for destination, target in copies:
                copy_up(root, destination, target)


def _normalize(host: HostConfig) -> None:
    """Write out what a request may leave empty or call `default`."""
    if host.network_mode in ("", "default"):
        host.network_mode = modes.BRIDGE
    host.restart_policy.name = host.restart_policy.name or "no"


def _name_host(config: ContainerConfig, host: HostConfig, container_id: str, find: Finder) -> None:
    """Settle the host name: the host's own in its namespaces, a donor's, or the short id."""
    donor = modes.container_of(host.network_mode)
    if host.network_mode == modes.HOST or host.uts_mode == modes.HOST:
        config.hostname = config.hostname or socket.gethostname()
    elif donor is not None:
        with contextlib.suppress(InvalidParameter):
            other = find(donor).config
            config.hostname, config.domainname = other.hostname, other.domainname
    config.hostname = config.hostname or container_id[:12]


def _new_id() -> str:
    """Make an id whose first twelve characters are not a number: they become a host name."""
    while True:
        fresh = secrets.token_hex(32)
        if not fresh[:12].isdecimal():
            return fresh
