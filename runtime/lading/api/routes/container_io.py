"""Containers' streams: attach, logs, stats, and the size of their terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lading.api.call import Call
from lading.api.hijack import relay, take_over, wants_upgrade
from lading.api.responses import MULTIPLEXED, RAW, AlreadySent, empty, open_stream
from lading.api.streaming import while_connected
from lading.api.versions import Version
from lading.engine.model import AttachOptions, LogOptions
from lading.errors import InvalidParameter

if TYPE_CHECKING:
    from aiohttp.web_response import StreamResponse

MULTIPLEXED_SINCE = Version(1, 42)
"""From here on the content type tells a multiplexed stream from a raw one."""


async def container_attach(call: Call) -> StreamResponse:
    """ContainerAttach: the connection becomes the container's standard streams."""
    container = call.engine.containers.get(call.name)
    options = _attach_options(call)
    multiplexed = not container.config.tty and call.version >= MULTIPLEXED_SINCE
    content_type = MULTIPLEXED if multiplexed and wants_upgrade(call.request) else RAW
    session = await call.engine.containers.attach(container.id, options)
    try:
        stream = take_over(call.request, content_type)
    except ConnectionError:
        session.close()
        raise
    await relay(stream, session, with_input=options.stdin and options.stream)
    return AlreadySent()


def _attach_options(call: Call) -> AttachOptions:
    return AttachOptions(
        stdin=call.flag("stdin"),
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        stream=call.flag("stream"),
        logs=call.flag("logs"),
        detach_keys=call.text("detachKeys"),
    )


async def container_attach_websocket(call: Call) -> StreamResponse:
    """ContainerAttachWebsocket: the same in a web socket, without multiplexing."""
    from lading.api.websocket import attach

    return await attach(call.request, call.engine, call.name, _attach_options(call))


async def container_logs(call: Call) -> StreamResponse:
    """ContainerLogs."""
    container = call.engine.containers.get(call.name)
    options = LogOptions(
        stdout=call.flag("stdout"),
        stderr=call.flag("stderr"),
        follow=call.flag("follow"),
        timestamps=call.flag("timestamps"),
        details=call.flag("details"),
        since=call.moment("since") or 0,
        until=call.moment("until") or 0,
        tail=_tail(call.text("tail")),
    )
    if not (options.stdout or options.stderr):
        raise InvalidParameter("Bad parameters: you must choose at least one stream")
    multiplexed = not container.config.tty and call.version >= MULTIPLEXED_SINCE
    lines = await call.engine.containers.logs(container.id, options)
    response = await open_stream(call.request, MULTIPLEXED if multiplexed else RAW)
    async for chunk in while_connected(call.request, lines):
        await response.write(chunk)
    await response.write_eof()
    return response


def _tail(text: str) -> int | None:
    """Read how many lines are wanted; `all`, and what is not a number, mean all of them."""
    try:
        lines = int(text)
    except ValueError:
        return None
    return lines if lines >= 0 else None


async def container_stats(call: Call) -> StreamResponse:
    """ContainerStats: one JSON object a sample."""
    stream = call.flag("stream", default=True)
    one_shot = call.flag("one-shot")
    if stream and one_shot:
        raise InvalidParameter("cannot have stream=true and one-shot=true")
    samples = await call.engine.containers.stats(call.name, stream=stream, one_shot=one_shot)
    response = await open_stream(call.request, "application/json")
    async for sample in while_connected(call.request, samples):
        await response.write(msgspec.json.encode(sample) + b"\n")
    await response.write_eof()
    return response


async def container_resize(call: Call) -> StreamResponse:
    """ContainerResize."""
    height, width = terminal_size(call)
    await call.engine.containers.resize(call.name, height, width)
    return empty(200)


def terminal_size(call: Call) -> tuple[int, int]:
    """Read `h` and `w`, the rows and columns of a terminal; raises InvalidParameter."""
    return _cells("height", call.text("h")), _cells("width", call.text("w"))


def _cells(side: str, text: str) -> int:
    """Read a number of rows or columns; the kernel keeps them in 16 bits (ioctl_tty(2))."""
    if not text.isdecimal():
        raise InvalidParameter(f'invalid resize {side} "{text}": invalid syntax')
    if int(text) >= 1 << 16:
        raise InvalidParameter(f'invalid resize {side} "{text}": value out of range')
    return int(text)


HANDLERS = {
    "ContainerAttach": container_attach,
    "ContainerAttachWebsocket": container_attach_websocket,
    "ContainerLogs": container_logs,
    "ContainerResize": container_resize,
    "ContainerStats": container_stats,
}
