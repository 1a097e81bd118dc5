"""Entries and payloads of a tar stream, read once from front to back.

A reader can be tapped: everything it consumes except the payloads taken with `content` goes to the
tap. Those bytes are a layer's *recipe*; read again, with `omit` for what
was taken, they tell where the contents go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from lading.storage.archive.compression import Pull
from lading.storage.archive.entries import Entry, Kind
from lading.storage.archive.headers import (
    BLOCK,
    SPECIAL_MAX,
    ZEROS,
    apply_pax,
    damaged,
    parse_block,
    parse_pax,
)
from lading.storage.archive.sparse import from_old_header, from_pax

Tap: TypeAlias = Callable[[bytes | memoryview], object]

_SPECIAL = {b"x", b"g", b"X", b"L", b"K"}
_WITHOUT_PAYLOAD = {
    Kind.HARD_LINK,
    Kind.SYMLINK,
    Kind.CHARACTER,
    Kind.BLOCK,
    Kind.DIRECTORY,
    Kind.FIFO,
}
"""These have no payload whatever their size field says, as Go's and Python's readers hold, too."""


class TarReader:
    """Reads a tar stream from `pull`.

    >>> for entry in reader:
    ...     for piece in reader.content():
    ...         use(piece)

    A payload that is not taken is skipped. Raises InvalidParameter for a malformed or cut-off
    archive. `index` counts the entries given, from 0.
    """

    def __init__(self, pull: Pull, tap: Tap | None = None) -> None:
        self.index = -1
        self._pull = pull
        self._tap = tap
        self._data = b""
        self._view = memoryview(b"")
        self._at = 0
        self._left = 0
        self._entry: Entry | None = None

    def __iter__(self) -> Iterator[Entry]:
        while (entry := self.next()) is not None:
            yield entry

    def next(self) -> Entry | None:
        """Go to the next entry; None at the end of the archive."""
        self._skip_payload()
        records: list[tuple[str, bytes]] = []
        long_name = long_link = b""
        while True:
            block = self._header()
            if block is None:
                self._entry = None
                return None
            flag, entry = parse_block(block)
            if flag not in _SPECIAL:
                break
            special = self._special(entry)
            if flag in {b"x", b"X"}:
                records = parse_pax(special)
            elif flag == b"L":
                long_name = special.partition(b"\0")[0]
            elif flag == b"K":
                long_link = special.partition(b"\0")[0]
        if records or long_name or long_link or flag == b"S":
            self._refine(entry, flag, block, records, long_name, long_link)
        if entry.kind is Kind.FILE and entry.name.endswith(b"/") and entry.extents is None:
            entry.kind = Kind.DIRECTORY  # as archives from before POSIX wrote it
        if entry.kind in _WITHOUT_PAYLOAD:
            entry.size = entry.stored = 0
        self._left = entry.stored
        self._entry = entry
        self.index += 1
        return entry

    def content(self) -> Iterator[memoryview]:
        """Yield the current entry's stored bytes in pieces, without giving them to the tap."""
        while self._left:
            if self._at >= len(self._data):
                self._refill()
            end = min(self._at + self._left, len(self._data))
            piece = self._view[self._at : end]
            self._at = end
            self._left -= len(piece)
            yield piece

    def read(self, size: int, /) -> bytes:
        """Read from the current entry's payload, not given to the tap; empty at its end."""
        if not self._left:
            return b""
        if self._at >= len(self._data):
            self._refill()
        end = min(self._at + min(self._left, size), len(self._data))
        piece = self._data[self._at : end]
        self._at = end
        self._left -= len(piece)
        return piece

    def omit(self) -> None:
        """Say that the current entry's payload is not in this stream."""
        self._left = 0

    def drain(self) -> None:
        """Consume everything to the end of the stream, past the end of the archive."""
        self._skip_payload()
        while True:
            if self._at < len(self._data) and self._tap is not None:
                self._tap(self._view[self._at :])
            self._at = len(self._data)
            data = self._pull()
            if not data:
                return
            self._set(data)

    def _refine(
        self,
        entry: Entry,
        flag: bytes,
        block: bytes,
        records: list[tuple[str, bytes]],
        long_name: bytes,
        long_link: bytes,
    ) -> None:
        if long_name:
            entry.name = long_name
        if long_link:
            entry.link = long_link
        if records:
            apply_pax(entry, dict(records))
        if flag == b"S":
            from_old_header(entry, block, self._take)
        elif records and entry.kind is Kind.FILE:
            from_pax(entry, records, self._take)

    def _header(self) -> bytes | None:
        """Return the next header block; None at the end of the archive."""
        end = self._at + BLOCK
        if end <= len(self._data):
            block = self._data[self._at : end]
            self._at = end
            if self._tap is not None:
                self._tap(block)
        else:
            block = self._gather(BLOCK, allow_end=True)
        if block == ZEROS or not block:
            return None
        return block

    def _special(self, entry: Entry) -> bytes:
        if entry.stored > SPECIAL_MAX:
            raise damaged(f"a header of {entry.stored} bytes; at most {SPECIAL_MAX} are accepted")
        data = self._take(entry.stored)
        if padding := -entry.stored % BLOCK:
            self._take(padding)
        return data

    def _skip_payload(self) -> None:
        """Leave the current entry behind: the rest of its payload and the padding."""
        entry = self._entry
        if entry is None:
            return
        self._entry = None
        while self._left:
            self._take(min(self._left, 1 << 18), payload=True)
        padding = -entry.stored % BLOCK
        if padding:
            end = self._at + padding
            if end <= len(self._data):
                if self._tap is not None:
                    self._tap(self._data[self._at : end])
                self._at = end
            else:
                self._gather(padding, allow_end=False)

    def _take(self, size: int, *, payload: bool = False) -> bytes:
        if payload:
            self._left -= size
        end = self._at + size
        if end > len(self._data):
            return self._gather(size, allow_end=False)
        data = self._data[self._at : end]
        self._at = end
        if self._tap is not None:
            self._tap(data)
        return data

    def _gather(self, size: int, *, allow_end: bool) -> bytes:
        """Take bytes that span pieces; at the very end nothing, if that is allowed."""
        parts = [self._data[self._at :]]
        have = len(parts[0])
        self._at = len(self._data)
        while have < size:
            data = self._pull()
            if not data:
                if allow_end and not have:
                    return b""
                raise damaged("it ends in the middle of an entry (unexpected EOF)")
            self._set(data)
            taken = data[: size - have]
            self._at = len(taken)
            have += len(taken)
            parts.append(taken)
        whole = b"".join(parts)
        if self._tap is not None:
            self._tap(whole)
        return whole

    def _refill(self) -> None:
        data = self._pull()
        if not data:
            name = self._entry.shown if self._entry else "an entry"
            raise damaged(f"it ends in the middle of {name} (unexpected EOF)")
        self._set(data)

    def _set(self, data: bytes) -> None:
        self._data = data
        self._view = memoryview(data)
        self._at = 0
