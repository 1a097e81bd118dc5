from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from lading.engine.events import EventBus
from lading.engine.settings import Settings
from lading.engine.transfers import Transfers
from lading.errors import InvalidParameter, LadingError, NotFound, Unauthorized, Unavailable
from lading.image.reference import Reference, parse
from lading.image.registry.platforms import Platform
from lading.image.registry.progress import Step
from lading.image.registry.pull import Pulled, Puller
from lading.image.registry.settings import Credentials, RegistrySettings
from lading.image.store import ImageStore
from tests.unit.image.makers import digest, opened, tar
from tests.unit.image.registry.conftest import IMPATIENT, SETTINGS, serving
from tests.unit.image.registry.fakes import (
    LIST,
    MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    FakeRegistry,
    Fault,
    cut,
    hang,
    instead,
    layer,
    status,
    zipped,
)

NOISE = random.Random(1).randbytes(3 << 20)
LAYER = layer(noise=NOISE)


async def pull(
    store: ImageStore,
    registry: FakeRegistry,
    name: str = "some/image:latest",
    credentials: Credentials | None = None,
    settings: RegistrySettings = SETTINGS,
    platform: str = "",
    report: Callable[[Step], None] = lambda _step: None,
) -> Pulled:
    puller = Puller(store, store.root, settings)
    wanted = Platform.parse(platform) if platform else None
    reference = parse(f"{registry.address}/{name}")
    return await puller.pull(reference, credentials or Credentials(), report, wanted)


def partials(store: ImageStore) -> list[Path]:
    return list((store.root / "partial").iterdir())


@pytest.mark.parametrize("media_type", [MANIFEST, OCI_MANIFEST])
@pytest.mark.parametrize(
    ("layer_type", "pack"),
    [
        ("application/vnd.oci.image.layer.v1.tar+gzip", zipped),
        ("application/vnd.oci.image.layer.v1.tar+zstd", zstandard.compress),
        ("application/vnd.oci.image.layer.v1.tar", bytes),
    ],
)
def test_every_kind_of_manifest_and_layer(
    store: ImageStore, media_type: str, layer_type: str, pack: Callable[[bytes], bytes]
) -> None:
    async def run() -> None:
        async with serving() as registry:
            config, _ = registry.image(
                layer(a=b"1"), LAYER, media_type=media_type, layer_type=layer_type, pack=pack
            )
            pulled = await pull(store, registry)
            assert pulled.image.id == digest(config)
            assert pulled.image.tags == (f"{registry.address}/some/image:latest",)
        assert b"".join(store.layers.assemble(digest(LAYER))) == LAYER

    asyncio.run(run())
    assert partials(store) == []


@pytest.mark.parametrize("media_type", [LIST, OCI_INDEX])
def test_a_platform_is_chosen_from_an_index(store: ImageStore, media_type: str) -> None:
    async def run() -> None:
        async with serving() as registry:
            entries, configs = [], {}
            for name in ("amd64", "arm64"):
                config, entry = registry.image(
                    layer(name=name.encode()), tag=name, architecture=name
                )
                configs[name] = digest(config)
                entries.append({**entry, "platform": {"os": "linux", "architecture": name}})
            index = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
            whole = registry.manifest(index, media_type, "latest")
            for name in ("amd64", "arm64"):
                pulled = await pull(store, registry, platform=f"linux/{name}")
                assert (pulled.image.id, pulled.digest) == (configs[name], whole["digest"])
            with pytest.raises(NotFound, match="no matching manifest for linux/s390x"):
                await pull(store, registry, platform="linux/s390x")

    asyncio.run(run())


def test_a_digest_pins_the_manifest(store: ImageStore) -> None:
    async def run() -> None:
        async with serving() as registry:
            _, entry = registry.image(LAYER)
            pulled = await pull(store, registry, f"some/image@{entry['digest']}")
            assert pulled.image.tags == ()
            assert pulled.image.digests == (f"{registry.address}/some/image@{entry['digest']}",)
            registry.image(layer(other=b"x"))
            wrong = registry.manifests["latest"]
            registry.manifests[entry["digest"]] = wrong
            with pytest.raises(InvalidParameter, match="manifest verification failed"):
                await pull(store, registry, f"some/image@{entry['digest']}")

    asyncio.run(run())


