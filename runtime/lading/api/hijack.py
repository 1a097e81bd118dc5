"""Connections that attach and exec take over: raw bytes both ways, each way ended on its own."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from lading.api.responses import RAW

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest

    from lading.api.connection import Connection
    from lading.engine.attach import Session

INPUT_LIMIT = 256 * 1024
"""Bytes of input that wait for the process before the client is made to wait."""

ENDING = 0.5
"""Seconds for a process to end in, once its output has."""

LEAVING = 2.0
"""Seconds for a client to leave in, once it was told the end of the output."""


class HijackedProtocol(asyncio.Protocol):
    """The client's side of a hijacked connection, as a stream with flow control both ways."""

    def __init__(self, transport: asyncio.Transport, connection: Connection, early: bytes) -> None:
        self._transport = transport
        self._connection = connection
        self._input = bytearray(early)
        self._ended = connection.input_ended
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection is closed in both directions."""
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        if early:
            self._readable.set()
        transport.set_protocol(self)
        if not transport.is_reading():
            transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Keep input for `read`."""
        self._input += data
        if len(self._input) >= INPUT_LIMIT:
            self._transport.pause_reading()
        self._readable.set()

    def eof_received(self) -> bool:
        """Note that no input follows; output still goes out."""
        self._ended = True
        self._readable.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake both directions and let aiohttp forget the connection."""
        self._ended = True
        self._readable.set()
        self._writable.set()
        if not self.lost.done():
            self.lost.set_result(None)
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """Hold `write` back: the client reads slower than the process writes."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let `write` go on."""
        self._writable.set()

    async def read(self) -> bytes:
        """Return the input that is there, empty when the client has closed its direction."""
        while not self._input:
            if self._ended:
                return b""
            self._readable.clear()
            await self._readable.wait()
        data = bytes(self._input)
        self._input.clear()
        if len(data) >= INPUT_LIMIT and not self.lost.done():
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send output; raises ConnectionResetError when the client is gone."""
        if self.lost.done():
            raise ConnectionResetError("the client closed the connection")
        self._transport.write(data)
        await self._writable.wait()

    def close(self) -> None:
        """Close the connection once what was written is sent."""
        self._transport.close()

    async def finish(self) -> None:
        """End the output, and close the connection when the client has left.

        A connection that is closed over input that nobody read is reset: the client would be told
        of that, rather than of the end.
        """
        if not self._ended:
            self._transport.write_eof()
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVING):
                    while await self.read():
                        pass
        self._transport.close()


def wants_upgrade(request: BaseRequest) -> bool:
    """Tell whether the client asks for `101 UPGRADED` rather than a plain 200."""
    return "Upgrade" in request.headers


def take_over(request: BaseRequest, content_type: str) -> HijackedProtocol:
    """Send the response's head and make the connection a raw stream."""
    connection = cast("Connection", request.protocol)
    transport, early = connection.hijack()
    stream = HijackedProtocol(transport, connection, early)
    if wants_upgrade(request):
        head = (
            f"HTTP/1.1 101 UPGRADED\r\nContent-Type: {content_type}\r\n"
            "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        )
    else:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {RAW}\r\n\r\n"
    transport.write(head.encode())
    return stream


async def relay(
    stream: HijackedProtocol,
    session: Session,
    *,
    with_input: bool,
    ended: asyncio.Event | None = None,
) -> None:
    """Pass bytes between a client and a process until the output ends or either side leaves.

    With `ended`, the connection is closed when the process has ended as well: a client asks for
    its exit code at once. One that closes its output and lives on is not waited for long.
    """
    output = asyncio.create_task(_pump_output(stream, session))
    pump = _pump_input if with_input else _drop_input
    tasks = [output, asyncio.create_task(pump(stream, session))]
    try:
        await asyncio.wait((output, stream.lost), return_when=asyncio.FIRST_COMPLETED)
        if ended is not None and not stream.lost.done():
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), ENDING)
    except BaseException:
        stream.close()
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        session.close()
    await stream.finish()


async def _pump_output(stream: HijackedProtocol, session: Session) -> None:
    while data := await session.read():
        await stream.write(data)


async def _pump_input(stream: HijackedProtocol, session: Session) -> None:
    while data := await stream.read():
        if not await session.write(data):
            # Nobody takes input any more; output may still come, and its end ends the relay.
            await _drop_input(stream, session)
            return
    await session.close_stdin()


async def _drop_input(stream: HijackedProtocol, _session: Session) -> None:
    while await stream.read():
        pass


def failure_text(message: str, *, multiplexed: bool) -> bytes:
    """Put a failure that comes after the head in the stream, as Docker does: a frame of stdout."""
    text = message.encode() + b"\r\n"
    return b"\x01\0\0\0" + len(text).to_bytes(4, "big") + text if multiplexed else text
