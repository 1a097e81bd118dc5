"""Items that are sent one by one for as long as the client stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from aiohttp.web_request import BaseRequest

    from lading.api.connection import Connection

T = TypeVar("T")


async def while_connected(request: BaseRequest, items: AsyncIterator[T]) -> AsyncIterator[T]:
    """Give the items until the client leaves; the iterator is closed in either case.

    Raises ConnectionResetError when the client leaves first.
    """
    gone = cast("Connection", request.protocol).gone()
    try:
        while True:
            upcoming = asyncio.ensure_future(anext(items))
            try:
                await asyncio.wait((upcoming, gone), return_when=asyncio.FIRST_COMPLETED)
                if not upcoming.done():
                    raise ConnectionResetError("the client closed the connection")
                item = upcoming.result()
            except StopAsyncIteration:
                return
            finally:
                upcoming.cancel()
            yield item
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()
