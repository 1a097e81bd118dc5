"""A container's streams in a web socket: its output in binary messages, any message as input."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from aiohttp.http_websocket import WSMsgType
from aiohttp.web_ws import WebSocketResponse

from lading.api.demultiplex import Demultiplexer

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest
    from aiohttp.web_response import StreamResponse

    from lading.engine.attach import Session
    from lading.engine.engine import Engine
    from lading.engine.model import AttachOptions


async def attach(
    request: BaseRequest, engine: Engine, name: str, options: AttachOptions
) -> StreamResponse:
    """Join a container's streams; stdout and stderr are not told apart, as in Docker."""
    session = await engine.containers.attach(name, options)
    socket = WebSocketResponse()
    try:
        await socket.prepare(request)
        output = asyncio.create_task(_send_output(socket, session))
        try:
            await _take_input(socket, session, wanted=options.stdin)
        finally:
            output.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await output
    finally:
        session.close()
    await socket.close()
    return socket


async def _send_output(socket: WebSocketResponse, session: Session) -> None:
    frames = Demultiplexer()
    while data := await session.read():
        text = frames.payload(data) if session.multiplexed else data
        if text:
            await socket.send_bytes(text)
    await socket.close()


async def _take_input(socket: WebSocketResponse, session: Session, *, wanted: bool) -> None:
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            data = message.data.encode()
        elif message.type is WSMsgType.BINARY:
            data = message.data
        else:
            return
        if wanted and not await session.write(data):
            return
    if wanted:
        await session.close_stdin()
