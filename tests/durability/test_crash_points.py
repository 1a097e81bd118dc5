"""A daemon that is killed between any two changes leaves a store that the next start repairs."""

from __future__ import annotations

import asyncio
import functools
import io
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lading.errors import NotFound
from lading.image.archives import import_, load
from lading.image.archives import importing as importing_module
from lading.image.model import encode_image
from lading.image.reference import parse
from lading.image.registry.pull import Puller
from lading.image.registry.settings import Credentials
from lading.image.store import ImageStore
from lading.storage.streams import ChunkReader
from tests.durability.faults import killed_at
from tests.unit.image.makers import add, config, digest, opened, tar
from tests.unit.image.registry.conftest import SETTINGS, serving

pytestmark = pytest.mark.root

BASE = tar({"etc/base": b"base"}, {"link": "etc/base"})
OLD = tar({"old/file": b"old"})
NEW = tar({"etc/more": b"more"})
CONTAINER, FRESH = "c" * 64, "d" * 64

_WORK = Callable[[ImageStore], object]


@dataclass(frozen=True, slots=True)
class State:
    """What a user sees of a store: images, names, and the containers that have a layer."""

    images: frozenset[str]
    names: dict[str, str]
    containers: frozenset[str]


def state(store: ImageStore) -> State:
    images = store.list()
    names = {name: image.id for image in images for name in (*image.tags, *image.digests)}
    containers = frozenset(rw.container_id for rw in store.layers.rw_layers())
    return State(frozenset(image.id for image in images), names, containers)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory in memory: what reaches a disk when is not the matter here."""
    path = Path(tempfile.mkdtemp(prefix="lading-test-crash-", dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


def furnish(root: Path) -> None:
    """Make the store that is worked on: two images that share a layer, a child, a container."""
    store = opened(root)
    old = add(store, BASE, OLD, tag="app:1")
    store.tag(old.id, parse("app:also"))
    base = add(store, BASE, tag="base:1")
    with store.lease() as lease:
        lease.hold(digest(BASE))
        child = store.create(config([BASE], author="child"), parent=base.id)
    store.tag(child.id, parse("child:1"))
    store.untag(parse("base:1"))
    rw = store.layers.create_rw(CONTAINER, old.diff_ids)
    (rw.upper / "written").write_text("by the container")


def loading(store: ImageStore) -> None:
    images = [config([BASE, NEW]), config([NEW])]
    listing = [
        {"Config": "0.json", "RepoTags": ["app:1", "app:new"], "Layers": ["base", "new"]},
        {"Config": "1.json", "RepoTags": ["new:1"], "Layers": ["new"]},
    ]
    files = {"base": BASE, "new": NEW, "0.json": images[0], "1.json": images[1]}
    archive = tar({**files, "manifest.json": json.dumps(listing).encode()})
    load(store, io.BytesIO(archive))


def importing(store: ImageStore) -> None:
    import_(store, io.BytesIO(NEW), repository="app", tag="1")


def tagging(store: ImageStore) -> None:
    store.tag(store.get("child:1").id, parse("app:1"))


def untagging(store: ImageStore) -> None:
    remove(store, "app:also")


def deleting(store: ImageStore) -> None:
    """Delete an image with a layer of its own and one that another has."""
    store.layers.remove_rw(CONTAINER)
    remove(store, digest(config([BASE, OLD])))


def deleting_parents(store: ImageStore) -> None:
    """Delete an image, with which its untagged parent goes."""
    remove(store, digest(config([BASE], author="child")))
    remove(store, digest(config([BASE])))


def remove(store: ImageStore, ref: str) -> None:
    with suppress(NotFound):
        store.remove(ref, force=True, users=lambda _id: ())


def creating(store: ImageStore) -> None:
    store.layers.create_rw(FRESH, store.get("child:1").diff_ids)


def removing(store: ImageStore) -> None:
    store.layers.remove_rw(CONTAINER)


def committing(store: ImageStore) -> None:
    image = store.get("app:1")
    rw = store.layers.rw(CONTAINER)
    with store.lease() as lease:
        source = ChunkReader(store.layers.diff_tar(rw))
        layer = store.layers.unpack_stream(source, lease=lease).layer
        file = store.file(image.id)
        file.rootfs.diff_ids = [*image.diff_ids, layer.diff_id]
        file.history = None
        made = store.create(encode_image(file), parent=image.id)
    store.tag(made.id, parse("committed:1"))


def pulling(store: ImageStore) -> None:
    async def pull() -> None:
        async with serving() as registry:
            registry.image(BASE, NEW, tag="1")
            settings = replace(SETTINGS, mirrors=[f"http://{registry.address}"])
            puller = Puller(store, store.root, settings)
            await puller.pull(parse("pulled:1"), Credentials(), lambda _step: None)

    asyncio.run(pull())


def copied(place: Path) -> ImageStore:
    """Open a fresh copy of the furnished store."""
    root = place / "root"
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(["cp", "-a", place / "furnished", root], check=True)
    return opened(root)


def started(root: Path) -> ImageStore:
    """Open a store as a daemon does that starts."""
    store = opened(root)
    store.collect()
    return store


def check(store: ImageStore, before: State, after: State) -> None:
    """Check that a store is whole, and on the way from one state to another."""
    now = state(store)
    assert before.images & after.images <= now.images <= before.images | after.images
    assert before.containers & after.containers <= now.containers
    assert now.containers <= before.containers | after.containers
    for name in before.names | after.names | now.names:
        targets = {names.get(name) for names in (before.names, after.names)}
        assert now.names.get(name) in targets, name
    needed: set[str] = set()
    for image in store.list():
        needed.update(image.diff_ids)
        for diff_id in image.diff_ids:
            assert digest(b"".join(store.layers.assemble(diff_id))) == diff_id
    for rw in store.layers.rw_layers():
        needed.update(rw.chain)
        with store.layers.view(rw) as _root:
            pass
    assert {layer.diff_id for layer in store.layers.walk()} == needed
    assert {blob.digest for blob in store.blobs.walk()} == now.images
    check_directories(store, {diff_id[7:] for diff_id in needed} | now.containers)


def check_directories(store: ImageStore, owned: set[str]) -> None:
    """Check that nothing is there that belongs to nobody."""
    assert list(store.root.parent.rglob(".tmp-*")) == []
    layers = store.layers.root
    assert {path.name for path in layers.iterdir()} == owned | {"l", "init", "view"}
    links = {os.readlink(path) for path in (layers / "l").iterdir()}
    kept = {path.name for path in layers.iterdir() if (path / "layer.json").exists()}
    inits = {f"init/{path.name}" for path in (layers / "init").iterdir()}
    assert links == {f"../{name}/diff" for name in kept | inits}


@pytest.mark.parametrize(
    "work",
    [
        loading,
        importing,
        tagging,
        untagging,
        deleting,
        deleting_parents,
        creating,
        removing,
        committing,
        pulling,
    ],
)
def test_a_kill_between_any_two_changes_is_repaired(
    place: Path, work: _WORK, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The same import makes the same image: only its time would be another.
    monkeypatch.setattr(importing_module, "now", lambda: "2026-01-02T03:04:05Z")
    furnish(place / "furnished")
    before = state(opened(place / "furnished"))
    whole = copied(place)
    work(whole)
    after = state(whole)
    check(started(whole.root.parent), after, after)
    for change in itertools.count(1):
        store = copied(place)
        killed = killed_at(change, functools.partial(work, store))
        repaired = started(store.root.parent)
        if not killed:
            break
        check(repaired, before, after)
        work(repaired)
        assert state(repaired) == after
    check(repaired, after, after)
    assert change > 2
