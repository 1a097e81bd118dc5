"""What an archive is compressed with, by its first bytes, and its plain bytes in bounded pieces."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from typing import IO, Protocol, TypeAlias, cast

from lading.errors import InvalidParameter, LadingError
from lading.storage.streams import Readable

CHUNK = 1 << 20
"""The most bytes that one pull gives: a small file that expands a thousandfold stays small here."""

Pull: TypeAlias = Callable[[], bytes]
"""Gives the next bytes of a stream; empty at its end."""


class Compression(Enum):
    """The compressions that Docker reads."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    BZIP2 = "bzip2"
    XZ = "xz"


_MAGIC = (
    (b"\x1f\x8b\x08", Compression.GZIP),
    (b"\x28\xb5\x2f\xfd", Compression.ZSTD),
    (b"BZh", Compression.BZIP2),
    (b"\xfd7zXZ\x00", Compression.XZ),
)
_LONGEST = 6


def detect(head: bytes) -> Compression:
    """Tell the compression from a stream's first six bytes or more."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
        return Compression.ZSTD  # a skippable frame comes first
    return Compression.NONE


class Peeked:
    """A stream whose first bytes were looked at and are given again."""

    def __init__(self, source: Readable, size: int = _LONGEST) -> None:
        self._source = source
        self.head = b""
        while len(self.head) < size:
            more = self._more(size - len(self.head) if self.head else CHUNK)
            if not more:
                break
            self.head += more
        self._rest = self.head

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes."""
        if not self._rest:
            return self._more(size)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def _more(self, size: int) -> bytes:
        """Read from the source; its failure is not to be taken for one of ours to write."""
        try:
            return self._source.read(size)
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            raise LadingError(f"cannot read the archive: {reason}") from error


def open_plain(source: Readable) -> tuple[Compression, Pull]:
    """Detect the compression of `source` and return it with a pull for the plain bytes.

    The pull raises InvalidParameter when the compressed data are damaged or cut off.
    """
    peeked = Peeked(source)
    kind = detect(peeked.head)
    if kind is Compression.NONE:
        return kind, lambda: peeked.read(CHUNK)
    if kind is Compression.ZSTD:
        return kind, _zstd(peeked)
    return kind, _Members(peeked, kind).pull


def _zstd(source: Readable) -> Pull:
    import zstandard

    # `zstd -19 --long` writes windows of up to 128 MiB; more is an attack on memory.
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    file = cast("IO[bytes]", _Sized(source))
    reader = decompressor.stream_reader(file, read_across_frames=True, closefd=False)

    def pull() -> bytes:
        try:
            return reader.read(CHUNK)
        except zstandard.ZstdError as error:
            raise InvalidParameter(f"the zstd-compressed archive is damaged: {error}") from error

    return pull


class _Sized:
    """Adapts a Readable to zstandard, which may ask with size -1."""

    def __init__(self, source: Readable) -> None:
        self._source = source

    def read(self, size: int = -1, /) -> bytes:
        return self._source.read(size if size > 0 else CHUNK)


class _Decompressor(Protocol):
    """What bz2, lzma and isal have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def _decompressor(kind: Compression) -> _Decompressor:
    if kind is Compression.GZIP:
        from isal import igzip_lib

        fresh: _Decompressor = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        return fresh
    if kind is Compression.BZIP2:
        import bz2

        return bz2.BZ2Decompressor()
    import lzma

    return lzma.LZMADecompressor(memlimit=1 << 28)


class _Members:
    """Plain bytes of a gzip, bzip2 or xz stream of one or more members."""

    def __init__(self, source: Readable, kind: Compression) -> None:
        self._source = source
        self._kind = kind
        self._member = _decompressor(kind)

    def pull(self) -> bytes:
        """Return the next plain bytes, at most CHUNK; empty at the end."""
        while True:
            data = self._step()
            if data is not None:
                return data

    def _step(self) -> bytes | None:
        """Return bytes, nothing at the end, or None when there is more to do."""
        member = self._member
        if member.eof:
            return self._next_member(member.unused_data)
        fed = b""
        if member.needs_input:
            fed = self._source.read(CHUNK // 4)
            if not fed:
                raise self._damaged("it ends too early")
        return self._decompress(fed) or None

    def _next_member(self, rest: bytes) -> bytes | None:
        """Go on with the member that follows; zeros after the last one are padding."""
        rest = rest.lstrip(b"\0")
        if not rest:
            rest = self._source.read(CHUNK // 4)
            if not rest:
                return b""
            if not rest.strip(b"\0"):
                return None
        self._member = _decompressor(self._kind)
        return self._decompress(rest) or None

    def _decompress(self, data: bytes) -> bytes:
        try:
            return self._member.decompress(data, CHUNK)
        except (MemoryError, AssertionError):
            raise
        except Exception as error:
            # bz2, lzma and isal each have exceptions of their own for bad data.
            raise self._damaged(str(error)) from error

    def _damaged(self, why: str) -> InvalidParameter:
        return InvalidParameter(f"the {self._kind.value}-compressed archive is damaged: {why}")
