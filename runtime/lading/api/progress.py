"""Responses of many JSON objects, as load, import, pull and build report how they get on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lading.api.responses import open_stream
from lading.errors import LadingError
from lading.files import lack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.web_request import BaseRequest
    from aiohttp.web_response import StreamResponse


def message(item: dict[str, Any]) -> bytes:
    """Encode one object; Docker ends each with CR LF."""
    return msgspec.json.encode(item) + b"\r\n"


def error_message(error: LadingError) -> bytes:
    """Encode a failure that comes after the response's head."""
    return message({"errorDetail": {"message": error.message}, "error": error.message})


def layer_progress(action: str, layer: str, current: int, total: int) -> dict[str, Any]:
    """Describe how far a layer is: `current` of `total` bytes (0 when that is not known)."""
    detail = {"current": current} | ({"total": total} if total else {})
    return {
        "status": action,
        "progressDetail": detail,
        "progress": progress_bar(current, total),
        "id": layer,
    }


def progress_bar(current: int, total: int) -> str:
    """Draw the bar that older clients show, as Docker does: `[====>      ]    1.2MB/3.4MB`."""
    if total <= 0:
        return f"{human_size(current):>8}"
    bar = "=" * min(50, current * 50 // total) + ">"
    return f"[{bar:<51}] {human_size(current):>8}/{human_size(total)}"


def human_size(size: float) -> str:
    """Write a size in Docker's way: four significant digits and decimal units."""
    units = ("B", "kB", "MB", "GB", "TB", "PB")
    for unit in units:
        if size < 1000 or unit == units[-1]:
            break
        size /= 1000
    return f"{size:.4g}{unit}"


async def stream_messages(
    request: BaseRequest, items: AsyncIterator[dict[str, Any]], *, at_once: bool = False
) -> StreamResponse:
    """Send the items as they come; a LadingError before the first is a plain error response.

    A later one is the stream's last object, for the status has been sent by then, as it is from
    the beginning with `at_once`.
    """
    first = None if at_once else await anext(items, None)
    response = await open_stream(request, "application/json")
    if first is not None:
        await response.write(message(first))
    try:
        async for item in items:
            await response.write(message(item))
    except LadingError as error:
        await response.write(error_message(error))
    except OSError as error:
        if (why := lack(error)) is None:
            raise
        await response.write(error_message(LadingError(why)))
    await response.write_eof()
    return response
