"""`docker import URL`: what is fetched becomes an image, what is not leaves nothing."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from lading.engine.images import Images
from lading.engine.images_fetched import import_from
from lading.errors import Forbidden, InvalidParameter, LadingError, NotFound
from lading.image.registry.progress import Step
from tests.unit.engine.stores import Stores
from tests.unit.image.makers import digest, tar

pytestmark = pytest.mark.root

FILES = tar({"one": b"1" * 300_000, "two": b"2" * 300_000})


async def answer(request: web.Request) -> web.StreamResponse:
    kind = request.match_info["kind"]
    if kind == "cut":
        response = web.StreamResponse(headers={"Content-Length": str(len(FILES))})
        await response.prepare(request)
        await response.write(FILES[:300_000])
        assert request.transport is not None
        request.transport.close()
        return response
    if kind == "chunked":
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(FILES)
        return response
    if kind == "loop":
        raise web.HTTPFound("/loop")
    if kind == "moved":
        raise web.HTTPFound("/plain")
    bodies = {
        "plain": web.Response(body=FILES),
        "packed": web.Response(body=gzip.compress(FILES)),
        "garbage": web.Response(body=b"this is no archive" * 100),
        "500": web.Response(status=500, text="oh no\n"),
        "403": web.Response(status=403, text="go away\n"),
    }
    return bodies.get(kind) or web.Response(status=404, text="not here\n")


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """A server of the files above; its base URL."""
    application = web.Application()
    application.router.add_get("/{kind}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
def images(tmp_path: Path) -> Images:
    stores = Stores(tmp_path)
    return Images(stores.images, stores.events, lambda _: ())


@pytest.mark.parametrize("kind", ["plain", "packed", "chunked", "moved"])
async def test_what_is_fetched_becomes_an_image(images: Images, server: str, kind: str) -> None:
    steps: list[Step] = []
    url = f"{server}/{kind}"
    image = await import_from(
        images, url, steps.append, repository="app", tag="1", changes=["LABEL a=b"]
    )
    await asyncio.sleep(0)
    assert image.diff_ids == (digest(FILES),)
    assert (image.tags, image.config.labels) == (("app:1",), {"a": "b"})
    assert image.comment == f"Imported from {url}"
    assert steps[0] == Step(f"Downloading from {url}")
    told = [step.current for step in steps[1:] if step.status == "Importing"]
    assert told == sorted(told, key=lambda current: current or 0)
    assert told


async def test_an_address_without_a_scheme_is_http(images: Images, server: str) -> None:
    bare = server.removeprefix("http://") + "/plain"
    image = await import_from(images, bare, lambda _step: None, message="why")
    assert image.comment == "why"


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("cut", LadingError, "unexpected EOF$"),
        ("garbage", InvalidParameter, "invalid tar archive"),
        ("loop", LadingError, "stopped after 10 redirects$"),
        ("500", LadingError, "^failed to GET .*/500 with status 500 Internal Server Error: oh no$"),
        ("403", Forbidden, "with status 403 Forbidden: go away$"),
        ("404", NotFound, "with status 404 Not Found: not here$"),
    ],
)
async def test_what_cannot_be_fetched_leaves_nothing(
    images: Images, server: str, kind: str, error: type[LadingError], words: str
) -> None:
    with pytest.raises(error, match=words):
        await import_from(images, f"{server}/{kind}", lambda _step: None)
    assert not images.store.list()
    assert not list(images.store.layers.walk())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9/x", "connection refused$"),
        ("http://lading.invalid/x", "lookup lading.invalid: no such host$"),
        ("ftp://127.0.0.1/x", "^invalid URL"),
        ("", "^invalid URL"),
    ],
)
async def test_no_server(images: Images, url: str, words: str) -> None:
    with pytest.raises(LadingError, match=words):
        await import_from(images, url, lambda _step: None)


async def test_a_bad_name_is_told_before_anything_is_fetched(images: Images, server: str) -> None:
    steps: list[Step] = []
    with pytest.raises(InvalidParameter, match="must be lowercase"):
        await import_from(images, f"{server}/plain", steps.append, repository="Upper")
    assert steps == []


async def test_an_import_that_is_given_up_leaves_nothing(images: Images) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(FILES))})
        await response.prepare(request)
        await response.write(FILES[:300_000])
        begun.set()
        await go_on.wait()
        return response

    async with Serving(slow) as url:
        importing = asyncio.ensure_future(import_from(images, url, lambda _step: None))
        await begun.wait()
        importing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await importing
        go_on.set()
    while list(images.store.layers.root.glob(".tmp-*")):
        await asyncio.sleep(0.01)
    assert not images.store.list()


class Serving:
    """A server with one handler."""

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        self._runner = web.ServerRunner(web.Server(handler))

    async def __aenter__(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/x"

    async def __aexit__(self, *ended: object) -> None:
        await self._runner.cleanup()
