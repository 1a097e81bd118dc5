"""Responses in the forms that Docker's API has."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp.web_response import Response, StreamResponse

from lading import __version__
from lading.api.versions import CURRENT

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.web_request import BaseRequest

STANDARD_HEADERS = {
    "Api-Version": str(CURRENT),
    "Docker-Experimental": "false",
    "Ostype": sys.platform,
    "Server": f"Lading/{__version__} ({sys.platform})",
}
"""What every response of a known operation carries."""

MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
RAW = "application/vnd.docker.raw-stream"


class AlreadySent(StreamResponse):
    """Stands for a response that was sent by other means, as far as it could be: adds nothing.

    The connection is closed after it.
    """

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter:
        """Send nothing."""
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Send nothing."""


def json_response(value: Any, status: int = 200) -> Response:
    """Answer with `value` as JSON; the newline at its end is Docker's."""
    return Response(
        body=msgspec.json.encode(value) + b"\n",
        status=status,
        headers=STANDARD_HEADERS | {"Content-Type": "application/json"},
    )


def empty(status: int = 204) -> Response:
    """Answer with a status alone."""
    return Response(status=status, headers=STANDARD_HEADERS)


def error_response(status: int, message: str) -> Response:
    """Answer `{"message": …}`; 304 has no body, as HTTP wants."""
    if status == 304:
        return Response(status=304, headers=STANDARD_HEADERS)
    return json_response({"message": message}, status)


async def open_stream(request: BaseRequest, content_type: str, **headers: str) -> StreamResponse:
    """Send the head of a response whose body is written in pieces, and return it."""
    response = StreamResponse(headers=STANDARD_HEADERS | {"Content-Type": content_type} | headers)
    if request.version >= (1, 1):
        response.enable_chunked_encoding()
    await response.prepare(request)
    return response
