"""Builds: `docker build` and its cache; what is missing here is answered with 501."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from lading.api.call import Call
from lading.api.responses import json_response

if TYPE_CHECKING:
    from aiohttp.web_response import StreamResponse


async def build_prune(call: Call) -> StreamResponse:
    """BuildPrune: without a builder there is no cache, and nothing to free."""
    call.filters()
    return json_response({"CachesDeleted": None, "SpaceReclaimed": 0})


HANDLERS: dict[str, Callable[[Call], Awaitable[StreamResponse]]] = {"BuildPrune": build_prune}