def test_without_a_tag_all_of_a_repository_are_pulled(store: ImageStore) -> None:
    async def run() -> None:
        async with serving() as registry:
            registry.image(LAYER, tag="one")
            registry.image(layer(other=b"x"), tag="two")
            settings = Settings(root=store.root)
            transfers = Transfers(store, store.root, lambda: settings, EventBus())
            named = Reference(registry.address, "some/image")
            await transfers.pull(named, Credentials(), lambda _step: None)
            tags = sorted(tag for image in store.list() for tag in image.tags)
            assert tags == [f"{registry.address}/some/image:{tag}" for tag in ("one", "two")]

    asyncio.run(run())


PACKED = zipped(LAYER)


@pytest.mark.parametrize(
    ("part", "fault", "kind", "words"),
    [
        (digest(PACKED), instead(b"\0" * len(PACKED)), LadingError, "digest|damaged"),
        (digest(PACKED), instead(PACKED + b"more"), InvalidParameter, "is longer than"),
        (digest(PACKED), cut(PACKED, 0), Unavailable, f"sent 0 of {len(PACKED)} bytes"),
        (digest(PACKED), instead(PACKED[:1000]), Unavailable, f"of {len(PACKED)} bytes"),
        (digest(PACKED), status(500), LadingError, "received unexpected HTTP status: 500"),
        (digest(PACKED), status(404), NotFound, "received unexpected HTTP status: 404"),
        (digest(PACKED), hang, Unavailable, "Get"),
        ("/manifests/", status(500), LadingError, "received unexpected HTTP status: 500"),
        ("/manifests/", status(429, Retry_After="0"), Unavailable, "toomanyrequests"),
        ("/manifests/", hang, Unavailable, "Get"),
        ("/manifests/", instead(b"not json"), InvalidParameter, "cannot be read|unsupported"),
        ("/manifests/", instead(b"[" * 5_000_000), InvalidParameter, "is larger than"),
        ("/v2/", hang, Unavailable, "Get"),
        ("/v2/", status(503), LadingError, "received unexpected HTTP status: 503"),
    ],
)
def test_a_hostile_registry_is_one_clear_sentence(
    store: ImageStore, part: str, fault: Fault, kind: type[LadingError], words: str
) -> None:
    async def run() -> None:
        async with serving() as registry:
            registry.image(LAYER)
            registry.fail(part, fault)
            settings = IMPATIENT if fault is hang else SETTINGS
            with pytest.raises(kind, match=words) as caught:
                await pull(store, registry, settings=settings)
            assert "\n" not in caught.value.message

    asyncio.run(run())
    assert store.list() == []
    assert list(store.layers.walk()) == []


@pytest.mark.parametrize(
    ("files", "words"),
    [({"../outside": b"x"}, "outside|\\.\\."), ({"a/../../b": b"x"}, "outside|\\.\\.")],
)
def test_a_layer_that_leaves_its_root_is_refused(
    store: ImageStore, files: dict[str, bytes], words: str
) -> None:
    async def run() -> None:
        async with serving() as registry:
            registry.image(layer(fine=b"1"), tar(files))
            with pytest.raises(InvalidParameter, match=words):
                await pull(store, registry)

    asyncio.run(run())
    assert store.list() == []
    # The good layer may be kept for another try, the hostile one not.
    assert digest(zipped(tar(files)))[7:] not in [path.name for path in partials(store)]


def test_unknown_manifests_are_named(store: ImageStore) -> None:
    async def run() -> None:
        async with serving() as registry:
            registry.manifest({"schemaVersion": 2, "mediaType": "x/y"}, "x/y", "strange")
            registry.manifest({"schemaVersion": 1, "fsLayers": []}, "x/y", "old")
            with pytest.raises(InvalidParameter, match="unsupported manifest media type 'x/y'"):
                await pull(store, registry, "some/image:strange")
            with pytest.raises(InvalidParameter, match="schema 1"):
                await pull(store, registry, "some/image:old")
            with pytest.raises(NotFound, match="manifest unknown"):
                await pull(store, registry, "some/image:absent")

    asyncio.run(run())


def test_a_config_that_lies_about_its_layers_is_refused(store: ImageStore) -> None:
    async def run() -> None:
        async with serving() as registry:
            fake = {"type": "layers", "diff_ids": [digest(b"other")]}
            registry.image(LAYER, rootfs=fake)
            with pytest.raises(InvalidParameter, match="does not match its digest"):
                await pull(store, registry)
            registry.image(LAYER, rootfs={"type": "layers", "diff_ids": []})
            with pytest.raises(InvalidParameter, match="lists 0 layers, its manifest 1"):
                await pull(store, registry)

    asyncio.run(run())
    assert list(store.layers.walk()) == []


