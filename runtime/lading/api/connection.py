"""A client's connection: HTTP by aiohttp, until an operation takes the connection over.

Docker's attach and exec "hijack" the connection: after the response's head, both sides send raw
bytes until each of them has closed its direction.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_server import Server

from lading.api.call import BODY_LIMIT

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader

HEADER_LIMIT = 1 << 20
"""Bytes that a request's line or one of its headers may have; that of Go's server, too."""


class Connection(RequestHandler):
    """The server's side of one connection."""

    __slots__ = ("_gone", "hijacked")

    def __init__(self, manager: Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._gone: asyncio.Future[None] | None = None
        self.hijacked = False

    def connection_lost(self, exc: BaseException | None) -> None:
        """Wake whoever waits for the client to leave."""
        super().connection_lost(exc)
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp declares None
        """Keep the connection open when a client that hijacks it sends all its input at once."""
        return bool(getattr(self, "_upgraded", False))

    def gone(self) -> asyncio.Future[None]:
        """Return a future that is done when the client has closed the connection."""
        if self._gone is None:
            self._gone = asyncio.get_running_loop().create_future()
            if self.transport is None:
                self._gone.set_result(None)
        return self._gone

    def hijack(self) -> tuple[asyncio.Transport, bytes]:
        """Give up the connection: return its transport, and what arrived after the request.

        The caller sets a protocol of its own on the transport and calls `connection_lost` here
        when that one's is called. Raises ConnectionResetError when the client is gone.
        """
        if self.transport is None:
            raise ConnectionResetError("the client closed the connection")
        early = _Early()
        self.set_parser(cast(Any, early))
        self.hijacked = True
        self.keep_alive(False)
        return self.transport, bytes(early.data)


class _Early:
    """Takes from aiohttp the bytes that a client sent right behind its request."""

    def __init__(self) -> None:
        self.data = bytearray()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """Nothing is held that an end would change."""


class ConnectionServer(Server):
    """Makes a `Connection` for each client."""

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,
            auto_decompress=False,
            max_line_size=HEADER_LIMIT,
            max_field_size=HEADER_LIMIT,
        )

    def _make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> BaseRequest:
        return BaseRequest(
            message,
            payload,
            protocol,
            writer,
            task,
            asyncio.get_running_loop(),
            client_max_size=BODY_LIMIT,
        )
