"""Request bodies that a thread reads, and response bodies that come piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from lading.api.responses import open_stream
from lading.errors import InvalidParameter

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest
    from aiohttp.web_response import StreamResponse


class BodyReader:
    """A request's body as a blocking stream for the thread that unpacks it.

    Made in the event loop, read in a thread; bytes are not kept once they are read. Raises
    InvalidParameter when the client leaves before the end.
    """

    def __init__(self, request: BaseRequest) -> None:
        self._content = request.content
        self._loop = asyncio.get_running_loop()
        self._rest = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes (all of them when negative); empty at the end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(1 << 20), b""))
        if not self._rest:
            self._rest = memoryview(self._next())
        piece = bytes(self._rest[:size])
        self._rest = self._rest[size:]
        return piece

    def _next(self) -> bytes:
        waiting = asyncio.run_coroutine_threadsafe(self._content.readany(), self._loop)
        try:
            return waiting.result()
        except Exception as error:
            raise InvalidParameter("the request's body ended before its end") from error


async def stream_body(
    request: BaseRequest,
    content_type: str,
    chunks: AsyncIterator[bytes],
    **headers: str,
) -> StreamResponse:
    """Answer with the pieces as they come; a failure after the first ends the connection."""
    first = await anext(chunks, b"")
    response = await open_stream(request, content_type, **headers)
    if first:
        await response.write(first)
    async for chunk in chunks:
        await response.write(chunk)
    await response.write_eof()
    return response
