"""The directories of `RUN --mount=type=cache`: kept between builds, shared, or one at a time.

ROOT/buildcache/mounts/<hash of the id>/{id, 0/, 1/, …}; private mounts that are in use at the same
time have a number of their own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from lading.build.runmounts import CacheMount, Sharing
from lading.files import TEMPORARY, explaining, temporary_name, write_atomically
from lading.storage import trees
from lading.threads import in_thread

Seed: TypeAlias = Callable[[CacheMount, Path], None]
"""Fills a new cache's directory with the content that its `from` and `source` name."""


@dataclass(slots=True)
class _Use:
    """Who uses a cache: a lock for one at a time, and the private directories that are taken."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    private: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Pruned:
    """A cache that was removed, and the bytes that it had."""

    id: str
    size: int


class Caches:
    """The caches below `root`, for one daemon; to be used from its event loop."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._uses: dict[str, _Use] = {}

    @asynccontextmanager
    async def held(
        self, mounts: Iterable[CacheMount], seed: Seed | None = None
    ) -> AsyncIterator[dict[CacheMount, Path]]:
        """Hold the caches of one RUN; gives the directory of each.

        One of another build that is locked is waited for. Locks are taken in the order of ids, so
        that two RUNs never wait for each other.
        """
        held: dict[CacheMount, Path] = {}
        locked: set[str] = set()
        async with AsyncExitStack() as stack:
            for mount in sorted(mounts, key=lambda one: (one.id, one.sharing is Sharing.PRIVATE)):
                if mount.sharing is Sharing.LOCKED and mount.id not in locked:
                    locked.add(mount.id)
                    await stack.enter_async_context(self._use(mount.id).lock)
                number = stack.enter_context(_Taken(self, mount)).number
                async with self._use(mount.id).making:
                    held[mount] = await in_thread(self._directory, mount, number, seed)
            yield held

    async def prune(self) -> list[Pruned]:
        """Remove every cache that no RUN uses."""
        removed: list[Pruned] = []
        for name in await in_thread(self._names):
            identity = await in_thread(self._identity, name)
            use = self._uses.get(identity)
            if use is not None and use.users:
                continue
            # It is out of the way before anything is awaited: a RUN that comes now gets a new one.
            doomed = self._root / temporary_name()
            with explaining("remove a build cache"):
                (self._root / name).rename(doomed)
                removed.append(Pruned(identity, await in_thread(self._remove, doomed)))
        return removed

    def sweep(self) -> None:
        """Remove what a crash left of caches half made or half removed."""
        for name in self._names(TEMPORARY):
            self._remove(self._root / name)

    def _use(self, identity: str) -> _Use:
        return self._uses.setdefault(identity, _Use())

    def enter(self, mount: CacheMount) -> int:
        """Note a user of a cache; gives the number of the directory that it gets."""
        use = self._use(mount.id)
        use.users += 1
        if mount.sharing is not Sharing.PRIVATE:
            return 0
        number = next(n for n in range(len(use.private) + 1) if n not in use.private)
        use.private.add(number)
        return number

    def leave(self, mount: CacheMount, number: int) -> None:
        """Note that a user is done."""
        use = self._use(mount.id)
        use.users -= 1
        if mount.sharing is Sharing.PRIVATE:
            use.private.discard(number)

    def _directory(self, mount: CacheMount, number: int, seed: Seed | None) -> Path:
        """Give the cache's directory, which is made and filled when it is new."""
        above = self._root / sha256(mount.id.encode()).hexdigest()[:32]
        place = above / str(number)
        if place.is_dir():
            return place
        with explaining(f"make the build cache {mount.id}"):
            above.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(above / "id", mount.id.encode(), durable=False)
            fresh = self._root / temporary_name()
            fresh.mkdir()
            try:
                if seed is not None and mount.from_:
                    seed(mount, fresh)
                os.chown(fresh, mount.uid, mount.gid)
                os.chmod(fresh, mount.mode)
                fresh.rename(place)
            except BaseException:
                self._remove(fresh)
                raise
        return place

    def _names(self, prefix: str = "") -> list[str]:
        if not self._root.is_dir():
            return []
        names = os.listdir(self._root)
        if prefix:
            return [name for name in names if name.startswith(prefix)]
        return sorted(name for name in names if not name.startswith(TEMPORARY))

    def _identity(self, name: str) -> str:
        try:
            return (self._root / name / "id").read_text()
        except FileNotFoundError:
            return name

    def _remove(self, path: Path) -> int:
        """Remove a directory; gives the bytes that were in it."""
        inside = trees.open_root(path)
        try:
            size = trees.size(inside)
        finally:
            os.close(inside)
        trees.remove_at(path)
        return size


class _Taken:
    """A cache in use, until the end of a `with`."""

    def __init__(self, caches: Caches, mount: CacheMount) -> None:
        self._caches = caches
        self._mount = mount
        self.number = 0

    def __enter__(self) -> _Taken:
        self.number = self._caches.enter(self._mount)
        return self

    def __exit__(self, *ended: object) -> None:
        self._caches.leave(self._mount, self.number)
