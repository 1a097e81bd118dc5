"""A container's log as it is read: from the end, from a time on, and while it is written.

Both readers are asynchronous generators of batches, oldest line first. The files are local and read
by the chunk, which takes well under a millisecond, so no thread is involved; between two batches
other tasks get their turn. A follower sleeps until inotify tells of a change, goes on through
rotations without losing a line, and ends when its `ended` event is set and all was read.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from lading.shim.inotify import DirectoryWatch
from lading.shim.logoptions import LogContext, check_options, log_attributes, log_config
from lading.shim.logsources import sources, tail_offset, whole_lines
from lading.shim.moments import SECOND, rfc3339

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    from lading.shim.logsources import Source

__all__ = [
    "LogContext",
    "LogEntry",
    "LogQuery",
    "check_options",
    "follow",
    "log_attributes",
    "log_config",
    "read",
]


class LogEntry(msgspec.Struct, frozen=True):
    """One entry: text with its newline (a piece of a long line has none), stream and time.

    `time` is RFC 3339 in UTC with nanoseconds.
    """

    log: str
    stream: str
    time: str
    attrs: dict[str, str] = {}


@dataclass(slots=True, frozen=True)
class LogQuery:
    """What is wanted of a log; `since` and `until` are nanoseconds since the epoch, inclusive.

    `tail` counts the entries of both streams from the end, before the other conditions apply, as
    Docker does; -1 is all. `until` 0 is no limit.
    """

    stdout: bool = True
    stderr: bool = True
    tail: int = -1
    since: int = 0
    until: int = 0


_EVERYTHING = LogQuery()
_decoder = msgspec.json.Decoder(LogEntry)


async def read(path: Path, query: LogQuery = _EVERYTHING) -> AsyncGenerator[list[LogEntry], None]:
    """Yield what the log at `path` and its rotated predecessors hold; nothing if there is none."""
    cursor = _Cursor(path, query)
    try:
        for batch in cursor.available():
            yield batch
            await asyncio.sleep(0)
    finally:
        cursor.close()


async def follow(
    path: Path, ended: asyncio.Event, query: LogQuery = _EVERYTHING
) -> AsyncGenerator[list[LogEntry], None]:
    """Yield as `read` does, then what is written, until `ended` is set and the rest was read.

    Ends at `query.until`, too, even if nothing is written then. `path`'s directory must exist.
    """
    changed = asyncio.Event()
    watch = DirectoryWatch(path.parent)
    loop = asyncio.get_running_loop()
    loop.add_reader(watch.descriptor, changed.set)
    ending = asyncio.create_task(ended.wait())
    ending.add_done_callback(lambda _: changed.set())
    deadline = _wake_at(query.until, changed)
    cursor = _Cursor(path, query)
    try:
        while not cursor.finished:
            watch.clear()
            changed.clear()
            last = ended.is_set()
            for batch in cursor.available(newer=True):
                yield batch
                await asyncio.sleep(0)
            if last or cursor.past_until():
                return
            await changed.wait()
    finally:
        cursor.close()
        if deadline is not None:
            deadline.cancel()
        ending.cancel()
        loop.remove_reader(watch.descriptor)
        watch.close()


def _wake_at(until: int, changed: asyncio.Event) -> asyncio.TimerHandle | None:
    if not until:
        return None
    import time

    delay = max(0.0, (until - time.time_ns()) / SECOND)
    return asyncio.get_running_loop().call_later(delay, changed.set)


class _Cursor:
    """A place in a log, and the lines from there on that the query asks for."""

    def __init__(self, path: Path, query: LogQuery) -> None:
        self._path = str(path)
        self._query = query
        self._since = rfc3339(query.since) if query.since > 0 else ""
        self._until = rfc3339(query.until) if query.until else ""
        self._pending = sources(self._path)
        self._current: Source | None = None
        self._offset = 0
        self._first_offset = self._seek_tail()
        self.finished = False

    def _seek_tail(self) -> int:
        """Drop the files before the wanted tail; gives where to begin in the first that is left."""
        wanted = self._query.tail
        if wanted < 0:
            return 0
        for number in range(len(self._pending) - 1, -1, -1):
            offset, wanted = tail_offset(self._pending[number], wanted)
            if wanted <= 0:
                for dropped in self._pending[:number]:
                    dropped.close()
                del self._pending[:number]
                return offset
        return 0

    def available(self, *, newer: bool = False) -> Iterator[list[LogEntry]]:
        """Yield all that can be read now; with `newer`, of files made since the last call, too."""
        while not self.finished:
            if self._current is not None:
                yield from self._rest_of_current()
            if newer and not self._pending:
                self._pending = sources(self._path, after=self._inode())
                if self._pending and self._current is not None:
                    # it may have been written to between our last look at it and its rotation
                    yield from self._rest_of_current()
            if not self._pending:
                return
            if self._current is not None:
                self._current.close()
            self._current = self._pending.pop(0)
            self._offset, self._first_offset = self._first_offset, 0

    def _inode(self) -> int:
        return self._current.inode if self._current is not None else 0

    def _rest_of_current(self) -> Iterator[list[LogEntry]]:
        assert self._current is not None
        for block, offset in whole_lines(self._current, self._offset):
            self._offset = offset
            batch = self._selected(_decoded(block))
            if batch:
                yield batch
            if self.finished:
                return

    def _selected(self, entries: list[LogEntry]) -> list[LogEntry]:
        query = self._query
        if self._until and entries and entries[-1].time > self._until:
            entries = [entry for entry in entries if entry.time <= self._until]
            self.finished = True
        if self._since and entries and entries[0].time < self._since:
            entries = [entry for entry in entries if entry.time >= self._since]
        if not (query.stdout and query.stderr):
            wanted = {"stdout": query.stdout, "stderr": query.stderr}
            entries = [entry for entry in entries if wanted.get(entry.stream, False)]
        return entries

    def past_until(self) -> bool:
        """Tell whether the clock has passed the query's end."""
        if not self._until:
            return False
        import time

        return time.time_ns() > self._query.until

    def close(self) -> None:
        """Close all files."""
        for source in self._pending:
            source.close()
        if self._current is not None:
            self._current.close()


def _decoded(block: bytes) -> list[LogEntry]:
    """Decode whole lines; one that a crash left torn is passed over."""
    try:
        return _decoder.decode_lines(block)
    except msgspec.DecodeError:
        pass
    entries = []
    for line in block.splitlines():
        try:
            entries.append(_decoder.decode(line))
        except msgspec.DecodeError:
            continue
    return entries
