"""Directories of cache mounts: what is known of them, and what a prune may take."""

from __future__ import annotations

from pathlib import Path

import pytest

from lading.build.caches import Caches
from lading.build.runmounts import CacheMount, Sharing
from lading.engine import buildcache
from lading.engine.buildcache import Allowance, prune
from lading.errors import InvalidParameter

pytestmark = pytest.mark.root


async def _fill(caches: Caches, identity: str, size: int) -> None:
    async with caches.held([CacheMount(f"/at/{identity}", identity)]) as held:
        for place in held.values():
            (place / "file").write_bytes(bytes(size))


async def _three(root: Path) -> Caches:
    caches = Caches(root / "mounts")
    for identity, size in (("old", 10), ("mid", 20), ("new", 30)):
        await _fill(caches, identity, size)
    return caches


async def _ids(caches: Caches) -> list[str]:
    return [cache.id for cache in await caches.all()]


async def test_a_cache_tells_of_its_use(tmp_path: Path) -> None:
    caches = await _three(tmp_path)
    await _fill(caches, "old", 11)
    mid, _, old = await caches.all()
    assert (old.id, old.target, old.size, old.uses, old.in_use) == ("old", "/at/old", 11, 2, False)
    assert mid.uses == 1
    assert old.created < mid.created <= mid.last_used < old.last_used
    assert buildcache.describe(old) == 'cached mount /at/old with id "old"'


async def test_what_a_run_uses_stays(tmp_path: Path) -> None:
    caches = await _three(tmp_path)
    async with caches.held([CacheMount("/m", "mid", Sharing.LOCKED)]) as held:
        assert [cache.in_use for cache in await caches.all()] == [False, False, True]
        assert [cache.id for cache in await prune(caches, {}, Allowance())] == ["old", "new"]
        (place,) = held.values()
        assert (place / "file").stat().st_size == 20
    assert await _ids(caches) == ["mid"]


async def test_private_directories_count_together(tmp_path: Path) -> None:
    caches, mount = Caches(tmp_path / "mounts"), CacheMount("/m", "m", Sharing.PRIVATE)
    async with caches.held([mount]) as one, caches.held([mount]) as other:
        for place in (*one.values(), *other.values()):
            (place / "file").write_bytes(bytes(5))
    (cache,) = await caches.all()
    assert cache.size == 10
    await caches.remove(cache)
    assert not list((tmp_path / "mounts").iterdir())
    assert not await caches.remove(cache)


async def test_a_cache_whose_record_is_lost_can_be_pruned(tmp_path: Path) -> None:
    caches = Caches(tmp_path / "mounts")
    await _fill(caches, "x", 3)
    (cache,) = await caches.all()
    (tmp_path / "mounts" / cache.name / "record.json").write_bytes(b"{")
    async with caches.held([]):
        assert [one.size for one in await prune(caches, {}, Allowance())] == [3]


@pytest.mark.parametrize(
    ("filters", "gone"),
    [
        ({}, ["old", "mid", "new"]),
        ({"until": ["24h"]}, []),
        ({"unused-for": ["0s"]}, ["old", "mid", "new"]),
        ({"until": ["0s"], "unused-for": ["1h"]}, []),
        ({"type": ["exec.cachemount"]}, ["old", "mid", "new"]),
        ({"type": ["regular"]}, []),
        ({"description": ['cached mount /at/mid with id "mid"']}, ["mid"]),
        ({"parent": ["abc"]}, []),
        ({"label": ["key"]}, []),
        ({"label!": ["key"]}, ["old", "mid", "new"]),
        ({"inuse": ["true"]}, []),
        ({"inuse": ["false"], "private": ["1"]}, ["old", "mid", "new"]),
        ({"shared": ["true"]}, []),
    ],
)
async def test_filters(tmp_path: Path, filters: dict[str, list[str]], gone: list[str]) -> None:
    caches = await _three(tmp_path)
    assert [cache.id for cache in await prune(caches, filters, Allowance())] == gone


async def test_an_id_may_be_abbreviated(tmp_path: Path) -> None:
    caches = await _three(tmp_path)
    name = (await caches.all())[1].name
    assert [one.id for one in await prune(caches, {"id": [name[:12]]}, Allowance())] == ["mid"]


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"dangling": ["x"]}, "invalid filter 'dangling'"),
        ({"id": ["x", "y"]}, "filters expect only one value"),
        ({"until": ["soon"]}, "invalid value for 'until'"),
    ],
)
async def test_wrong_filters(tmp_path: Path, filters: dict[str, list[str]], words: str) -> None:
    caches = await _three(tmp_path)
    with pytest.raises(InvalidParameter, match=words):
        await prune(caches, filters, Allowance())
    assert len(await caches.all()) == 3


@pytest.mark.parametrize(
    ("allowance", "gone"),
    [
        (Allowance(reserved=50), ["old"]),
        (Allowance(reserved=49), ["old", "mid"]),
        (Allowance(most=60), []),
        (Allowance(most=1), ["old", "mid", "new"]),
        (Allowance(most=1, reserved=30), ["old", "mid"]),
        (Allowance(free=1), []),
    ],
)
async def test_what_may_stay(tmp_path: Path, allowance: Allowance, gone: list[str]) -> None:
    caches = await _three(tmp_path)
    assert [cache.id for cache in await prune(caches, {}, allowance)] == gone


def test_space_that_should_be_free_limits_what_stays() -> None:
    assert Allowance(free=100).kept(total=60, free=70) == 30
    assert Allowance(free=100, most=20).kept(total=60, free=70) == 20
    assert Allowance(free=200).kept(total=60, free=70) == 0
    assert Allowance(free=200, reserved=10).kept(total=60, free=70) == 10


def test_no_directory_yet_is_no_cache(tmp_path: Path) -> None:
    assert Caches(tmp_path / "a" / "b").place() == tmp_path
    Caches(tmp_path / "a").sweep()
