"""How a layer's tar stream is made again, byte for byte, from its unpacked directory.

A recipe is the tar stream without the contents of its regular files, compressed: headers in their
order, padding, and what stands after the end. Docker keeps the same knowledge (tar-split), since
the digest of the stream is the layer's identity, and no two programs write the same tar.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lading.errors import LadingError
from lading.storage.archive.entries import Entry, clean, holds_content
from lading.storage.archive.reader import TarReader
from lading.storage.digests import DiffId
from lading.storage.trees import Tree, open_root

_LEVEL = 1
"""Headers are mostly zeros: the lowest level makes 4.5 MB of them 150 kB in a few milliseconds."""

_GATHER = 256 * 1024
_READ = 1 << 20
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class RecipeWriter:
    """Takes what a tapped TarReader consumes and writes it, compressed, to a file."""

    def __init__(self, path: Path) -> None:
        import zstandard

        self._file = path.open("xb", buffering=0)
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
        self._pending = bytearray()

    def __enter__(self) -> RecipeWriter:
        return self

    def __exit__(self, *ended: object) -> None:
        self._file.close()

    def add(self, data: bytes | memoryview) -> None:
        """Add bytes of the stream."""
        self._pending += data
        if len(self._pending) >= _GATHER:
            self._file.write(self._compressor.compress(self._pending))
            self._pending = bytearray()

    def finish(self) -> None:
        """Write what is pending and the end of the compressed frame."""
        self._file.write(self._compressor.compress(self._pending) + self._compressor.flush())


def assemble(recipe: Path, content: Path, diff_id: DiffId) -> Iterator[bytes]:
    """Yield the tar stream that a recipe and an unpacked layer make.

    Raises LadingError when a file is not as it was, at the latest at the end, when the digest of
    what was yielded is not the diff ID.
    """
    digest = hashlib.sha256()
    with recipe.open("rb") as file:
        root = open_root(content)
        try:
            for data in _Assembly(file, root).stream():
                digest.update(data)
                yield data
        except OSError as error:
            raise _damaged(diff_id) from error
        finally:
            os.close(root)
    if "sha256:" + digest.hexdigest() != diff_id:
        raise _damaged(diff_id)


class _Assembly:
    """Reads a recipe with a tapped reader: the tap is what comes out, contents are put between."""

    def __init__(self, recipe: BinaryIO, root: int) -> None:
        import zstandard

        decompressor = zstandard.ZstdDecompressor().stream_reader(recipe, closefd=False)
        self._out = bytearray()
        self._reader = TarReader(lambda: decompressor.read(_GATHER), self._tap)
        self._root = root

    def stream(self) -> Iterator[bytes]:
        with Tree(self._root) as tree:
            for entry in self._reader:
                path = clean(entry.name)
                if holds_content(entry, path):
                    yield from self._content(entry, path, tree)
                if len(self._out) >= _GATHER:
                    yield self._flush()
        self._reader.drain()
        yield self._flush()

    def _content(self, entry: Entry, path: bytes, tree: Tree) -> Iterator[bytes]:
        """Put the stored bytes of one file into the stream."""
        self._reader.omit()
        if not entry.stored:
            return
        front, _, name = path.rpartition(b"/")
        parent, _ = tree.directory(front)
        descriptor = os.open(name, _OPEN, dir_fd=parent)
        try:
            for offset, length in entry.extents or [(0, entry.stored)]:
                if entry.extents is not None:
                    os.lseek(descriptor, offset, os.SEEK_SET)
                yield from self._bytes(descriptor, length, entry)
        finally:
            os.close(descriptor)

    def _bytes(self, descriptor: int, length: int, entry: Entry) -> Iterator[bytes]:
        while length:
            data = os.read(descriptor, min(length, _READ))
            if not data:
                raise LadingError(f"layer file {entry.shown} is shorter than when it was unpacked")
            length -= len(data)
            if len(data) >= _GATHER // 4:
                yield self._flush() + data
            else:
                self._out += data

    def _tap(self, data: bytes | memoryview) -> None:
        self._out += data

    def _flush(self) -> bytes:
        data = bytes(self._out)
        self._out.clear()
        return data


def _damaged(diff_id: DiffId) -> LadingError:
    return LadingError(f"layer {diff_id} was changed on disk since it was unpacked")
