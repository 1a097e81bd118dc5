"""A container's log file in Docker's json-file format: writing with rotation, reading, following."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lading.shim.protocol import LogConfig


def log_config(
    driver: str, options: Mapping[str, str], path: Path, attrs: Mapping[str, str]
) -> LogConfig:
    """Check Docker's log options (max-size, max-file, compress, labels, env, tag …) and make a LogConfig.

    `path` is the log file; `attrs` is what labels/env/tag select, already evaluated. Raises InvalidParameter in Docker's words.
    """
    raise NotImplementedError


class LogEntry(msgspec.Struct, frozen=True):
    """One line of the log: text with its newline (a partial line has none), and when it was written."""

    log: str
    stream: str
    time: str
    attrs: dict[str, str] = {}


@dataclass(slots=True, frozen=True)
class LogQuery:
    """What is wanted of a log; `since` and `until` are nanoseconds since the epoch."""

    stdout: bool = True
    stderr: bool = True
    tail: int = -1
    """Lines from the end; -1 for all."""
    since: int = 0
    until: int = 0
    """0 for no limit."""


def read(path: Path, query: LogQuery = LogQuery()) -> AsyncIterator[list[LogEntry]]:
    """Yield what the log (and its rotated predecessors) holds, in batches."""
    raise NotImplementedError


def follow(
    path: Path, ended: asyncio.Event, query: LogQuery = LogQuery()
) -> AsyncIterator[list[LogEntry]]:
    """Like `read`, then yield lines as they are written, across rotations, until `ended` is set and the rest was read."""
    raise NotImplementedError
