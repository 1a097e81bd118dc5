"""The daemon's end of a connection to a shim: requests with their answers, and events."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from lading.errors import Conflict, InvalidParameter, LadingError, NotFound
from lading.oci.steps.base import StepFailed
from lading.shim import transport
from lading.shim.protocol import AttachEnded, Refusal, Reply

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from lading.shim.protocol import ErrorInfo, Event, Request

_KINDS = {kind.status: kind for kind in (InvalidParameter, NotFound, Conflict)}
_messages = transport.shim_messages()


class ShimError(LadingError):
    """A shim or the spawner failed at something, or is not there any more."""


class ShimLost(ShimError):
    """The shim ended without a word (it was killed); `abandon` cleans up after it."""


def error_of(info: ErrorInfo) -> LadingError:
    """Make the exception that an error was on the shim's side."""
    if info.step:
        return StepFailed(info.message, step=info.step, errno=info.errno)
    return _KINDS.get(info.status, ShimError)(info.message)


def silent_future() -> asyncio.Future[None]:
    """Make a future whose exception need not be looked at by anybody."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.add_done_callback(look_at)
    return future


def look_at(future: asyncio.Future[None]) -> None:
    """Take note of a future's exception, so that asyncio does not complain that nobody did."""
    if not future.cancelled():
        future.exception()


class Attachment:
    """A client's connection to a process's stdio, served by the shim."""

    def __init__(self, attach_id: int) -> None:
        self.attach_id = attach_id
        self._ended: asyncio.Future[None] = silent_future()
        self._detached = False

    async def wait(self) -> bool:
        """Wait for its end: the output is over, or the client went.

        Tells whether the detach keys ended it. Raises ShimLost if the shim was killed.
        """
        await asyncio.shield(self._ended)
        return self._detached

    def end(self, *, detached: bool = False, error: ShimError | None = None) -> None:
        """Let those who wait know."""
        self._detached = detached
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)


class Link:
    """One connection; `on_event` gets what is no answer, `on_lost` is called at its end."""

    def __init__(
        self,
        sock: socket.socket,
        on_event: Callable[[Event], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._on_event = on_event
        self._on_lost = on_lost
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._queue: deque[transport.Packet] = deque()
        self._attachments: dict[int, Attachment] = {}
        self.open = True
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self._receive)

    async def request(self, message: Request, descriptors: Sequence[int] = ()) -> msgspec.Raw:
        """Send a request and wait for its answer's value; raises the error that it was.

        The descriptors can be closed as soon as this has returned.
        """
        return await self._request(next(self._numbers), message, descriptors)

    async def attached(
        self, message: Request, descriptors: Sequence[int]
    ) -> tuple[msgspec.Raw, Attachment]:
        """Send a request that attaches a client; gives its value and the attachment."""
        number = next(self._numbers)
        attachment = self._attachments[number] = Attachment(number)
        try:
            return await self._request(number, message, descriptors), attachment
        except BaseException:
            self._attachments.pop(number, None)
            raise

    async def _request(
        self, number: int, message: Request, descriptors: Sequence[int]
    ) -> msgspec.Raw:
        if not self.open:
            raise ShimLost("the shim has ended")
        future: asyncio.Future[msgspec.Raw] = self._loop.create_future()
        self._waiting[number] = future
        packet = transport.Packet(msgspec.structs.replace(message, seq=number), descriptors)
        self._queue.append(packet)
        self._flush()
        try:
            return await future
        finally:
            self._waiting.pop(number, None)
            if packet in self._queue:
                self._queue.remove(packet)
                packet.close()

    def close(self) -> None:
        """Hang up; whoever waits for an answer is cancelled."""
        self._end()
        for future in self._waiting.values():
            future.cancel()

    def _end(self) -> None:
        if not self.open:
            return
        self.open = False
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        for packet in self._queue:
            packet.close()
        self._queue.clear()

    def _lost(self) -> None:
        """Tell everybody who waits that the other end is gone."""
        if not self.open:
            return
        self._end()
        error = ShimLost("the shim has ended")
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)
        for attachment in self._attachments.values():
            attachment.end(error=error)
        self._attachments.clear()
        self._on_lost()

    def _receive(self) -> None:
        while self.open:
            try:
                received = _messages.receive(self._socket)
            except BlockingIOError:
                return
            except (OSError, msgspec.DecodeError):
                received = None
            if received is None:
                self._lost()
                return
            self._dispatch(received[0])

    def _dispatch(self, message: Event | Reply | Refusal) -> None:
        match message:
            case Reply(seq=number, value=value):
                future = self._waiting.get(number)
                if future is not None and not future.done():
                    future.set_result(value)
            case Refusal(seq=number, error=error):
                future = self._waiting.get(number)
                if future is not None and not future.done():
                    future.set_exception(error_of(error))
            case AttachEnded(attach_id=number, detached=detached):
                attachment = self._attachments.pop(number, None)
                if attachment is not None:
                    attachment.end(detached=detached)
            case _:
                self._on_event(message)

    def _flush(self) -> None:
        try:
            while self._queue:
                self._queue[0].send(self._socket)
                self._queue.popleft()
        except BlockingIOError:
            self._loop.add_writer(self._socket.fileno(), self._flush)
            return
        except OSError:
            self._lost()
            return
        self._loop.remove_writer(self._socket.fileno())
