from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from aiohttp import web

from lading.errors import LadingError
from lading.image.reference import parse
from lading.image.registry.pull import Puller
from lading.image.registry.push import Pushed, Pusher
from lading.image.registry.settings import Credentials
from lading.image.store import Image, ImageStore
from tests.unit.image.makers import add
from tests.unit.image.registry.conftest import SETTINGS, serving
from tests.unit.image.registry.fakes import FakeRegistry, layer, status

LAYER = layer(noise=random.Random(2).randbytes(20 << 20))


async def push(store: ImageStore, registry: FakeRegistry, image: Image, name: str) -> Pushed:
    pusher = Pusher(store, store.root, SETTINGS)
    reference = parse(f"{registry.address}/{name}:latest")
    return await pusher.push(reference, image, Credentials(), lambda _step: None)


def test_what_is_pushed_is_pulled_the_same(store: ImageStore) -> None:
    image = add(store, LAYER, tag="lading-test:one")

    async def run() -> None:
        async with serving() as registry:
            pushed = await push(store, registry, image, "some/image")
            store.remove(image.id, force=True, users=lambda _id: ())
            assert list(store.layers.walk()) == []
            puller = Puller(store, store.root, SETTINGS)
            named = parse(f"{registry.address}/some/image:latest")
            pulled = await puller.pull(named, Credentials(), lambda _step: None)
            assert (pulled.image.id, pulled.digest) == (image.id, pushed.digest)

    asyncio.run(run())


def test_an_upload_that_breaks_goes_on_from_what_arrived(store: ImageStore) -> None:
    image = add(store, LAYER, tag="lading-test:one")

    async def run() -> None:
        async with serving() as registry:
            broken = 0

            async def half(request: web.Request) -> web.StreamResponse | None:
                nonlocal broken
                if request.method != "PATCH" or broken == 2:
                    return None
                broken += 1
                kept = registry.uploads[request.path.rpartition("/")[2]]
                kept += (await request.read())[: 1 << 20]
                return web.Response(status=500)

            registry.faults.append(half)
            await push(store, registry, image, "some/image")
            assert broken == 2
            # The fake checks an upload's digest when it is closed.
            assert "latest" in registry.manifests

    asyncio.run(run())


def test_a_layer_is_mounted_from_another_repository(store: ImageStore) -> None:
    image = add(store, LAYER, tag="lading-test:one")

    async def run() -> None:
        async with serving() as registry:
            await push(store, registry, image, "first/image")
            registry.log.clear()
            here: set[str] = set()

            async def elsewhere(request: web.Request) -> web.StreamResponse | None:
                # Only a mount brings a blob into this repository.
                if request.method == "HEAD" and request.path not in here:
                    here.add(request.path)
                    return web.Response(status=404)
                return None

            registry.faults.append(elsewhere)
            await push(store, registry, image, "second/image")
            # Two were asked for; the config alone, which is not mounted, went up.
            assert sum(line.startswith("POST") for line in registry.log) == 2
            assert sum(line.startswith("PATCH") for line in registry.log) == 1

    asyncio.run(run())


@pytest.mark.parametrize(("code", "words"), [(403, "403"), (500, "500"), (413, "413")])
def test_a_refusal_is_one_sentence(store: ImageStore, code: int, words: str) -> None:
    image = add(store, layer(a=b"1"), tag="lading-test:one")

    async def run() -> None:
        async with serving() as registry:

            async def refuse(request: Any) -> Any:
                return await status(code)(request) if request.method == "POST" else None

            registry.faults.append(refuse)
            with pytest.raises(LadingError, match=words) as caught:
                await push(store, registry, image, "some/image")
            assert "\n" not in caught.value.message
            assert registry.manifests == {}

    asyncio.run(run())
    assert list((store.root / "partial").iterdir()) == []
