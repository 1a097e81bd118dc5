from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from lading.engine.events import EventBus
from lading.engine.images import Images, in_batches
from lading.engine.networks import Networks
from lading.engine.volumes import Volumes
from lading.errors import Conflict, InvalidParameter, LadingError, NotFound
from lading.image.model import Config
from lading.image.store import Image, ImageStore, ImageUser, Removal
from lading.network.manager import NetworkManager
from lading.network.model import Endpoint, Network, NetworkRequest
from lading.storage.volumes import ANONYMOUS_LABEL, Volume, VolumeStore


def image(number: int, *tags: str, created: str = "2026-01-01T00:00:00Z", **changes: Any) -> Image:
    given: dict[str, Any] = {
        "id": f"sha256:{number:064x}",
        "parent": "",
        "created": created,
        "author": "",
        "comment": "",
        "architecture": "amd64",
        "variant": "",
        "os": "linux",
        "docker_version": "",
        "config": Config(labels=changes.pop("labels", None)),
        "diff_ids": (),
        "size": 100,
        "tags": tags,
        "digests": (),
        "last_tagged": "",
    }
    return Image(**(given | changes))


class FakeImageStore:
    def __init__(self, *images: Image) -> None:
        self.images = list(images)

    def get(self, ref: str) -> Image:
        for known in self.images:
            if ref in (known.id, *known.tags):
                return known
        raise NotFound(f"No such image: {ref}")

    def list(self) -> list[Image]:
        return list(self.images)

    def children(self, image_id: str) -> Sequence[str]:
        return [known.id for known in self.images if known.parent == image_id]

    def remove(self, ref: str, *, users: Any, **_options: bool) -> Sequence[Removal]:
        known = self.get(ref)
        if users(known.id):
            raise Conflict("in use")
        tags = tuple(tag for tag in known.tags if tag != ref)
        self.images.remove(known)
        if tags:
            self.images.append(replace(known, tags=tags))
            return [Removal(untagged=ref)]
        return [Removal(untagged=ref), Removal(deleted=known.id, freed=known.size)]


def service(*images: Image, used: Sequence[str] = ()) -> tuple[Images, EventBus]:
    bus = EventBus()

    def users(image_id: str) -> Sequence[ImageUser]:
        return [ImageUser("c", running=True)] if image_id in used else []

    return Images(cast(ImageStore, FakeImageStore(*images)), bus, users), bus


OLD = image(1, "busybox:1.35", "busybox:latest", created="2020-01-01T00:00:00Z")
NEW = image(2, "reg:5000/team/app:v2", labels={"tier": "web"})
UNTAGGED = image(3)
PARENT = image(4)
CHILD = image(5, "child:1", parent=PARENT.id)


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        ({}, [1, 2, 3, 5]),
        ({"dangling": ["true"]}, [3]),
        ({"dangling": ["false"]}, [1, 2, 5]),
        ({"label": ["tier=web"]}, [2]),
        ({"reference": ["busybox"]}, [1]),
        ({"reference": ["busy*"]}, [1]),
        ({"reference": ["*:1*"]}, [1, 5]),
        ({"reference": ["reg:5000/*/app"]}, [2]),
        ({"reference": ["*app*"]}, []),
        ({"reference": ["[b-c]*"]}, [1, 5]),
        ({"before": ["reg:5000/team/app:v2"]}, [1]),
        ({"since": ["busybox:latest"]}, [2, 3, 5]),
        ({"until": ["2021-01-01T00:00:00Z"]}, [1]),
        ({"until": ["1h", "2021-01-01T00:00:00Z"]}, [1]),
    ],
)
def test_image_filters(filters: dict[str, list[str]], shown: list[int]) -> None:
    images, _ = service(OLD, NEW, UNTAGGED, PARENT, CHILD)
    listed = images.list(filters=filters)
    assert [int(entry.image.id[7:], 16) for entry in listed] == shown


