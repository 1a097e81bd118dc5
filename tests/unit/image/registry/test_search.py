from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from lading.errors import InvalidParameter, LadingError
from lading.image.registry.search import search
from lading.image.registry.settings import Credentials
from tests.unit.image.registry.conftest import SETTINGS, serving


def test_an_index_is_asked_and_its_answer_given() -> None:
    async def run() -> None:
        async with serving() as registry:
            asked: list[dict[str, str]] = []

            async def index(request: web.Request) -> web.StreamResponse | None:
                if request.path != "/v1/search":
                    return None
                asked.append(dict(request.query))
                found = {"name": "some/web", "star_count": 3, "description": "why"}
                return web.json_response({"query": "web", "results": [found]})

            registry.faults.append(index)
            (result,) = await search(f"{registry.address}/web", 7, Credentials(), SETTINGS)
            assert (result.name, result.star_count, result.is_official) == ("some/web", 3, False)
            assert asked == [{"q": "web", "n": "7"}]

    asyncio.run(run())


def test_an_index_without_a_search_is_told() -> None:
    async def run() -> None:
        async with serving() as registry:
            with pytest.raises(LadingError, match="Unexpected status code 404"):
                await search(f"{registry.address}/web", 25, Credentials(), SETTINGS)
        with pytest.raises(InvalidParameter, match=r"HTTPS attempt: .*HTTP attempt: "):
            await search("127.0.0.1:1/web", 25, Credentials(), SETTINGS)

    asyncio.run(run())


@pytest.mark.parametrize("limit", [-1, 0, 101])
def test_a_limit_has_bounds(limit: int) -> None:
    with pytest.raises(InvalidParameter, match="is outside the range of"):
        asyncio.run(search("web", limit, Credentials(), SETTINGS))
