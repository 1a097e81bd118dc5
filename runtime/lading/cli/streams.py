"""Carry the standard streams of a process in a container to ours and back."""

from __future__ import annotations

import os
from _socket import MSG_DONTWAIT, SHUT_WR

from lading.cli.command import STDERR, STDIN, STDOUT, write_all
from lading.cli.terminal import DetachFilter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from lading.cli.client.api import Hijacked
    from lading.cli.loop import Loop

HEADER = 8
CHUNK = 65536
STDERR_STREAM, SYSTEM_STREAM = 2, 3


class Demultiplexer:
    """Cuts a multiplexed stream into frames: stream number, three zeros, length, data.

    `sink` gets each piece of data with the number of its stream, as soon as it is there. Source:
    the Engine API's ContainerAttach, "Stream format".
    """

    __slots__ = ("_buffer", "_left", "_stream", "sink")

    def __init__(self, sink: Callable[[int, bytes], None]) -> None:
        self.sink = sink
        self._buffer = b""
        self._left = 0
        self._stream = 0

    def feed(self, data: bytes) -> None:
        """Take bytes as they come from the socket.

        Raises ValueError for a stream number that there is not.
        """
        data = self._buffer + data
        pos = 0
        while pos < len(data):
            if self._left:
                piece = data[pos : pos + self._left]
                self.sink(self._stream, piece)
                self._left -= len(piece)
                pos += len(piece)
                continue
            header = data[pos : pos + HEADER]
            if len(header) < HEADER:
                break
            self._stream = header[0]
            if self._stream > SYSTEM_STREAM:
                raise ValueError(f"unrecognized stream: {self._stream}")
            self._left = int.from_bytes(header[4:], "big")
            pos += HEADER
        self._buffer = data[pos:]


def write_stream(stream: int, data: bytes) -> None:
    """Write to stdout or stderr.

    A reader that went away is no reason to stop the container's output.
    """
    write_all(STDERR if stream >= STDERR_STREAM else STDOUT, data)


class Pump:
    """Both directions of one hijacked connection.

    With a terminal the stream is raw and what is typed is searched for the detach keys, else it is
    multiplexed. The connection is half-closed at the end of stdin, so that the process sees that
    end.
    """

    def __init__(
        self,
        loop: Loop,
        hijacked: Hijacked,
        *,
        tty: bool,
        stdin: bool,
        detach_keys: bytes = b"",
        sink: Callable[[int, bytes], None] = write_stream,
    ) -> None:
        self._loop = loop
        self._sock: Any = hijacked.sock
        # TLS takes no flags for one call, and part of a record is nothing to read yet.
        self._tls = hasattr(hijacked.sock, "pending")
        if self._tls:
            self._sock.setblocking(False)
        self._tty = tty
        self._sink = sink
        self._demultiplexer = Demultiplexer(sink)
        self._filter = DetachFilter(detach_keys) if tty and detach_keys else None
        self._pending = b""
        self._at_end = False
        self.detached = False
        self.ended = False
        if hijacked.early:
            self._deliver(hijacked.early)
        loop.reader(self._sock.fileno(), self._receive)
        if stdin:
            loop.reader(STDIN, self._typed)

    @property
    def done(self) -> bool:
        """Tell whether the process closed its streams, or the user left."""
        return self.ended or self.detached

    def _deliver(self, data: bytes) -> None:
        if self._tty:
            self._sink(1, data)
        else:
            self._demultiplexer.feed(data)

    def _receive(self) -> None:
        try:
            data = self._sock.recv(CHUNK)
            while data and self._tls and self._sock.pending():
                data += self._sock.recv(CHUNK)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if data:
            self._deliver(data)
        else:
            self.stop()
            self.ended = True

    def stop(self) -> None:
        """Take the connection and the keyboard out of the loop."""
        self._loop.reader(self._sock.fileno(), None)
        self._loop.writer(self._sock.fileno(), None)
        self._loop.reader(STDIN, None)

    def close(self) -> None:
        """Close the connection."""
        self.stop()
        self._sock.close()

    def _typed(self) -> None:
        try:
            data = os.read(STDIN, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._at_end = True
            self._loop.reader(STDIN, None)
        if self._filter:
            data = self._filter.feed(data)
            if self._filter.found:
                self.detached = True
        self._pending += data
        self._send()

    def _send(self) -> None:
        """Send as much as fits.

        While something is left, the loop waits for room and stdin has to wait, too.
        """
        try:
            if self._pending:
                sent = self._send_now(self._pending)
                self._pending = self._pending[sent:]
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            self._pending, self._at_end = b"", True
            self._loop.reader(STDIN, None)
        if self._pending:
            self._loop.reader(STDIN, None)
            self._loop.writer(self._sock.fileno(), self._send)
            return
        self._loop.writer(self._sock.fileno(), None)
        if self._at_end:
            self._half_close()
        else:
            self._loop.reader(STDIN, self._typed)

    def _send_now(self, data: bytes) -> int:
        return int(self._sock.send(data) if self._tls else self._sock.send(data, MSG_DONTWAIT))

    def _half_close(self) -> None:
        try:
            self._sock.shutdown(SHUT_WR)
        except OSError:
            return