def test_only_names_that_match_are_shown() -> None:
    images, _ = service(OLD)
    (entry,) = images.list(filters={"reference": ["*:latest"]})
    assert entry.tags == ("busybox:latest",)


def test_parents_are_shown_when_all_are_asked_for() -> None:
    images, _ = service(PARENT, CHILD)
    assert [entry.image for entry in images.list(all=True)] == [PARENT, CHILD]


@pytest.mark.parametrize(
    "filters",
    [
        {"nope": ["x"]},
        {"label!": ["tier"]},
        {"dangling": ["maybe"]},
        {"reference": ["["]},
        {"until": ["x"]},
    ],
)
def test_faulty_image_filters(filters: dict[str, list[str]]) -> None:
    images, _ = service(OLD)
    with pytest.raises(InvalidParameter):
        images.list(filters=filters)


async def told(bus: EventBus) -> list[tuple[str, str]]:
    events = bus.subscribe(since_nano=1, until_nano=time.time_ns())
    return [(event.action, event.actor_id) async for event in events]


async def test_removal_is_told() -> None:
    images, bus = service(replace(OLD, tags=("busybox:latest",)))
    await images.remove("busybox:latest")
    assert await told(bus) == [("untag", OLD.id), ("delete", OLD.id)]


async def test_prune_takes_untagged_images_that_nobody_uses() -> None:
    used = image(6)
    images, _ = service(OLD, UNTAGGED, used, PARENT, CHILD, used=[used.id])
    pruned = await images.prune()
    assert [removal.deleted for removal in pruned.removals if removal.deleted] == [UNTAGGED.id]
    assert pruned.space == 100


async def test_prune_takes_all_unused_images_when_told() -> None:
    images, _ = service(OLD, NEW, used=[NEW.id])
    pruned = await images.prune({"dangling": ["false"]})
    assert pruned.removals == [
        Removal(untagged="busybox:1.35"),
        Removal(untagged="busybox:latest"),
        Removal(deleted=OLD.id, freed=100),
    ]
    assert pruned.space == 100


async def test_batches_keep_every_byte() -> None:
    def chunks() -> Iterator[bytes]:
        for number in range(1000):
            yield bytes([number % 256]) * 1000

    pieces = [piece async for piece in in_batches(chunks())]
    assert b"".join(pieces) == b"".join(chunks())
    assert len(pieces) < 10


class FakeVolumeStore:
    def __init__(self, *volumes: Volume) -> None:
        self.volumes = {volume.name: volume for volume in volumes}

    def create(self, name: str, **given: Any) -> Volume:
        volume = Volume(name or "f" * 64, "/v", "2026-01-01T00:00:00Z", given["driver"])
        return self.volumes.setdefault(volume.name, volume)

    def get(self, name: str) -> Volume:
        if name not in self.volumes:
            raise NotFound(f"get {name}: no such volume")
        return self.volumes[name]

    def list(self) -> list[Volume]:
        return sorted(self.volumes.values(), key=lambda volume: volume.name)

    def remove(self, name: str) -> None:
        del self.volumes[name]

    def size(self, _name: str) -> int:
        return 7


def volume(name: str, **labels: str) -> Volume:
    return Volume(name, f"/{name}", "2026-01-01T00:00:00Z", labels=labels or None)


def volumes(*known: Volume, used: Sequence[str] = ()) -> tuple[Volumes, EventBus]:
    bus = EventBus()
    store = cast(VolumeStore, FakeVolumeStore(*known))
    return Volumes(store, bus, lambda name: ["c1"] if name in used else []), bus


