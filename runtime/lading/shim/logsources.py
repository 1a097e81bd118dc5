"""The files that make up a log, from the oldest to the current one, and reading lines of them."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Protocol

from lading.shim.logwriter import INODE_COMMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 256 * 1024
HEAD = 128
_GZIP_FIXED = 10
"""Bytes of a gzip header before its comment."""
_GZIP_BLOCK = 128 * 1024
"""Bytes of a gzip file that hold the beginning of its content for sure."""


class Source(Protocol):
    """One file of a log; `inode` is the number it has or, compressed, had."""

    inode: int
    head: bytes
    """How it begins: an inode number is used again after its file was compressed."""

    def size(self) -> int:
        """Give its length in bytes, which grows while it is the current file."""
        ...

    def read(self, offset: int, count: int) -> bytes:
        """Read at `offset`; less than `count` bytes at the end."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class PlainFile:
    """A file as it is written."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.inode = os.fstat(self._descriptor).st_ino
        self.head = self.read(0, HEAD)

    def size(self) -> int:
        """Give its length now."""
        return os.fstat(self._descriptor).st_size

    def read(self, offset: int, count: int) -> bytes:
        """Read what is there now."""
        return os.pread(self._descriptor, count, offset)

    def close(self) -> None:
        """Close it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class PackedFile:
    """A compressed predecessor; unpacked into memory when it is first read."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")  # noqa: SIM115  # closed by close()
        self._data: bytes | None = None
        comment = self._file.read(64)[_GZIP_FIXED:].partition(b"\0")[0]
        known = comment.startswith(INODE_COMMENT)
        own = os.fstat(self._file.fileno()).st_ino
        self.inode = int(comment.removeprefix(INODE_COMMENT)) if known else own
        self._file.seek(0)
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self.head = unpacker.decompress(self._file.read(_GZIP_BLOCK), HEAD)

    def _content(self) -> bytes:
        if self._data is None:
            self._file.seek(0)
            self._data = zlib.decompress(self._file.read(), wbits=16 + zlib.MAX_WBITS)
        return self._data

    def size(self) -> int:
        """Give its unpacked length."""
        return len(self._content())

    def read(self, offset: int, count: int) -> bytes:
        """Read a part of the unpacked content."""
        return self._content()[offset : offset + count]

    def close(self) -> None:
        """Drop the content."""
        self._data = None
        self._file.close()


def sources(path: str, after: int = 0) -> list[Source]:
    """Open the files of the log at `path`, oldest first; only those newer than inode `after`.

    They are opened from the newest on, so that a rotation meanwhile shows a file twice (which is
    noticed) rather than not at all. If no file is `after`, all of them are newer.
    """
    found: list[Source] = []
    seen: set[tuple[int, bytes]] = set()
    for candidate in _candidates(path):
        identity = candidate.inode, candidate.head
        if candidate.inode == after or identity in seen:
            candidate.close()
            if candidate.inode == after:
                break
            continue
        seen.add(identity)
        found.append(candidate)
    return found[::-1]


def _candidates(path: str) -> Iterator[Source]:
    current = _opened(path)
    if current is not None:
        yield current
    number = 1
    missing = 0
    while missing < 2:  # one number is missing for a moment while the files are shifted
        source = _opened(f"{path}.{number}") or _opened(f"{path}.{number}.gz")
        if source is None:
            missing += 1
        else:
            missing = 0
            yield source
        number += 1


def _opened(path: str) -> Source | None:
    try:
        return PackedFile(path) if path.endswith(".gz") else PlainFile(path)
    except FileNotFoundError:
        return None


def tail_offset(source: Source, lines: int) -> tuple[int, int]:
    """Find where the last `lines` lines begin: (offset, how many lines are missing before it)."""
    position = source.size()
    if lines <= 0:
        return position, 0
    wanted = lines + 1  # newlines: that of each line, and the one before them
    while position > 0:
        start = max(0, position - CHUNK)
        block = source.read(start, position - start)
        newlines = block.count(b"\n")
        if newlines < wanted:
            wanted -= newlines
            position = start
            continue
        at = len(block)
        for _ in range(wanted):
            at = block.rindex(b"\n", 0, at)
        return start + at + 1, 0
    return 0, wanted - 1


def whole_lines(source: Source, offset: int) -> Iterator[tuple[bytes, int]]:
    """Yield blocks of whole lines from `offset` on, each with the offset after it.

    Ends where the file ends now, so that a busy writer is not chased; a last line without a
    newline, which is still being written, is left for later.
    """
    rest = b""
    position, end = offset, source.size()
    while position < end and (data := source.read(position, min(CHUNK, end - position))):
        position += len(data)
        cut = data.rfind(b"\n") + 1
        if not cut:
            rest += data
            continue
        block = rest + data[:cut]
        rest = data[cut:]
        yield block, position - len(rest)
