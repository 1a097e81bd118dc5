"""Images by ID, their tags and digests, and what their deletion frees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from lading.image.model import Config
from lading.image.reference import Reference
from lading.storage.blobs import BlobStore
from lading.storage.digests import DiffId, Digest
from lading.storage.layers import LayerStore


@dataclass(frozen=True, slots=True)
class Image:
    """An image as the store knows it; a snapshot, not changed by later operations.

    `size` is the sum of its layers' sizes in bytes; `tags` and `digests` are in familiar form,
    sorted; `created` and `last_tagged` are RFC 3339 ("" when unknown).
    """

    id: Digest
    parent: Digest
    created: str
    author: str
    comment: str
    architecture: str
    variant: str
    os: str
    docker_version: str
    config: Config
    diff_ids: tuple[DiffId, ...]
    size: int
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    last_tagged: str


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One line of `docker history`; `created` in seconds since 1970, `id` `<missing>` if unknown."""

    id: str
    created: int
    created_by: str
    tags: tuple[str, ...]
    size: int
    comment: str


@dataclass(frozen=True, slots=True)
class ImageUser:
    """A container that was made from an image."""

    container_id: str
    running: bool


ImageUsers: TypeAlias = Callable[[Digest], Sequence[ImageUser]]
"""Asks the engine which containers use an image."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One item of `DELETE /images/{name}`'s answer: exactly one of the two is not empty."""

    untagged: str = ""
    deleted: str = ""


class ImageStore:
    """The images under `root` (ROOT/image); safe to call from several threads."""

    def __init__(self, root: Path, blobs: BlobStore, layers: LayerStore) -> None:
        self.root = root
        self.blobs = blobs
        self.layers = layers

    def open(self) -> None:
        """Load the images and repair what a crash left: dangling names, records without a blob."""
        raise NotImplementedError

    def get(self, ref: str) -> Image:
        """Find an image by ID, short ID, name, name:tag or name@digest.

        Raises NotFound "No such image: REF" and InvalidParameter for an ambiguous short ID.
        """
        raise NotImplementedError

    def list(self) -> list[Image]:
        """Return every image, newest first."""
        raise NotImplementedError

    def children(self, image_id: Digest) -> list[Digest]:
        """Return the images whose parent is this one."""
        raise NotImplementedError

    def shared_size(self, image: Image) -> int:
        """Return the bytes of the layers that other images use as well."""
        raise NotImplementedError

    def create(self, config: bytes, *, parent: Digest = "") -> Image:
        """Register the image with this config; its layers must be there. It may exist already."""
        raise NotImplementedError

    def tag(self, image_id: Digest, reference: Reference) -> Digest:
        """Point a tag (or digest) at an image; return the ID it pointed at before, or ""."""
        raise NotImplementedError

    def untag(self, reference: Reference) -> Digest:
        """Remove a tag or digest and return the ID it pointed at; NotFound when there is none."""
        raise NotImplementedError

    def remove(
        self, ref: str, *, force: bool = False, prune: bool = True, users: ImageUsers
    ) -> list[Removal]:
        """Untag or delete as `docker rmi` does; Conflict in its words when something is in the way."""
        raise NotImplementedError

    def history(self, image: Image) -> list[HistoryItem]:
        """Return what `docker history` shows, newest first."""
        raise NotImplementedError

    def lease(self) -> AbstractContextManager[Lease]:
        """Hold layers that no image refers to yet, while one is being made."""
        raise NotImplementedError

    def add_layer_users(self, source: Callable[[], Iterable[DiffId]]) -> None:
        """Register one more place that uses layers (the build cache)."""
        raise NotImplementedError

    def collect(self) -> int:
        """Delete every layer and blob that nothing uses; return the bytes freed."""
        raise NotImplementedError


class Lease:
    """Layers held against deletion until its context ends."""

    def hold(self, diff_id: DiffId) -> None:
        """Keep this layer, present or about to be."""
        raise NotImplementedError
