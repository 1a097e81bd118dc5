"""A file by HTTP: its bytes as they come in, and its failures in Docker's words."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from dataclasses import dataclass
from socket import gaierror
from urllib.parse import urlsplit

import aiohttp

from lading.errors import Forbidden, InvalidParameter, LadingError, NotFound
from lading.storage.streams import ChunkReader

_PATIENCE = 120
"""Seconds for which a server may be silent."""

_REDIRECTS = 10
_SHOWN = 1024
"""Bytes that are quoted of what a server says to an error."""


@dataclass(frozen=True, slots=True)
class Download:
    """What a server began to send: from where, how many bytes (None: it does not say), and those.

    `content` is read in a thread other than the event loop's.
    """

    url: str
    size: int | None
    content: ChunkReader


@asynccontextmanager
async def download(url: str) -> AsyncIterator[Download]:
    """Ask for a file by HTTP, also by an address without a scheme; see `opened`.

    A failure after the beginning is raised by the content's `read`.
    """
    url = url if "://" in url else f"http://{url}"
    async with opened(url) as response:
        pieces = _pieces(url, response.content, asyncio.get_running_loop())
        yield Download(url, response.content_length, ChunkReader(pieces))


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """Ask for a file by HTTP; leaving the context closes the connection.

    Raises InvalidParameter for what is no address, and LadingError, NotFound or Forbidden when the
    server does not give the file, or not all of it to who reads it within the context.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidParameter(f"invalid URL {url!r}: expected http://HOST/PATH or https://…")
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=_PATIENCE)
    async with aiohttp.ClientSession(
        timeout=timeout, trust_env=True, auto_decompress=False
    ) as client:
        try:
            response = await client.get(
                url, headers={"Accept-Encoding": "identity"}, max_redirects=_REDIRECTS
            )
        except aiohttp.TooManyRedirects:
            raise LadingError(f'Get "{url}": stopped after {_REDIRECTS} redirects') from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise LadingError(f'Get "{url}": {reason(error)}') from error
        async with response:
            try:
                await _check(url, response)
                yield response
            except (aiohttp.ClientError, OSError) as error:
                raise LadingError(f'Get "{url}": {reason(error)}') from error


async def _check(url: str, response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    body = (await response.content.read(_SHOWN)).decode("utf-8", "replace").strip()
    told = f"failed to GET {url} with status {response.status} {response.reason}: {body}"
    kinds: dict[int, type[LadingError]] = {403: Forbidden, 404: NotFound}
    raise kinds.get(response.status, LadingError)(told)


def _pieces(
    url: str, content: aiohttp.StreamReader, loop: asyncio.AbstractEventLoop
) -> Iterator[bytes]:
    """Take what has come in, from another thread than the loop's."""
    while True:
        waiting = asyncio.run_coroutine_threadsafe(content.readany(), loop)
        try:
            piece = waiting.result()
        except (aiohttp.ClientError, OSError, CancelledError) as error:
            raise LadingError(f'Get "{url}": {reason(error)}') from error
        if not piece:
            return
        yield piece


def reason(error: BaseException) -> str:
    """Say in a few words why a connection failed: the system's, where it has some."""
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, gaierror):
        return f"lookup {error.host}: no such host"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "unexpected EOF"
    if isinstance(error, TimeoutError):
        return "the server did not answer in time"
    cause = getattr(error, "os_error", error)
    number = getattr(cause, "errno", None)
    if isinstance(number, int) and number > 0:
        return os.strerror(number).lower()
    return str(cause) or type(cause).__name__
