"""Attached streams: what a hijacked connection is pumped with."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Protocol

from lading.engine import detachkeys
from lading.engine.announce import announce
from lading.engine.logs import read_log
from lading.engine.model import AttachOptions, LogOptions, Status
from lading.errors import Conflict
from lading.shim.client import ShimError
from lading.shim.protocol import Streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lading.engine.background import Background
    from lading.engine.events import EventBus
    from lading.engine.registry import Entry
    from lading.shim.client import Attachment, Shim

CHUNK = 64 * 1024
"""Bytes that are read from a container's streams at a time."""


class Session(Protocol):
    """A client's end of a process's streams; used for attach and for exec.

    `read` gives bytes ready for the wire: frames of the multiplexed stream, or what a terminal
    says when `multiplexed` is false.
    """

    multiplexed: bool

    async def read(self) -> bytes:
        """Give the next bytes; empty when the streams have ended or the client detached."""
        ...

    async def write(self, data: bytes) -> bool:
        """Send input to the process; False when the client has detached: hang up then."""
        ...

    async def close_stdin(self) -> None:
        """Tell the process that no input follows."""
        ...

    def close(self) -> None:
        """Let go of the streams; the process goes on."""
        ...


def stream_pair() -> tuple[socket.socket, socket.socket]:
    """Make the two ends of a session: the engine's, which does not block, and the shim's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)
    return ours, theirs


class StreamSession:
    """A session over a socket whose other end a shim serves; `past` is given first.

    The socket's end is the session's: the shim closes it when the process's output is over, or
    when the client typed the detach keys.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        multiplexed: bool,
        past: AsyncIterator[bytes] | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.multiplexed = multiplexed
        self._sock = sock
        self._past = past
        self._on_close = on_close

    async def read(self) -> bytes:
        """Give the next bytes; empty at the end."""
        if self._past is not None:
            async for chunk in self._past:
                return chunk
            self._past = None
        try:
            return await asyncio.get_running_loop().sock_recv(self._sock, CHUNK)
        except (ConnectionError, ValueError, OSError):
            return b""

    async def write(self, data: bytes) -> bool:
        """Send input; False when nobody takes it any more."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._sock, data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    async def close_stdin(self) -> None:
        """Tell the process that no input follows."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Hang up."""
        self._sock.close()
        if self._on_close is not None:
            self._on_close()
            self._on_close = None


class LogSession:
    """A session without live streams: what was logged, if that was asked for, and no more."""

    def __init__(self, past: AsyncIterator[bytes] | None, *, multiplexed: bool) -> None:
        self.multiplexed = multiplexed
        self._past = past

    async def read(self) -> bytes:
        """Give the next bytes of the log."""
        if self._past is not None:
            async for chunk in self._past:
                return chunk
        return b""

    async def write(self, data: bytes) -> bool:
        """Take no input."""
        return not data

    async def close_stdin(self) -> None:
        """Do nothing: there is no input."""

    def close(self) -> None:
        """Do nothing: there are no streams."""


class WaitingClient:
    """A client that attached to a container, perhaps before it runs: the shim's end of it."""

    def __init__(
        self,
        sock: socket.socket,
        streams: Streams,
        connected: Callable[[Attachment], None],
    ) -> None:
        self._sock = sock
        self._streams = streams
        self._connected = connected

    async def connect(self, shim: Shim) -> None:
        """Give the socket to the shim."""
        self._connected(await shim.attach(self._sock, self._streams))

    def close(self) -> None:
        """Hang up: the container did not start, or is removed."""
        self._sock.close()


class Attacher:
    """Lets clients join the streams of containers."""

    def __init__(self, events: EventBus, background: Background) -> None:
        self._events = events
        self._background = background

    async def attach(self, entry: Entry, options: AttachOptions) -> Session:
        """Join a container's streams, now or as soon as it starts.

        Raises Conflict for a paused or restarting container, InvalidParameter for bad detach
        keys.
        """
        _check_attachable(entry)
        record = entry.record
        multiplexed = not record.config.tty
        streams = Streams(
            stdin=options.stdin,
            stdout=options.stdout,
            stderr=options.stderr,
            detach_keys=detachkeys.parse(options.detach_keys),
        )
        past = None
        if options.logs:
            past = read_log(entry, LogOptions(stdout=options.stdout, stderr=options.stderr))
        if not options.stream:
            return LogSession(past, multiplexed=multiplexed)
        ours, theirs = stream_pair()
        announce(self._events, record, "attach")
        client = WaitingClient(theirs, streams, lambda attachment: self._note(entry, attachment))
        if entry.shim is not None:
            await client.connect(entry.shim)
            return StreamSession(ours, multiplexed=multiplexed, past=past)
        entry.clients.append(client)
        return StreamSession(
            ours, multiplexed=multiplexed, past=past, on_close=lambda: _forget(entry, client)
        )

    def _note(self, entry: Entry, attachment: Attachment) -> None:
        self._background.start(self._announce_detach(entry, attachment))

    async def _announce_detach(self, entry: Entry, attachment: Attachment) -> None:
        """Publish `detach` if the client leaves by its detach keys."""
        with contextlib.suppress(ShimError):
            if await attachment.wait():
                announce(self._events, entry.record, "detach")


def _forget(entry: Entry, client: WaitingClient) -> None:
    """Drop a client that left before the container started."""
    if client in entry.clients:
        entry.clients.remove(client)
        client.close()


def _check_attachable(entry: Entry) -> None:
    state = entry.state
    if state.status is Status.PAUSED:
        raise Conflict(f"container {entry.id} is paused, unpause the container before attach")
    if state.status is Status.RESTARTING:
        raise Conflict(f"container {entry.id} is restarting, wait until the container is running")
