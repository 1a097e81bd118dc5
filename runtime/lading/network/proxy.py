"""Carries TCP connections that the packet filter cannot redirect, in the daemon's event loop.

That is a connection to the host's IPv6 address for a container that has IPv4 alone. Redirected
packets never come here, so published IPv4 ports do not depend on the daemon's life.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

_CHUNK = 1 << 16
Target = tuple[str, int]


class Proxy:
    """Accepts on the sockets that hold published ports, and carries each connection on.

    Its methods may be called from any thread; the work is done in *loop*.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()

    def serve(self, listener: socket.socket, target: Target) -> None:
        """Carry connections that arrive at *listener* to *target*, an address and port."""
        self._loop.call_soon_threadsafe(
            self._loop.add_reader, listener.fileno(), self._accept, listener, target
        )

    def stop(self, listener: socket.socket) -> None:
        """Stop accepting at *listener*, and close it; connections that are open go on."""
        if self._loop.is_closed():
            listener.close()
        else:
            self._loop.call_soon_threadsafe(self._close, listener)

    def _close(self, listener: socket.socket) -> None:
        self._loop.remove_reader(listener.fileno())
        listener.close()

    def _accept(self, listener: socket.socket, target: Target) -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            task = self._loop.create_task(_carry(connection, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def _carry(connection: socket.socket, target: Target) -> None:
    """Carry one connection in both directions, each until its sender has no more to say."""
    with suppress(OSError):
        near_reader, near_writer = await asyncio.open_connection(sock=connection)
        try:
            far_reader, far_writer = await asyncio.open_connection(*target)
        except OSError:
            near_writer.transport.abort()
            return
        try:
            await asyncio.gather(_pump(near_reader, far_writer), _pump(far_reader, near_writer))
        finally:
            near_writer.close()
            far_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
