"""A client's connection: HTTP by aiohttp, until an operation takes the connection over.

Docker's attach and exec "hijack" the connection: after the response's head, both sides send raw
bytes until each of them has closed its direction.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest
from aiohttp.web_server import Server

from lading.api.call import BODY_LIMIT

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)")

HEADER_LIMIT = 1 << 20
"""Bytes that a request's line or one of its headers may have; that of Go's server, too."""

READ_BUFFER = 1 << 20
"""Bytes of a body that wait for the thread that reads it: a small buffer makes it wait often."""


class Connection(RequestHandler):
    """The server's side of one connection."""

    __slots__ = ("_early", "_gone", "_held", "_wanted", "input_ended")

    def __init__(self, manager: Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._gone: asyncio.Future[None] | None = None
        self._held = False
        self._wanted = 0
        self._early = bytearray()
        self.input_ended = False

    def data_received(self, data: bytes) -> None:
        """Give requests to aiohttp, and keep from it what follows one that wants to hijack.

        Those bytes are input of a process, not a next request.
        """
        if self._held and not self._wanted:
            self._early += data
            return
        if not self._held:
            self._wanted = _hijack_request_end(data)
            if not self._wanted:
                super().data_received(data)
                return
            self._held = True
        # aiohttp takes a body for input of the upgraded protocol unless head and body are
        # given to it together, and they may come in packets of their own.
        self._early += data
        if len(self._early) >= self._wanted:
            request = bytes(self._early[: self._wanted])
            del self._early[: self._wanted]
            self._wanted = 0
            super().data_received(request)

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp declares None
        """Keep the connection open when a client that hijacks it sends all its input at once."""
        self.input_ended = True
        return self._held

    def connection_lost(self, exc: BaseException | None) -> None:
        """Wake whoever waits for the client to leave."""
        super().connection_lost(exc)
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

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
        when that one's is called; `input_ended` tells that no input will follow. Raises
        ConnectionResetError when the client is gone.
        """
        if self.transport is None:
            raise ConnectionResetError("the client closed the connection")
        self.keep_alive(False)
        return self.transport, bytes(self._early)


def _hijack_request_end(data: bytes) -> int:
    """Return where a request ends that asks for `Upgrade: tcp`; 0 for any other, and in doubt."""
    if not data.startswith(b"POST "):
        return 0
    head_end = data.find(b"\r\n\r\n")
    head = data[:head_end].lower()
    if head_end < 0 or b"\r\nupgrade: tcp" not in head:
        return 0
    if b"\r\ntransfer-encoding:" in head:
        return 0
    length = _CONTENT_LENGTH.search(head)
    return head_end + 4 + (int(length[1]) if length else 0)


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
            read_bufsize=READ_BUFFER,
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
