"""What the API does to containers: one method an operation, each named by id, id prefix or name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import builtins
    from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence

    from lading.engine.attach import Session
    from lading.engine.model import (
        AttachOptions,
        Container,
        ContainerConfig,
        HostConfig,
        LogOptions,
        NetworkingConfig,
        UpdateConfig,
    )
    from lading.storage.copying import PathStat
    from lading.storage.layers import Change
    from lading.storage.streams import Readable


@dataclass(frozen=True, slots=True)
class Created:
    """The answer to a creation."""

    id: str
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class WaitResult:
    """How a container ended; `error` says why it could not be started or removed, else empty."""

    status_code: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a container as `ps` tells of them: column titles and rows."""

    titles: list[str]
    rows: list[list[str]]


@dataclass(frozen=True, slots=True)
class Pruned:
    """The answer to a prune: what was deleted and how many bytes that freed."""

    ids: list[str]
    space: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of a container's own layer, and of it with all image layers below."""

    rw: int
    root: int


class Containers:
    """The containers of an engine."""

    async def create(
        self,
        name: str | None,
        config: ContainerConfig,
        host_config: HostConfig | None = None,
        networking: NetworkingConfig | None = None,
        *,
        platform: str = "",
    ) -> Created:
        """Make a container; raises InvalidParameter, NotFound (image) or Conflict (name)."""
        raise NotImplementedError

    def get(self, ref: str) -> Container:
        """Find a container by id, name (with or without a slash) or unique id prefix.

        Raises NotFound, or InvalidParameter if a prefix is ambiguous. The object is the engine's
        own: do not change it.
        """
        raise NotImplementedError

    def list(
        self,
        *,
        all: bool = False,  # noqa: A002 - the API's own word
        limit: int = 0,
        filters: Mapping[str, Sequence[str]] | None = None,
    ) -> list[Container]:
        """Give what passes the filters, newest first; only running containers unless `all`."""
        raise NotImplementedError

    async def sizes(self, ref: str) -> Sizes:
        """Measure a container's file system."""
        raise NotImplementedError

    def graph_driver(self, container: Container) -> dict[str, str]:
        """Give LowerDir, UpperDir, WorkDir and MergedDir, as inspect shows them."""
        raise NotImplementedError

    async def start(self, ref: str) -> None:
        """Start a container; raises NotModified if it runs, Conflict if it is paused or dead."""
        raise NotImplementedError

    async def stop(self, ref: str, *, seconds: int | None = None, signal: str = "") -> None:
        """Stop a container: its stop signal, then SIGKILL after `seconds` (-1: never)."""
        raise NotImplementedError

    async def restart(self, ref: str, *, seconds: int | None = None, signal: str = "") -> None:
        """Stop a container if it runs, and start it."""
        raise NotImplementedError

    async def kill(self, ref: str, signal: str = "") -> None:
        """Send a signal, SIGKILL unless told otherwise."""
        raise NotImplementedError

    async def pause(self, ref: str) -> None:
        """Freeze all processes of a container."""
        raise NotImplementedError

    async def unpause(self, ref: str) -> None:
        """Let a frozen container go on."""
        raise NotImplementedError

    def wait(self, ref: str, condition: str = "not-running") -> Awaitable[WaitResult]:
        """Register a wait *now*, and give what to await.

        `condition` is not-running, next-exit or removed. Raises NotFound or InvalidParameter at
        once, so that an answer's head may be sent before its body is known.
        """
        raise NotImplementedError

    async def remove(
        self, ref: str, *, force: bool = False, volumes: bool = False, link: bool = False
    ) -> None:
        """Remove a container, with its anonymous volumes if `volumes`."""
        raise NotImplementedError

    async def prune(self, filters: Mapping[str, Sequence[str]] | None = None) -> Pruned:
        """Remove all stopped containers that pass the filters `until` and `label`."""
        raise NotImplementedError

    async def rename(self, ref: str, name: str) -> None:
        """Give a container another name."""
        raise NotImplementedError

    async def update(self, ref: str, update: UpdateConfig) -> builtins.list[str]:
        """Change limits and the restart policy; returns warnings."""
        raise NotImplementedError

    async def resize(self, ref: str, height: int, width: int) -> None:
        """Set the size of a container's terminal in characters."""
        raise NotImplementedError

    async def top(self, ref: str, ps_args: str = "") -> Processes:
        """List a container's processes as `ps` with these arguments does (default `-ef`)."""
        raise NotImplementedError

    async def attach(self, ref: str, options: AttachOptions) -> Session:
        """Join a container's streams; see `lading.engine.attach.Session`."""
        raise NotImplementedError

    async def logs(self, ref: str, options: LogOptions) -> AsyncIterator[bytes]:
        """Give the log: frames of the multiplexed stream, or plain bytes for a terminal."""
        raise NotImplementedError

    async def stats(
        self, ref: str, *, stream: bool = True, one_shot: bool = False
    ) -> AsyncIterator[dict[str, Any]]:
        """Give samples of what a container uses, one a second (API definition StatsResponse)."""
        raise NotImplementedError

    async def changes(self, ref: str) -> builtins.list[Change]:
        """Tell which paths differ from the image."""
        raise NotImplementedError

    async def stat_path(self, ref: str, path: str) -> PathStat:
        """Describe a path in a container."""
        raise NotImplementedError

    async def get_archive(self, ref: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        """Give a tar of a path in a container."""
        raise NotImplementedError

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
        raise NotImplementedError

    async def export(self, ref: str) -> AsyncIterator[bytes]:
        """Give a container's whole file system as a tar."""
        raise NotImplementedError