def test_passing_failures_are_passed_over(store: ImageStore) -> None:
    async def run() -> None:
        async with serving() as registry:
            config, _ = registry.image(LAYER)
            registry.fail("/manifests/", status(429, Retry_After="0"), times=2)
            registry.fail(digest(config), cut(config, 10), times=1)
            registry.fail(digest(PACKED), status(502), times=1)
            registry.fail(digest(PACKED), cut(PACKED, 1_000_000), times=2)
            assert (await pull(store, registry)).image.id == digest(config)
            assert registry.log.count(f"GET /v2/some/image/blobs/{digest(PACKED)}") == 4

    asyncio.run(run())


@pytest.mark.parametrize("ranges", [True, False])
def test_a_pull_that_was_cut_off_goes_on(store: ImageStore, tmp_path: Path, ranges: bool) -> None:
    async def run() -> None:
        async with serving() as registry:
            registry.ranges = ranges
            config, _ = registry.image(LAYER)
            registry.fail(digest(PACKED), cut(PACKED, 1_000_000), times=1)
            registry.fail(digest(PACKED), status(500), times=5)
            with pytest.raises(LadingError, match="500"):
                await pull(store, registry)
            (partial,) = partials(store)
            size = partial.stat().st_size
            assert 0 < size < len(PACKED)
            # As another daemon after a crash.
            again = opened(tmp_path)
            steps: list[Step] = []
            assert (await pull(again, registry, report=steps.append)).image.id == digest(config)
            first = next(step for step in steps if step.status == "Downloading")
            assert (first.current or 0) > size

    asyncio.run(run())
    assert partials(store) == []


def test_a_pull_that_is_given_up_leaves_no_layer(store: ImageStore) -> None:
    async def run() -> None:
        async with serving() as registry:
            registry.image(LAYER)
            begun = asyncio.Event()

            async def stall(request: Any) -> Any:
                begun.set()
                return await hang(request)

            registry.fail(digest(PACKED), stall)
            patient = RegistrySettings(patience=60)
            pulling = asyncio.create_task(pull(store, registry, settings=patient))
            await begun.wait()
            pulling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await pulling

    asyncio.run(run())
    assert store.list() == []


def test_tokens_are_asked_for_by_scope_and_anew_when_they_expire(store: ImageStore) -> None:
    async def run() -> None:
        async with serving(FakeRegistry(tokens=True, login=("me", "secret"))) as registry:
            config, _ = registry.image(LAYER)

            async def expired(_request: Any) -> None:
                registry.expire()

            registry.fail(digest(PACKED), expired, times=1)
            pulled = await pull(store, registry, credentials=Credentials("me", "secret"))
            assert pulled.image.id == digest(config)
            assert set(registry.scopes) == {"", "repository:some/image:pull"}
            assert registry.scopes.count("repository:some/image:pull") == 2

    asyncio.run(run())


def test_a_refused_login_is_told(store: ImageStore) -> None:
    async def run() -> None:
        async with serving(FakeRegistry(tokens=True, login=("me", "secret"))) as registry:
            with pytest.raises(Unauthorized, match="401"):
                await pull(store, registry, credentials=Credentials("me", "wrong"))

    asyncio.run(run())


def test_a_mirror_is_asked_first_and_its_origin_when_it_lacks(store: ImageStore) -> None:
    async def run() -> None:
        async with serving() as first, serving() as second:
            config, _ = second.image(LAYER)
            mirrors = tuple(f"http://{one.address}" for one in (first, second))
            settings = RegistrySettings(mirrors=mirrors, patience=1, pause=0.01)
            puller = Puller(store, store.root, settings)
            pulled = await puller.pull(parse("busybox:latest"), Credentials(), lambda _: None)
            assert pulled.image.id == digest(config)
            assert pulled.image.tags == ("busybox:latest",)
            assert "GET /v2/library/busybox/manifests/latest" in first.log

    asyncio.run(run())


def test_a_proxy_is_used_but_for_those_it_is_not_for(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with serving() as proxy:
            proxy.image(LAYER)
            monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
            settings = RegistrySettings(("registry.lading.test",), patience=1, pause=0.01)
            puller = Puller(store, store.root, settings)
            named = parse("registry.lading.test/some/image:latest")
            monkeypatch.setenv("https_proxy", f"http://{proxy.address}")
            assert (await puller.pull(named, Credentials(), lambda _: None)).image.tags
            monkeypatch.setenv("no_proxy", "registry.lading.test")
            with pytest.raises(Unavailable, match=r"registry\.lading\.test"):
                await puller.pull(named, Credentials(), lambda _: None)

    asyncio.run(run())
