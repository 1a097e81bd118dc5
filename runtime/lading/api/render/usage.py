"""What takes how much of the disk, as `GET /system/df` tells it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from lading.api.render import containers, images
from lading.api.versions import Version
from lading.engine import buildcache, times
from lading.engine.images import Listed
from lading.errors import InvalidParameter, NotFound

if TYPE_CHECKING:
    from collections.abc import Set

    from lading.engine.engine import Engine

BUILDER_SIZE_UNTIL = Version(1, 42)
KINDS = frozenset({"container", "image", "volume", "build-cache"})


async def disk_usage(engine: Engine, wanted: Set[str], version: Version) -> dict[str, Any]:
    """Measure what is `wanted` of `KINDS`, all of it when empty; the rest is null.

    Raises InvalidParameter for another word.
    """
    if unknown := sorted(wanted - KINDS):
        raise InvalidParameter(f"unknown object type: {unknown[0]}")
    chosen = wanted or KINDS
    shown: dict[str, Any] = {
        "LayersSize": await asyncio.to_thread(_layers_size, engine) if "image" in chosen else 0,
        "Images": await _images(engine, version) if "image" in chosen else None,
        "Containers": await _containers(engine, version) if "container" in chosen else None,
        "Volumes": await _volumes(engine) if "volume" in chosen else None,
        "BuildCache": await _build_cache(engine) if "build-cache" in chosen else None,
    }
    if version < BUILDER_SIZE_UNTIL:
        shown["BuilderSize"] = sum(entry["Size"] for entry in shown["BuildCache"] or ())
    return shown


def _layers_size(engine: Engine) -> int:
    return sum(layer.size for layer in engine.images.store.layers.walk())


async def _images(engine: Engine, version: Version) -> list[dict[str, Any]]:
    shown = []
    for listed in engine.images.list(all=False):
        entry = await asyncio.to_thread(_image, engine, listed, version)
        shown.append(entry | {"Containers": len(engine.images.users(listed.image.id))})
    return shown


def _image(engine: Engine, listed: Listed, version: Version) -> dict[str, Any]:
    shown = images.summary(engine, listed, with_shared=True, version=version)
    return shown | {key: shown[key] or None for key in ("RepoDigests", "RepoTags")}


async def _containers(engine: Engine, version: Version) -> list[dict[str, Any]]:
    shown = []
    for container in engine.containers.list(all=True):
        try:
            sizes = await engine.containers.sizes(container.id)
        except NotFound:
            continue
        shown.append(containers.summary(engine, container, sizes, version))
    return shown


async def _volumes(engine: Engine) -> list[dict[str, Any]]:
    shown = []
    for volume in engine.volumes.list():
        try:
            size = await asyncio.to_thread(engine.volumes.store.size, volume.name)
        except NotFound:
            continue
        count = len(engine.volumes.users(volume.name))
        usage = {"UsageData": {"RefCount": count, "Size": size}}
        shown.append(msgspec.to_builtins(volume) | usage)
    return shown


async def _build_cache(engine: Engine) -> list[dict[str, Any]]:
    return [
        {
            "ID": cache.name,
            "Type": buildcache.KIND,
            "Description": buildcache.describe(cache),
            "InUse": cache.in_use,
            "Shared": False,
            "Size": cache.size,
            "CreatedAt": times.written(cache.created),
            "LastUsedAt": times.written(cache.last_used),
            "UsageCount": cache.uses,
        }
        for cache in await engine.building.caches.all()
    ]
