"""Networks; what is missing here is answered with 501."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from lading.api.call import Call

if TYPE_CHECKING:
    from aiohttp.web_response import StreamResponse

HANDLERS: dict[str, Callable[[Call], Awaitable[StreamResponse]]] = {}
