"""The shapes in which bytes come in and go out of storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

Progress: TypeAlias = Callable[[int], None]
"""Called with the number of bytes consumed so far, from the thread that does the work."""


class Readable(Protocol):
    """Anything that bytes are read from: an open file, a pipe, an HTTP body bridged to a thread."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, as soon as there are some; empty at the end."""
        ...


class ChunkReader:
    """A file to read from, made of an iterator of bytes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        """Give up to `size` bytes; empty at the end."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = chunk
        given, self._rest = self._rest[:size], self._rest[size:]
        return given
