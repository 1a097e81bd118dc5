"""What `builder prune` takes of the build cache: the directories of `RUN --mount=type=cache`.

The images of steps are no part of it, as they are not with Docker's classic builder: they go with
`image prune`. The terms of a prune are those of Docker's BuildKit (API operation BuildPrune).
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from lading.build.caches import Cache, Caches
from lading.engine import filters as terms
from lading.engine import moments
from lading.engine.filters import Filters
from lading.errors import InvalidParameter
from lading.files import explaining

KIND = "exec.cachemount"
"""What BuildKit calls these entries of the cache."""

_FLAGS = ("inuse", "shared", "private")
_TIMES = ("until", "unused-for")
_WORDS = ("id", "parent", "type", "description", "label", "label!")


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much may stay, in bytes: 0 is not said.

    `reserved` is kept in any case, `most` is the limit above which is pruned, `free` what the disk
    should have free afterwards.
    """

    reserved: int = 0
    most: int = 0
    free: int = 0

    def kept(self, total: int, free: int) -> int:
        """Give how many of `total` bytes stay on a disk that has `free`."""
        kept = self.most or (total if self.free else 0)
        if self.free:
            kept = min(kept, total - max(0, self.free - free))
        return max(kept, self.reserved)


def describe(cache: Cache) -> str:
    """Say what a cache is, as BuildKit does."""
    return f'cached mount {cache.target} with id "{cache.id}"'


async def prune(caches: Caches, filters: Filters, allowance: Allowance) -> list[Cache]:
    """Remove caches that fit and that no RUN uses, the longest unused first; gives those that went.

    Raises InvalidParameter for a filter that is malformed.
    """
    _check(filters)
    unused_since = _unused_since(filters)
    every = await caches.all()
    total = sum(cache.size for cache in every)
    kept = allowance.kept(total, _free(caches) if allowance.free else 0)
    removed: list[Cache] = []
    for cache in every:
        if total <= kept and kept:
            break
        if cache.last_used > unused_since or not _fits(cache, filters):
            continue
        if await caches.remove(cache):
            removed.append(cache)
            total -= cache.size
    return removed


def _free(caches: Caches) -> int:
    with explaining("measure the disk of the build cache"):
        disk = os.statvfs(caches.place())
    return disk.f_bavail * disk.f_frsize


def _check(filters: Filters) -> None:
    terms.check(filters, (*_FLAGS, *_TIMES, *_WORDS))
    for values in filters.values():
        if len(values) > 1:
            raise InvalidParameter("filters expect only one value")


def _unused_since(filters: Filters) -> int:
    """Give the moment, in nanoseconds since 1970, after which a cache must not have been used."""
    now = time.time_ns()
    given = [(name, value) for name in _TIMES for value in filters.get(name, ())]
    return min((moments.parse(name, value, now) for name, value in given), default=now)


def _fits(cache: Cache, filters: Filters) -> bool:
    own = {"type": KIND, "parent": "", "description": describe(cache)}
    flags = {"inuse": cache.in_use, "shared": False, "private": True}
    return (
        terms.has_labels(filters, None)
        and all(own[name] in _values(filters, name, own[name]) for name in own)
        and all(cache.name.startswith(value) for value in filters.get("id", ()))
        and all(terms.flag(filters, name, here) is here for name, here in flags.items())
    )


def _values(filters: Filters, name: str, default: str) -> Sequence[str]:
    return filters.get(name) or (default,)
