"""`docker load`, `docker save` and `docker import`: images as tar streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from lading.image.store import Image, ImageStore
from lading.storage.streams import Readable


@dataclass(frozen=True, slots=True)
class LayerProgress:
    """A layer is being loaded: `id` is 12 digits of its diff ID, sizes in bytes."""

    id: str
    current: int
    total: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image was loaded: `reference` is its familiar tag, or "" when it has only an ID."""

    image: Image
    reference: str
    renamed: str = ""
    """The tag was another image's, which keeps this ID."""


LoadEvent: TypeAlias = LayerProgress | Loaded


def load(
    store: ImageStore, source: Readable, report: Callable[[LoadEvent], None] | None = None
) -> list[Loaded]:
    """Load every image in a `docker save` or OCI layout archive, compressed or not."""
    raise NotImplementedError


def save(store: ImageStore, references: Sequence[str]) -> Iterator[bytes]:
    """Yield an archive with these images: an OCI layout with Docker's manifest.json.

    NotFound for an unknown image is raised before the first byte.
    """
    raise NotImplementedError


def import_(
    store: ImageStore,
    source: Readable,
    *,
    repository: str = "",
    tag: str = "",
    message: str = "",
    changes: Sequence[str] = (),
    platform: str = "",
) -> Image:
    """Make a one-layer image of a root file system tar; `changes` are Dockerfile instructions."""
    raise NotImplementedError
