"""A TLS transport whose two directions end on their own.

asyncio's own closes the whole connection at the client's close_notify. Docker's clients send that
at the end of their input and go on reading what the process writes, as they half-close a plain
socket; so here it is `eof_received`, and closes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Iterable
from typing import Any, cast

log = logging.getLogger(__name__)

HANDSHAKE_TIME = 30.0
"""Seconds that a client has for its handshake, and to leave after one that failed."""

READ_SIZE = 256 * 1024

NOT_TLS = (
    b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    b"Client sent an HTTP request to an HTTPS server.\n"
)
"""What Docker's daemon answers a client that speaks plain HTTP; its clients show the sentence."""


class TlsConnection(asyncio.Protocol):
    """The encrypted side of a connection: takes records from the socket, makes the handshake."""

    def __init__(self, context: ssl.SSLContext, make: Callable[[], asyncio.BaseProtocol]) -> None:
        self._make = make
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self._raw: asyncio.Transport | None = None
        self._plain: TlsTransport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the client a time for its handshake."""
        self._raw = cast("asyncio.Transport", transport)
        self._deadline = asyncio.get_running_loop().call_later(HANDSHAKE_TIME, self._raw.abort)

    def data_received(self, data: bytes) -> None:
        """Take encrypted bytes: of the handshake, then of the stream."""
        if self._refused:
            return
        self.incoming.write(data)
        if self._plain is not None or self._shake_hands():
            assert self._plain is not None
            self._plain.deliver()

    def eof_received(self) -> bool:
        """Let a client that said that its input ends have its output; another one is gone."""
        return self._plain is not None and self._plain.input_ended

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the protocol inside, if there is one yet."""
        if self._deadline is not None:
            self._deadline.cancel()
        if self._plain is not None:
            self._plain.get_protocol().connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass on that the client reads too slowly."""
        if self._plain is not None:
            self._plain.get_protocol().pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the client has caught up."""
        if self._plain is not None:
            self._plain.get_protocol().resume_writing()

    def flush(self) -> None:
        """Send what TLS has made."""
        assert self._raw is not None
        if data := self.outgoing.read():
            self._raw.write(data)

    def _shake_hands(self) -> bool:
        """Go on with the handshake; True once it is done, and the protocol inside is there."""
        assert self._raw is not None
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self.flush()
            return False
        except ssl.SSLError as error:
            self._refuse(error)
            return False
        if self._deadline is not None:
            self._deadline.cancel()
        self.flush()
        protocol = self._make()
        self._plain = TlsTransport(self, self._raw, protocol)
        protocol.connection_made(self._plain)
        return True

    def _refuse(self, error: ssl.SSLError) -> None:
        """End the connection so that the client still reads why: it is the one that closes it."""
        assert self._raw is not None
        self._refused = True
        who = self._raw.get_extra_info("peername")
        log.info("TLS handshake with %s failed: %s", who and who[0], error.reason or error)
        if error.reason == "HTTP_REQUEST":
            self._raw.write(NOT_TLS)
        self.flush()
        self._raw.write_eof()


class TlsTransport(asyncio.Transport):
    """The plain side: what the protocol inside reads from and writes to."""

    def __init__(
        self, connection: TlsConnection, raw: asyncio.Transport, protocol: asyncio.BaseProtocol
    ) -> None:
        super().__init__({"sslcontext": connection.tls.context, "ssl_object": connection.tls})
        self._connection = connection
        self._tls = connection.tls
        self._raw = raw
        self._protocol = protocol
        self._paused = False
        self._said_goodbye = False
        self.input_ended = False

    def deliver(self) -> None:
        """Decrypt what came, and give it to the protocol until that pauses."""
        while not (self._paused or self.input_ended or self._raw.is_closing()):
            try:
                data = self._tls.read(READ_SIZE)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLError as error:
                log.debug("a TLS connection broke: %s", error.reason)
                self._connection.flush()
                self._raw.abort()
                return
            if data:
                cast("asyncio.Protocol", self._protocol).data_received(data)
                continue
            self.input_ended = True
            if not cast("asyncio.Protocol", self._protocol).eof_received():
                self.close()
        self._connection.flush()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Tell about TLS, or about the socket below."""
        found = super().get_extra_info(name)
        return self._raw.get_extra_info(name, default) if found is None else found

    def get_protocol(self) -> asyncio.Protocol:
        """Return the protocol inside."""
        return cast("asyncio.Protocol", self._protocol)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give what comes from now on to another protocol."""
        self._protocol = protocol

    def is_reading(self) -> bool:
        """Tell whether input goes to the protocol as it comes."""
        return not self._paused and not self._raw.is_closing()

    def pause_reading(self) -> None:
        """Leave input in the socket."""
        self._paused = True
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        """Take input again, beginning with what was decrypted or buffered in between."""
        if self._paused:
            self._paused = False
            self._raw.resume_reading()
            asyncio.get_running_loop().call_soon(self.deliver)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send; never blocks."""
        if self._said_goodbye or self._raw.is_closing():
            return
        view = memoryview(data).cast("B")
        while view:
            view = view[self._tls.write(view) :]
        self._connection.flush()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Encrypt and send several pieces as one."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """Tell that this direction can end alone."""
        return True

    def write_eof(self) -> None:
        """End the output by a close_notify; input still comes."""
        if self._said_goodbye or self._raw.is_closing():
            return
        self._said_goodbye = True
        # unwrap() also wants the client's close_notify, which comes when the client is done.
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._connection.flush()

    def is_closing(self) -> bool:
        """Tell whether the connection is closed or about to be."""
        return self._raw.is_closing()

    def close(self) -> None:
        """Close the connection once what was written is sent."""
        self.write_eof()
        self._raw.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._raw.abort()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait for the client to read."""
        return self._raw.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the marks between which writing is paused."""
        return self._raw.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set those marks."""
        self._raw.set_write_buffer_limits(high, low)
