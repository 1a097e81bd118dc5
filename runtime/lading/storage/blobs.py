"""The content store: blobs by their digest, verified as they come in, never half there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lading.storage.digests import Digest
from lading.storage.streams import Progress, Readable


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob that is in the store: its digest and its size in bytes."""

    digest: Digest
    size: int


class BlobStore:
    """Blobs under `root`/sha256/<hex>; `root` is ROOT/image/blobs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self) -> None:
        """Make the directories and remove what an earlier crash left half-written."""
        raise NotImplementedError

    def put(self, data: bytes) -> Digest:
        """Store `data` durably and return its digest."""
        raise NotImplementedError

    def ingest(
        self, source: Readable, expected: Digest | None = None, progress: Progress | None = None
    ) -> Blob:
        """Store all of `source`; InvalidParameter when its digest is not `expected`."""
        raise NotImplementedError

    def read(self, digest: Digest) -> bytes:
        """Return a blob's bytes; NotFound when there is none."""
        raise NotImplementedError

    def stream(self, digest: Digest) -> BinaryIO:
        """Open a blob for reading; NotFound when there is none."""
        raise NotImplementedError

    def exists(self, digest: Digest) -> bool:
        """Tell whether the blob is in the store."""
        raise NotImplementedError

    def size(self, digest: Digest) -> int:
        """Return a blob's size in bytes; NotFound when there is none."""
        raise NotImplementedError

    def delete(self, digest: Digest) -> None:
        """Remove a blob; nothing happens when there is none."""
        raise NotImplementedError

    def walk(self) -> Iterator[Blob]:
        """Yield every blob in the store, in no order."""
        raise NotImplementedError
