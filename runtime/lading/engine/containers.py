"""What the API does to containers: one method an operation, each named by id, id prefix or name."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lading.engine import stats, top
from lading.engine.announce import announce
from lading.engine.attach import Attacher, Session
from lading.engine.commit import CommitOptions, Commits
from lading.engine.control import Control
from lading.engine.create import Created, Creation
from lading.engine.files import Files, Sizes
from lading.engine.lifecycle import Lifecycle
from lading.engine.listing import Listing
from lading.engine.logs import read_log
from lading.engine.model import (
    AttachOptions,
    Container,
    ContainerConfig,
    EndpointSettings,
    HostConfig,
    LogOptions,
    NetworkingConfig,
    Status,
    UpdateConfig,
)
from lading.engine.networking import Networking
from lading.engine.registry import Entry, Registry
from lading.engine.removal import Removal
from lading.engine.rename import rename
from lading.engine.settings import Settings
from lading.engine.specs import cgroups_path
from lading.engine.top import Processes
from lading.engine.update import Updates
from lading.engine.waits import WaitResult, condition_of
from lading.errors import Conflict, NotFound
from lading.image.store import Image
from lading.storage.changes import Change
from lading.storage.copying import PathStat
from lading.storage.streams import Readable

__all__ = ["Containers", "Created", "Processes", "Pruned", "Sizes", "WaitResult"]


@dataclass(frozen=True, slots=True)
class Pruned:
    """The answer to a prune: what was deleted and how many bytes that freed."""

    ids: list[str]
    space: int


@dataclass(slots=True)
class Containers:
    """The containers of an engine."""

    settings: Settings
    registry: Registry
    creation: Creation
    lifecycle: Lifecycle
    control: Control
    removal: Removal
    updates: Updates
    attacher: Attacher
    files: Files
    networking: Networking
    commits: Commits
    ancestors: Callable[[str], set[str]]
    """Gives the ids of an image and of all that were made from it."""

    async def create(
        self,
        name: str | None,
        config: ContainerConfig,
        host_config: HostConfig | None = None,
        networking: NetworkingConfig | None = None,
        *,
        platform: str = "",
    ) -> Created:
        """Make a container of `config`, which becomes its own.

        Raises InvalidParameter, NotFound (image, platform) or Conflict (name).
        """
        return await self.creation.create(
            name,
            ContainerConfig.of(config),
            host_config or HostConfig(),
            networking,
            platform=platform,
        )

    def get(self, ref: str) -> Container:
        """Find a container by id, name (with or without a slash) or unique id prefix.

        Raises NotFound, or InvalidParameter if a prefix is ambiguous. The object is the engine's
        own: do not change it.
        """
        return self.registry.find(ref).record

    def list(
        self,
        *,
        all: bool = False,  # noqa: A002 - the API's own word
        limit: int = 0,
        filters: Mapping[str, Sequence[str]] | None = None,
    ) -> list[Container]:
        """Give what passes the filters, newest first; only running containers unless `all`."""
        listing = Listing(self.registry, filters or {}, self.ancestors)
        return listing.select(self.registry, everything=all, limit=limit)

    async def sizes(self, ref: str) -> Sizes:
        """Measure a container's file system."""
        return await self.files.sizes(self.get(ref))

    def graph_driver(self, container: Container) -> dict[str, str]:
        """Give LowerDir, UpperDir, WorkDir and MergedDir, as inspect shows them."""
        return self.files.graph_driver(container)

    async def start(self, ref: str) -> None:
        """Start a container; raises NotModified if it runs, Conflict if it is paused or dead."""
        await self.lifecycle.start(self.registry.find(ref))

    async def stop(self, ref: str, *, seconds: int | None = None, signal: str = "") -> None:
        """Stop a container: its stop signal, then SIGKILL after `seconds` (-1: never)."""
        await self.control.stop(self.registry.find(ref), seconds, signal)

    async def restart(self, ref: str, *, seconds: int | None = None, signal: str = "") -> None:
        """Stop a container if it runs, and start it."""
        await self.control.restart(self.registry.find(ref), seconds, signal)

    async def kill(self, ref: str, signal: str = "") -> None:
        """Send a signal, SIGKILL unless told otherwise."""
        try:
            entry = self.registry.find(ref)
        except NotFound as error:
            raise NotFound(f"cannot kill container: {ref}: {error}") from error
        await self.control.kill(entry, ref, signal)

    async def pause(self, ref: str) -> None:
        """Freeze all processes of a container."""
        await self.control.pause(self.registry.find(ref))

    async def unpause(self, ref: str) -> None:
        """Let a frozen container go on."""
        await self.control.unpause(self.registry.find(ref))

    def wait(self, ref: str, condition: str = "not-running") -> Awaitable[WaitResult]:
        """Register a wait *now*, and give what to await.

        `condition` is not-running, next-exit or removed. Raises NotFound or InvalidParameter at
        once, so that an answer's head may be sent before its body is known.
        """
        wanted = condition_of(condition)
        entry = self.registry.find(ref)
        return entry.waits.add(wanted, entry.state)

    async def remove(
        self, ref: str, *, force: bool = False, volumes: bool = False, link: bool = False
    ) -> None:
        """Remove a container, with its anonymous volumes if `volumes`.

        Raises Conflict if it runs and `force` is not given.
        """
        entry = self.registry.find(ref)
        if link:
            raise Conflict(f"container {ref} has no links: user-defined networks know names")
        await self.removal.remove(entry, ref, self.control, force=force, volumes=volumes)

    async def prune(self, filters: Mapping[str, Sequence[str]] | None = None) -> Pruned:
        """Remove all stopped containers that pass the filters `until` and `label`."""
        ids, space = await self.removal.prune(filters or {}, self.control)
        return Pruned(ids, space)

    async def rename(self, ref: str, name: str) -> None:
        """Give a container another name; raises InvalidParameter or Conflict."""
        await rename(self.registry.find(ref), name, self.registry, self.networking)

    async def update(self, ref: str, update: UpdateConfig) -> builtins.list[str]:
        """Change limits and the restart policy; returns warnings."""
        return await self.updates.update(self.registry.find(ref), update)

    async def resize(self, ref: str, height: int, width: int) -> None:
        """Set the size of a container's terminal in characters."""
        await self.control.resize(self.registry.find(ref), height, width)

    async def top(self, ref: str, ps_args: str = "") -> Processes:
        """List a container's processes as `ps` with these arguments does (default `-ef`)."""
        entry = self.registry.find(ref)
        _check_not_restarting(entry)
        pids = await entry.running_shim().pids()
        found = top.processes(pids, ps_args)
        announce(self.lifecycle.events, entry.record, "top")
        return found

    async def attach(self, ref: str, options: AttachOptions) -> Session:
        """Join a container's streams; see `lading.engine.attach.Session`."""
        return await self.attacher.attach(self.registry.find(ref), options)

    async def logs(self, ref: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Give the log: frames of the multiplexed stream, or plain bytes for a terminal."""
        return read_log(self.registry.find(ref), options)

    async def stats(
        self, ref: str, *, stream: bool = True, one_shot: bool = False
    ) -> AsyncIterator[dict[str, Any]]:
        """Give samples of what a container uses, one a second (API definition StatsResponse)."""
        entry = self.registry.find(ref)
        path = cgroups_path(entry.record, self.settings)
        return stats.samples(entry, path, stream=stream, one_shot=one_shot)

    async def changes(self, ref: str) -> builtins.list[Change]:
        """Tell which paths differ from the image."""
        return await self.files.changes(self.get(ref))

    async def stat_path(self, ref: str, path: str) -> PathStat:
        """Describe a path in a container."""
        return await self.files.stat_path(self.get(ref), path)

    async def get_archive(self, ref: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        """Give a tar of a path in a container."""
        return await self.files.get_archive(self.get(ref), path)

    async def put_archive(
        self,
        ref: str,
        path: str,
        source: Readable,
        *,
        no_overwrite_dir_non_dir: bool = False,
        copy_uid_gid: bool = False,
    ) -> None:
        """Extract a tar into a directory of a container; `source` is read from a thread."""
        await self.files.put_archive(
            self.get(ref),
            path,
            source,
            no_overwrite_dir_non_dir=no_overwrite_dir_non_dir,
            copy_uid_gid=copy_uid_gid,
        )

    async def export(self, ref: str) -> AsyncIterator[bytes]:
        """Give a container's whole file system as a tar."""
        return self.files.export(self.get(ref))

    async def commit(self, ref: str, options: CommitOptions) -> Image:
        """Make an image of a container's layer and configuration."""
        return await self.commits.commit(self.registry.find(ref), options)

    async def connect_network(self, ref: str, network: str, settings: EndpointSettings) -> None:
        """Connect a container to a network, at once if it runs, or else when it starts."""
        entry = self.registry.find(ref)
        async with entry.lock:
            self.networking.connect_later(entry.record, network, settings)

    async def disconnect_network(self, ref: str, network: str, *, force: bool = False) -> None:
        """Take a container out of a network; raises Forbidden if it is not in it."""
        entry = self.registry.find(ref)
        async with entry.lock:
            self.networking.leave(entry.record, network, force=force)


def _check_not_restarting(entry: Entry) -> None:
    if entry.state.status is Status.RESTARTING:
        raise Conflict(f"Container {entry.id} is restarting, wait until the container is running")
