"""The directories of `RUN --mount=type=cache`: kept between builds, shared, or one at a time.

ROOT/buildcache/mounts/<hash of the id>/{record.json, 0/, 1/, …}; private mounts that are in use at
the same time have a number of their own.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

import msgspec

from lading.build.runmounts import CacheMount, Sharing
from lading.files import TEMPORARY, explaining, temporary_name, write_atomically
from lading.storage import trees
from lading.threads import in_thread

_RECORD = "record.json"

Seed: TypeAlias = Callable[[CacheMount, Path], None]
"""Fills a new cache's directory with the content that its `from` and `source` name."""


@dataclass(slots=True)
class _Use:
    """Who uses a cache: a lock for one at a time, and the private directories that are taken."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    private: set[int] = field(default_factory=set)


class _Record(msgspec.Struct):
    """What is kept of a cache: its `id`, where it was mounted first, and who used it when."""

    id: str
    target: str = ""
    created: int = 0
    last_used: int = 0
    uses: int = 0


@dataclass(frozen=True, slots=True)
class Cache:
    """A cache as it is: times are nanoseconds since 1970, `size` bytes, `name` its directory's."""

    name: str
    id: str
    target: str
    created: int
    last_used: int
    uses: int
    size: int
    in_use: bool


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

    async def all(self) -> list[Cache]:
        """Give all caches, measured; those that were used longest ago first."""
        found: list[Cache] = []
        for name in await in_thread(self._names):
            record, size = await in_thread(self._measured, name)
            found.append(
                Cache(
                    name=name,
                    id=record.id,
                    target=record.target,
                    created=record.created,
                    last_used=record.last_used,
                    uses=record.uses,
                    size=size,
                    in_use=self._in_use(name),
                )
            )
        return sorted(found, key=lambda cache: cache.last_used)

    async def remove(self, cache: Cache) -> bool:
        """Remove a cache; tell whether it went, which one that a RUN uses does not."""
        if self._in_use(cache.name):
            return False
        # It is out of the way before anything is awaited: a RUN that comes now gets a new one.
        doomed = self._root / temporary_name()
        with explaining(f"remove the build cache {cache.id}"):
            try:
                (self._root / cache.name).rename(doomed)
            except FileNotFoundError:
                return False
            await in_thread(trees.remove_at, doomed)
        return True

    def place(self) -> Path:
        """Give a directory that is on the caches' disk: theirs, or the nearest one above it."""
        return next(path for path in (self._root, *self._root.parents) if path.is_dir())

    def sweep(self) -> None:
        """Remove what a crash left of caches half made or half removed."""
        for name in self._names(TEMPORARY):
            trees.remove_at(self._root / name)

    def _use(self, identity: str) -> _Use:
        return self._uses.setdefault(_directory_name(identity), _Use())

    def _in_use(self, name: str) -> bool:
        use = self._uses.get(name)
        return use is not None and use.users > 0

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
        above = self._root / _directory_name(mount.id)
        place = above / str(number)
        with explaining(f"make the build cache {mount.id}"):
            above.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._note(above, mount)
            if not place.is_dir():
                self._make(place, mount, seed)
        return place

    def _make(self, place: Path, mount: CacheMount, seed: Seed | None) -> None:
        fresh = self._root / temporary_name()
        fresh.mkdir()
        try:
            if seed is not None and mount.from_:
                seed(mount, fresh)
            os.chown(fresh, mount.uid, mount.gid)
            os.chmod(fresh, mount.mode)
            fresh.rename(place)
        except BaseException:
            trees.remove_at(fresh)
            raise

    def _note(self, above: Path, mount: CacheMount) -> None:
        """Write down that a cache is used now; with the lock of its making held."""
        now = time.time_ns()
        record = self._record(above) or _Record(mount.id, mount.target, created=now)
        record.last_used = now
        record.uses += 1
        write_atomically(above / _RECORD, msgspec.json.encode(record), durable=False)

    def _record(self, above: Path) -> _Record | None:
        """Read a cache's record, None when a crash left none."""
        with suppress(FileNotFoundError, msgspec.DecodeError):
            return msgspec.json.decode((above / _RECORD).read_bytes(), type=_Record)
        return None

    def _measured(self, name: str) -> tuple[_Record, int]:
        above = self._root / name
        size = 0
        with suppress(FileNotFoundError):  # it was pruned meanwhile
            numbers = [entry for entry in above.iterdir() if entry.name.isdigit()]
            size = sum(map(_size, numbers))
        return self._record(above) or _Record(name), size

    def _names(self, prefix: str = "") -> list[str]:
        if not self._root.is_dir():
            return []
        names = os.listdir(self._root)
        if prefix:
            return [name for name in names if name.startswith(prefix)]
        return sorted(name for name in names if not name.startswith(TEMPORARY))


def _directory_name(identity: str) -> str:
    return sha256(identity.encode()).hexdigest()[:32]


def _size(path: Path) -> int:
    inside = trees.open_root(path)
    try:
        return trees.size(inside)
    finally:
        os.close(inside)


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
