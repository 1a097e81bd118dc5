"""`docker search`: an index's own search, which no newer API of registries has.

Source: the Docker Registry HTTP API, version 1, "Search".
"""

from __future__ import annotations

import base64

import aiohttp
import msgspec

from lading.errors import InvalidParameter, LadingError
from lading.image.reference import DEFAULT_DOMAIN, Reference
from lading.image.registry.settings import Credentials, RegistrySettings

LIMIT_DEFAULT, LIMIT_MAX = 25, 100
_INDEX = "https://index.docker.io/v1"
_ANSWER_MAX = 4 << 20


class Result(msgspec.Struct):
    """A repository that an index found (API definition ImageSearch's items)."""

    star_count: int = 0
    is_official: bool = False
    name: str = ""
    is_automated: bool = False
    description: str = ""


class _Answer(msgspec.Struct):
    results: list[Result] | None = None


async def search(
    term: str, limit: int, credentials: Credentials, settings: RegistrySettings
) -> list[Result]:
    """Ask the index that `term` names (`host/words`), else Docker Hub's, for repositories.

    Raises InvalidParameter for a limit outside of 1 to 100 or an index that cannot be reached,
    LadingError for what Docker Hub's does not answer.
    """
    if not 1 <= limit <= LIMIT_MAX:
        raise InvalidParameter(f"limit {limit} is outside the range of [1, {LIMIT_MAX}]")
    host, words = _split(term)
    patience = settings.patience
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=patience, sock_read=patience)
    headers = {"User-Agent": "lading"}
    if credentials.username:
        login = f"{credentials.username}:{credentials.password}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
    async with aiohttp.ClientSession(timeout=timeout, trust_env=True, headers=headers) as session:
        base = await _reach(session, host, settings) if host else _INDEX
        query = {"q": words, "n": str(limit)}
        return await _ask(session, f"{base}/search", query)


def _split(term: str) -> tuple[str, str]:
    """The index's host, "" for Docker Hub, and what to look for."""
    if "://" in term:
        raise InvalidParameter(
            f"invalid repository name ({term}): write it without the scheme, as host/words"
        )
    first, slash, rest = term.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        hub = first in (DEFAULT_DOMAIN, f"index.{DEFAULT_DOMAIN}")
        return ("", rest) if hub else (first, rest)
    return "", term


async def _reach(session: aiohttp.ClientSession, host: str, settings: RegistrySettings) -> str:
    """The base URL at which an index answers; raises InvalidParameter that tells each attempt."""
    failures: list[str] = []
    for endpoint in settings.endpoints(Reference(host, ""), pull=False):
        base = f"{endpoint.url}/v1"
        try:
            async with session.get(f"{base}/_ping", ssl=endpoint.verify) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            scheme = endpoint.url.partition(":")[0].upper()
            failures.append(f'{scheme} attempt: Get "{base}/_ping": {error or "no answer"}')
        else:
            return base
    raise InvalidParameter(f'invalid registry endpoint "{base}/". {". ".join(failures)}')


async def _ask(session: aiohttp.ClientSession, url: str, query: dict[str, str]) -> list[Result]:
    try:
        async with session.get(url, params=query) as response:
            if response.status != 200:
                raise LadingError(f"Unexpected status code {response.status}")
            data = await response.content.read(_ANSWER_MAX)
            while not response.content.at_eof() and len(data) < _ANSWER_MAX:
                data += await response.content.readany()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise LadingError(f'Get "{url}": {error or "the index does not answer"}') from None
    try:
        return msgspec.json.decode(data, type=_Answer).results or []
    except msgspec.MsgspecError as error:
        raise LadingError(f"the answer of the index at {url} cannot be read: {error}") from None
