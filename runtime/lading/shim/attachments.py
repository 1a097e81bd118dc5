"""An attached client: a stream socket that gets a process's output and may give it input."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from lading.shim.loop import HUNG_UP, READABLE, WRITABLE
from lading.shim.streams import DetachScanner, header

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from lading.shim.loop import Loop
    from lading.shim.protocol import Streams

CHUNK = 64 * 1024


class Host(Protocol):
    """What an attachment belongs to."""

    def take_input(self, data: bytes) -> None:
        """Pass a client's input to the process."""
        ...

    def input_ended(self, attachment: Attachment) -> None:
        """Take note that a client sends no more: it said so, or it is gone."""
        ...

    def progressed(self) -> None:
        """Take note that a slow client has caught up a little, or has been dropped."""
        ...

    def input_is_full(self) -> bool:
        """Tell whether clients must wait with further input."""
        ...


class Attachment:
    """One client; `pending` is what it has not taken yet, in bytes.

    `ended` is called once, when the socket is closed, with whether the detach keys did it.
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        streams: Streams,
        *,
        multiplexed: bool,
        host: Host,
        ended: Callable[[Attachment, bool], None],
    ) -> None:
        self.streams = streams
        self.pending = 0
        self._loop = loop
        self._socket = sock
        self._multiplexed = multiplexed
        self._host = host
        self._ended = ended
        self._scanner = DetachScanner(b"" if multiplexed else streams.detach_keys)
        self._queue: deque[memoryview] = deque()
        self._reading = streams.stdin
        self._finishing = False
        self._detached = False
        self._closed = False
        sock.setblocking(False)
        self.update()

    def wants(self, stream: str) -> bool:
        """Tell whether the client gets `stream`; on a terminal all output is stdout."""
        if self._finishing or self._closed:
            return False
        if not self._multiplexed:
            return self.streams.stdout or self.streams.stderr
        return self.streams.stdout if stream == "stdout" else self.streams.stderr

    def send(self, stream: str, data: bytes) -> None:
        """Send output, or keep it until the client takes it."""
        if self._multiplexed:
            data = header(stream, len(data)) + data
        self._queue.append(memoryview(data))
        self.pending += len(data)
        if len(self._queue) == 1:
            self._flush()

    def finish(self) -> None:
        """Close the socket once all has been sent."""
        self._finishing = True
        self._reading = False
        if not self._queue:
            self._close()
        else:
            self.update()

    def update(self) -> None:
        """Watch for what is of interest now; without input wanted, hanging up still is."""
        if self._closed:
            return
        events = WRITABLE if self._queue else 0
        if self._reading and not self._host.input_is_full():
            events |= READABLE
        self._loop.watch(self._socket.fileno(), events, self._on_event)

    def _on_event(self, events: int) -> None:
        if events & WRITABLE and self._queue:
            self._flush()
        if events & READABLE and self._reading:
            self._receive()
        elif events & HUNG_UP:
            self._hung_up()

    def _hung_up(self) -> None:
        """Drop a client that has gone, unless input of it waits for the process to read."""
        if self._reading:
            self._loop.forget(self._socket.fileno())  # `update` comes when the process has read
        else:
            self._drop()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            self._drop()
            return
        if not data:
            self._reading = False
            self.update()
            self._host.input_ended(self)
            return
        passed, self._detached = self._scanner.feed(data)
        if passed:
            self._host.take_input(passed)
        if self._detached:
            self.finish()
        else:
            self.update()

    def _flush(self) -> None:
        try:
            while self._queue:
                part = self._queue[0]
                sent = self._socket.send(part)
                self.pending -= sent
                if sent < len(part):
                    self._queue[0] = part[sent:]
                else:
                    self._queue.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._drop()
            return
        if self._finishing and not self._queue:
            self._close()
            return
        self.update()
        self._host.progressed()

    def _drop(self) -> None:
        """Forget a client that is gone; for the process that is the end of its input, too."""
        self._queue.clear()
        self.pending = 0
        was_reading = self._reading
        self._close()
        if was_reading:
            self._host.input_ended(self)

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._reading = False
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        self._ended(self, self._detached)
        self._host.progressed()
