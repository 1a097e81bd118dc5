"""A container's log as a client gets it: frames of the multiplexed stream, or plain bytes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from lading.engine.waits import Condition
from lading.errors import NotImplementedYet
from lading.shim import logfile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from lading.engine.model import LogOptions
    from lading.engine.registry import Entry

_STREAMS = {"stdin": 0, "stdout": 1, "stderr": 2}


def frame(stream: str, payload: bytes) -> bytes:
    """Put the multiplexed stream's header before a piece of output (API: ContainerAttach)."""
    return bytes((_STREAMS[stream], 0, 0, 0)) + len(payload).to_bytes(4, "big") + payload


def read_log(entry: Entry, options: LogOptions) -> AsyncIterator[bytes]:
    """Give the part of a container's log that `options` ask for.

    A followed log ends when the container does. Raises NotImplementedYet when the container's
    log driver keeps nothing to read.
    """
    record = entry.record
    if record.host_config.log_config.type == "none":
        raise NotImplementedYet("configured logging driver does not support reading")
    if not record.log_path:
        return _encoded(_no_entries(), options, tty=True)
    path = Path(record.log_path)
    query = logfile.LogQuery(
        stdout=options.stdout,
        stderr=options.stderr,
        tail=-1 if options.tail is None else options.tail,
        since=options.since,
        until=options.until,
    )
    if options.follow and record.running:
        batches = logfile.follow(path, _end_of(entry), query)
    else:
        batches = logfile.read(path, query)
    return _encoded(batches, options, tty=record.config.tty)


def _end_of(entry: Entry) -> asyncio.Event:
    """Give an event that is set when the container exits."""
    ended = asyncio.Event()
    future = entry.waits.add(Condition.NEXT_EXIT, entry.state)
    future.add_done_callback(lambda _: ended.set())
    return ended


async def _encoded(
    batches: AsyncIterator[list[logfile.LogEntry]], options: LogOptions, *, tty: bool
) -> AsyncIterator[bytes]:
    async for batch in batches:
        yield b"".join(_encode(batch, options, tty=tty))


def _encode(
    batch: Iterable[logfile.LogEntry], options: LogOptions, *, tty: bool
) -> Iterable[bytes]:
    for line in batch:
        text = line.log
        if options.details:
            text = _details(line.attrs) + text
        if options.timestamps:
            text = f"{padded(line.time)} {text}"
        payload = text.encode("utf-8", "surrogateescape")
        yield payload if tty else frame(line.stream, payload)


def _details(attributes: dict[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(attributes.items())) + " "


def padded(time: str) -> str:
    """Write a time of the log with all nine digits of its fraction, as `logs --timestamps`."""
    seconds, _, fraction = time.removesuffix("Z").partition(".")
    return f"{seconds}.{fraction:0<9}Z"


async def _no_entries() -> AsyncIterator[list[logfile.LogEntry]]:
    """Give one empty batch: the container never ran."""
    yield []
