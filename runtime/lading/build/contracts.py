"""What the builder needs of its surroundings: the engine runs commands and finds images for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

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
    """What a build is asked for (API operation ImageBuild)."""

    tags: tuple[str, ...] = ()
    target: str = ""
    build_args: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    no_cache: bool = False
    network: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """One RUN: `argv` in a container over `image`, with `config`'s user, directory and so on."""

    image: Digest
    config: Config
    argv: list[str]
    env: list[str]
    network: str


class Host(Protocol):
    """What the engine does for the builder."""

    def find_image(self, ref: str, platform: str) -> Image:
        """Find the image of a FROM; raises NotFound."""
        ...

    async def run(self, command: Command, lease: Lease, report: Report) -> DiffId | None:
        """Run a command; give the layer of what it wrote, None for nothing.

        Raises BuildFailed; no container is left in any case, also when the build is cancelled.
        """
        ...

    def make_directory(self, image: Image | None, path: str, lease: Lease) -> DiffId | None:
        """Give the layer that a directory makes, None when the image has it."""
        ...

    def tag(self, image: Digest, name: str) -> str:
        """Name an image; gives the name in familiar form."""
        ...
