"""The shim's control connections: the one it was made with, and those through shim.sock."""

from __future__ import annotations

import os
import socket
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from lading.shim import transport
from lading.shim.loop import HUNG_UP, READABLE, WRITABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading.shim.loop import Loop
    from lading.shim.protocol import Event, Refusal, Reply, Request

    Handler = Callable[["Connection", Request, list[int]], None]

SOCKET_NAME = "shim.sock"
_requests = transport.requests()


class Connection:
    """A daemon, as the shim sees it."""

    def __init__(
        self, loop: Loop, sock: socket.socket, handle: Handler, closed: Callable[[Connection], None]
    ) -> None:
        self._loop = loop
        self._socket = sock
        self._handle = handle
        self._closed = closed
        self._queue: deque[transport.Packet] = deque()
        self._open = True
        sock.setblocking(False)
        loop.watch(sock.fileno(), READABLE, self._on_event)

    def send(self, message: Event | Reply | Refusal) -> None:
        """Send a message, or keep it until there is room; a daemon that is gone gets nothing."""
        if self._open:
            self._queue.append(transport.Packet(message))
            self._flush()

    def close(self) -> None:
        """Hang up."""
        if not self._open:
            return
        self._open = False
        for packet in self._queue:
            packet.close()
        self._queue.clear()
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        self._closed(self)

    def _on_event(self, events: int) -> None:
        if events & WRITABLE:
            self._flush()
        if events & READABLE:
            self._receive()
        elif events & HUNG_UP:
            self.close()

    def _receive(self) -> None:
        try:
            received = _requests.receive(self._socket)
        except BlockingIOError:
            return
        except (OSError, msgspec.DecodeError):
            received = None  # what does not speak the protocol is no daemon of ours
        if received is None:
            self.close()
            return
        request, descriptors = received
        try:
            self._handle(self, request, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _flush(self) -> None:
        try:
            while self._queue:
                self._queue[0].send(self._socket)
                self._queue.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        events = READABLE | WRITABLE if self._queue else READABLE
        self._loop.watch(self._socket.fileno(), events, self._on_event)


class Listener:
    """The socket in the bundle through which a restarted daemon finds the shim."""

    def __init__(self, loop: Loop, bundle: str, accepted: Callable[[socket.socket], None]) -> None:
        self._loop = loop
        self._path = f"{bundle}/{SOCKET_NAME}"
        self._accepted = accepted
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        mask = os.umask(0o077)
        try:
            with reachable(bundle) as directory:
                self._socket.bind(f"{directory}/{SOCKET_NAME}")
        finally:
            os.umask(mask)
        self._socket.listen()
        self._socket.setblocking(False)
        loop.watch(self._socket.fileno(), READABLE, self._on_event)

    def _on_event(self, _: int) -> None:
        with suppress(OSError):
            self._accepted(self._socket.accept()[0])

    def close(self) -> None:
        """Remove the socket: who comes now finds exit.json."""
        self._loop.forget(self._socket.fileno())
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        self._socket.close()


class reachable:
    """Give a short name for a directory, so that a socket's path in it fits its 108 bytes."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._descriptor = -1

    def __enter__(self) -> str:
        self._descriptor = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._descriptor}"

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
