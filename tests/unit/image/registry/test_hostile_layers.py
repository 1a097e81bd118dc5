"""Layers that would fill the disk, lead out of their root, or be read from for ever."""

from __future__ import annotations

import asyncio
import io
import os
import stat
from pathlib import Path

import pytest

from lading.errors import LadingError
from lading.image.archives import load, save
from lading.image.reference import parse
from lading.image.registry.pull import Pulled, Puller
from lading.image.registry.settings import Credentials
from lading.image.store import ImageStore
from lading.kernel.mounts import MountFlag, mount
from lading.storage.streams import ChunkReader
from tests.unit.image.makers import add, digest, opened
from tests.unit.image.makers import tar as files
from tests.unit.image.registry.conftest import SETTINGS, serving
from tests.unit.image.registry.fakes import FakeRegistry
from tests.unit.image.registry.test_pull import LAYER
from tests.unit.storage.smalldisk import on_a_small_disk
from tests.unit.storage.tars import CHAR, FIFO, Item, directory, link, tar

pytestmark = pytest.mark.root

BLOCK = b"4"


async def pull(store: ImageStore, registry: FakeRegistry) -> Pulled:
    named = parse(f"{registry.address}/some/image:latest")
    puller = Puller(store, store.root, SETTINGS)
    return await puller.pull(named, Credentials(), lambda _step: None)


def pulled(store: ImageStore, *layers: bytes) -> Pulled:
    async def run() -> Pulled:
        async with serving() as registry:
            registry.image(*layers)
            return await pull(store, registry)

    return asyncio.run(run())


@pytest.mark.parametrize(
    "too_much", [(LAYER, LAYER[:512] + LAYER[512:][::-1]), (files({"zeros": bytes(64 << 20)}),)]
)
def test_a_full_disk_in_mid_pull_gives_its_space_back(
    tmp_path: Path, too_much: tuple[bytes, ...]
) -> None:
    def work(place: Path) -> None:
        store = opened(place)
        kept = add(store, files({"small": b"1"}), tag="kept:1")
        before = free(place)
        big = [files({f"{at}": layer}) for at, layer in enumerate(too_much)]

        async def run() -> None:
            async with serving() as registry:
                registry.image(*big)
                with pytest.raises(LadingError, match="no space left on device") as caught:
                    await pull(store, registry)
                assert caught.value.status == 500
                assert [image.id for image in store.list()] == [kept.id]
                assert {layer.diff_id for layer in store.layers.walk()} == set(kept.diff_ids)
                assert list((store.root / "partial").iterdir()) == []
                assert list(place.rglob(".tmp-*")) == []
                assert free(place) >= before - (64 << 10)
                # There is room now, and the same store goes on.
                mount(None, place, None, MountFlag.REMOUNT, "size=200m")
                again = await pull(store, registry)
                assert again.image.diff_ids == tuple(digest(layer) for layer in big)

        asyncio.run(run())

    on_a_small_disk(tmp_path, "8m", work)


def free(place: Path) -> int:
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


def test_devices_and_pipes_are_made_and_never_read(store: ImageStore) -> None:
    special = [
        Item("zero", kind=CHAR, device=(1, 5), mode=0o666),
        Item("disk", kind=BLOCK, device=(7, 255), mode=0o600),
        Item("pipe", kind=FIFO),
        *(Item(f"bomb/{number}", kind=CHAR, device=(1, 5)) for number in range(2000)),
    ]
    content = tar([*special, Item("file", b"data")])
    image = pulled(store, content).image
    assert image.size == 4
    diff = store.layers.get(image.diff_ids[0]).directory / "diff"
    assert stat.S_ISCHR((diff / "zero").lstat().st_mode)
    assert (diff / "disk").lstat().st_rdev == os.makedev(7, 255)
    assert stat.S_ISFIFO((diff / "pipe").lstat().st_mode)
    archive = b"".join(save(store, [image.id]))
    assert content in archive
    rw = store.layers.create_rw("a" * 64, image.diff_ids)
    exported = store.layers.export(rw)
    with store.lease() as lease:
        store.layers.unpack_stream(ChunkReader(exported), lease=lease)
    assert store.layers.root_size(rw) == 4
    store.layers.remove_rw(rw.container_id)
    (loaded,) = load(store, io.BytesIO(archive))
    assert loaded.image.id == image.id


def test_links_to_anywhere_stay_inside_their_layer(store: ImageStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    layer = tar(
        [
            directory("usr"),
            link("lib", "/usr"),
            Item("lib/inside", b"1"),
            link("door", str(outside)),
            link("etc", "/"),
            Item("etc/also-inside", b"2"),
        ]
    )
    image = pulled(store, layer).image
    diff = store.layers.get(image.diff_ids[0]).directory / "diff"
    assert (diff / "usr/inside").read_bytes() == b"1"
    assert (diff / "also-inside").read_bytes() == b"2"
    assert os.readlink(diff / "door") == str(outside)
    through = tar([link("door", str(outside)), Item("door/evil", b"3")])
    made = pulled(store, layer, through).image
    top = store.layers.get(made.diff_ids[1]).directory / "diff"
    assert (top / str(outside)[1:] / "evil").read_bytes() == b"3"
    assert list(outside.iterdir()) == []
