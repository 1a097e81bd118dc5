"""The content store: blobs by their digest, verified as they come in, never half there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lading.errors import InvalidParameter, NotFound
from lading.files import TEMPORARY, explaining, sync_directory, temporary_name
from lading.storage.digests import Digest, digest_of, hex_of
from lading.storage.streams import Progress, Readable

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob that is in the store: its digest and its size in bytes."""

    digest: Digest
    size: int


class BlobStore:
    """Blobs under `root`/sha256/<hex>; `root` is ROOT/image/blobs. Safe from several threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._directory = root / "sha256"

    def open(self) -> None:
        """Make the directories and remove what an earlier crash left half-written."""
        with explaining(f"open the content store {self.root}"):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in self._directory.glob(TEMPORARY + "*"):
                path.unlink()

    def put(self, data: bytes) -> Digest:
        """Store `data` durably and return its digest."""
        digest = digest_of(data)
        if not self.exists(digest):
            with self.writer() as writer:
                writer.write(data)
                writer.commit(digest)
        return digest

    def ingest(
        self, source: Readable, expected: Digest | None = None, progress: Progress | None = None
    ) -> Blob:
        """Store all of `source`; InvalidParameter when its digest is not `expected`."""
        with self.writer() as writer:
            while data := source.read(_CHUNK):
                writer.write(data)
                if progress is not None:
                    progress(writer.size)
            return writer.commit(expected)

    def writer(self) -> BlobWriter:
        """Begin a blob that is written in pieces; nothing is in the store before `commit`."""
        return BlobWriter(self._directory)

    def read(self, digest: Digest) -> bytes:
        """Return a blob's bytes; NotFound when there is none."""
        with self.stream(digest) as file:
            return file.read()

    def stream(self, digest: Digest) -> BinaryIO:
        """Open a blob for reading; NotFound when there is none."""
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError:
            raise _missing(digest) from None

    def path(self, digest: Digest) -> Path:
        """Return where a blob is, or would be."""
        return self._directory / hex_of(digest)

    def exists(self, digest: Digest) -> bool:
        """Tell whether the blob is in the store."""
        return self.path(digest).exists()

    def size(self, digest: Digest) -> int:
        """Return a blob's size in bytes; NotFound when there is none."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            raise _missing(digest) from None

    def delete(self, digest: Digest) -> None:
        """Remove a blob; nothing happens when there is none."""
        self.path(digest).unlink(missing_ok=True)

    def walk(self) -> Iterator[Blob]:
        """Yield every blob in the store, in no order."""
        with os.scandir(self._directory) as listing:
            for entry in listing:
                if not entry.name.startswith(TEMPORARY):
                    yield Blob("sha256:" + entry.name, entry.stat().st_size)


class BlobWriter:
    """A blob being written; leaving its context without `commit` removes what was written."""

    def __init__(self, directory: Path) -> None:
        self.size = 0
        self._directory = directory
        self._path = directory / temporary_name()
        self._hash = hashlib.sha256()
        with explaining("write a blob"):
            self._file: BinaryIO | None = self._path.open("xb", buffering=0)

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(self, *ended: object) -> None:
        if self._file is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes."""
        assert self._file is not None
        self._hash.update(data)
        self.size += len(data)
        view = memoryview(data)
        with explaining("write a blob"):
            while view:
                view = view[self._file.write(view) or 0 :]

    def commit(self, expected: Digest | None = None) -> Blob:
        """Make the blob durable under its digest; InvalidParameter when it is not `expected`."""
        assert self._file is not None
        digest = "sha256:" + self._hash.hexdigest()
        if expected is not None and digest != expected:
            hex_of(expected)
            raise InvalidParameter(f"content does not match its digest: {expected} is {digest}")
        with explaining("write a blob"):
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
            self._path.rename(self._directory / hex_of(digest))
            sync_directory(self._directory)
        return Blob(digest, self.size)


def _missing(digest: Digest) -> NotFound:
    return NotFound(f"blob {digest} is not in the content store")
