"""What the builder needs of its surroundings: the engine runs commands and finds images for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lading.build.caches import Caches
from lading.build.mounting import HostMount
from lading.errors import LadingError
from lading.image.model import Config
from lading.image.store import Image
from lading.storage.digests import DiffId, Digest
from lading.storage.layers import Lease

Report = Callable[[dict[str, Any]], None]
"""Takes one object of the build's JSON stream."""


class BuildFailed(LadingError):
    """A command of the build ended with `code`, which is not zero."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What a build is asked for (API operation ImageBuild).

    With `cache_from`, only the steps of these images, those that are here, need not be done again.
    With `timed`, every message says when it was, as `timeNano` in Docker's JSON streams does:
    stages that run side by side are told of one after the other.
    """

    tags: tuple[str, ...] = ()
    target: str = ""
    build_args: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    no_cache: bool = False
    network: str = ""
    cache_from: tuple[str, ...] | None = None
    timed: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """One RUN: `argv` in a container over `image`, with `config`'s user, directory and so on.

    `image` is "" for a stage that is empty so far; `mounts` are there while it runs.
    """

    image: Digest
    config: Config
    argv: list[str]
    env: list[str]
    network: str
    mounts: tuple[HostMount, ...] = ()


class Host(Protocol):
    """What the engine does for the builder; what is not async blocks, and is called in a thread."""

    @property
    def caches(self) -> Caches:
        """The directories of cache mounts."""
        ...

    @property
    def files(self) -> Path:
        """Where files are kept during a build; what is left in there is nobody's."""
        ...

    @property
    def memory(self) -> Path:
        """As `files`, for what must not reach a disk: secrets."""
        ...

    async def find_image(self, ref: str, platform: str, report: Report) -> Image:
        """Find the image that FROM or a `from` names; raises NotFound."""
        ...

    async def run(self, command: Command, lease: Lease, report: Report) -> DiffId | None:
        """Run a command; give the layer of what it wrote, None for nothing.

        Raises BuildFailed; no container is left of a build that is cancelled.
        """
        ...

    def view(self, image: Image) -> AbstractContextManager[int]:
        """Give a read-only directory descriptor at the root of an image's file system."""
        ...

    def store(self, layer: Iterator[bytes], lease: Lease) -> DiffId:
        """Store a layer that comes as an archive in pieces, held by the lease."""
        ...

    async def tag(self, image: Image, name: str) -> str:
        """Name an image; gives the name in familiar form."""
        ...