async def test_a_volume_is_told_of_when_it_is_made() -> None:
    kept, bus = volumes()
    kept.create("data")
    kept.create("data", driver="local")
    assert await told(bus) == [("create", "data")]
    with pytest.raises(NotFound, match='plugin "nfs" not found'):
        kept.create("x", driver="nfs")


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["anon", "data", "logs"]),
        ({"dangling": ["true"]}, ["anon", "logs"]),
        ({"dangling": ["false"]}, ["data"]),
        ({"name": ["o", "d"]}, ["anon", "data", "logs"]),
        ({"name": ["^l"]}, ["logs"]),
        ({"driver": ["nfs"]}, []),
        ({"label": ["tier=web"]}, ["logs"]),
    ],
)
def test_volume_filters(filters: dict[str, list[str]], names: list[str]) -> None:
    known = [volume("anon", **{ANONYMOUS_LABEL: ""}), volume("data"), volume("logs", tier="web")]
    kept, _ = volumes(*known, used=["data"])
    assert [found.name for found in kept.list(filters)] == names


async def test_a_volume_in_use_stays() -> None:
    kept, _ = volumes(volume("data"), used=["data"])
    with pytest.raises(Conflict, match=r"remove data: volume is in use - \[c1\]"):
        await kept.remove("data")
    await kept.remove("nope", force=True)
    with pytest.raises(NotFound):
        await kept.remove("nope")


async def test_volume_prune() -> None:
    kept, bus = volumes(
        volume("anon", **{ANONYMOUS_LABEL: ""}), volume("data"), volume("used"), used=["used"]
    )
    assert (await kept.prune()).names == ["anon"]
    pruned = await kept.prune({"all": ["true"]})
    assert (pruned.names, pruned.space) == (["data"], 7)
    assert [action for action, _ in await told(bus)] == ["destroy", "prune", "destroy", "prune"]


class FakeNetworkManager:
    def __init__(self, *networks: Network) -> None:
        self.networks = {network.name: network for network in networks}

    def create(self, request: NetworkRequest) -> Network:
        return self.networks.setdefault(request.name, network(request.name))

    def list(self) -> list[Network]:
        return list(self.networks.values())

    def endpoints(self, network_id: str) -> Sequence[Endpoint]:
        if network_id != "id-used":
            return []
        return [
            Endpoint(
                id="e", network_id="id-used", network_name="used", container_id="c",
                container_name="n",
            )
        ]  # fmt: skip

    def remove(self, ref: str) -> Network:
        return self.networks.pop(ref)

    def prune(self, keep: set[str]) -> Sequence[str]:
        gone = [
            known.name
            for known in self.list()
            if known.id not in keep and not known.predefined and not self.endpoints(known.id)
        ]
        for name in gone:
            del self.networks[name]
        return gone


def network(name: str, **changes: Any) -> Network:
    given = {"driver": "bridge", "created": "2026-01-01T00:00:00Z"} | changes
    return Network(id=f"id-{name}", name=name, **given)


def networks() -> tuple[Networks, EventBus]:
    bus = EventBus()
    known = [
        network("bridge"),
        network("none", driver="null"),
        network("used"),
        network("free", labels={"a": "b"}),
    ]
    return Networks(cast(NetworkManager, FakeNetworkManager(*known)), bus), bus


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"driver": ["bridge"]}, ["bridge", "used", "free"]),
        ({"name": ["ree", "us"]}, ["used", "free"]),
        ({"id": ["id-f"]}, ["free"]),
        ({"type": ["builtin"]}, ["bridge", "none"]),
        ({"type": ["custom"]}, ["used", "free"]),
        ({"dangling": ["true"]}, ["free"]),
        ({"label": ["a=b"]}, ["free"]),
        ({"scope": ["swarm"]}, []),
    ],
)
def test_network_filters(filters: dict[str, list[str]], names: list[str]) -> None:
    assert [found.name for found in networks()[0].list(filters)] == names


def test_faulty_network_filters() -> None:
    with pytest.raises(LadingError, match="invalid filter: 'type'='x'"):
        networks()[0].list({"type": ["x"]})
    with pytest.raises(InvalidParameter, match="invalid filter 'foo'"):
        networks()[0].list({"foo": ["x"]})


async def test_network_prune() -> None:
    kept, bus = networks()
    assert kept.prune({"label!": ["a"]}) == ()
    assert kept.prune() == ("free",)
    assert await told(bus) == [("prune", ""), ("destroy", "id-free"), ("prune", "")]
