"""What the API does to images: list, tag, remove, load, save, import, prune; and tell of it."""

from __future__ import annotations

import asyncio
import functools
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass

from lading.build.configure import apply_changes
from lading.engine import filters as terms
from lading.engine import times
from lading.engine.events import EventBus, EventType
from lading.engine.filters import Filters
from lading.errors import InvalidParameter, LadingError, NotFound
from lading.image import reference
from lading.image.archives import LoadEvent, chosen, import_, load, save
from lading.image.model import Config
from lading.image.registry.platforms import Platform, mismatch
from lading.image.store import HistoryItem, Image, ImageStore, ImageUsers, Removal
from lading.storage.streams import Progress, Readable

LIST_FILTERS = ("dangling", "label", "before", "since", "reference", "until")
PRUNE_FILTERS = ("dangling", "label", "label!", "until")

BATCH = 256 * 1024
"""Bytes that a thread gathers of an archive before it hands them to the event loop."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An image of a list, with the tags and digests of it that passed a `reference` filter."""

    image: Image
    tags: tuple[str, ...]
    digests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pruned:
    """The answer to a prune: what was untagged and deleted, and the bytes that it freed."""

    removals: list[Removal]
    space: int


class Images:
    """The images of an engine; operations that read or write layers run in a thread."""

    def __init__(self, store: ImageStore, events: EventBus, users: ImageUsers) -> None:
        self.store = store
        self.users = users
        """Which containers use an image."""
        self._events = events

    def get(self, ref: str, platform: Platform | None = None) -> Image:
        """Find an image by ID, short ID, name or name@digest.

        Raises NotFound when there is none, or it is not for the platform that is asked for.
        """
        image = self.store.get(ref)
        if platform is not None and (complaint := mismatch(ref, image, platform)):
            raise NotFound(complaint)
        return image

    def list(self, *, all: bool = False, filters: Filters | None = None) -> list[Listed]:  # noqa: A002 - the API's own word
        """Give the images that pass the filters, newest first; parents of others only if `all`.

        Raises InvalidParameter for a filter that is not known, NotFound for an image that
        `before` or `since` names and that is not there.
        """
        chosen = filters or {}
        terms.check(chosen, LIST_FILTERS)
        return [
            listed
            for image in self.store.list()
            if (listed := self._listed(image, chosen, with_parents=all)) is not None
            and self._passes(image, chosen)
        ]

    def history(self, ref: str, platform: Platform | None = None) -> Sequence[HistoryItem]:
        """Give the steps that made an image, newest first."""
        return self.store.history(self.get(ref, platform))

    def tag(self, ref: str, repository: str, tag: str) -> None:
        """Give an image one more name."""
        image = self.get(ref)
        name = reference.parse_tagged(repository, tag)
        self.store.tag(image.id, name)
        self.tagged(image, name)

    def tagged(self, image: Image, name: reference.Reference) -> None:
        """Tell that an image was given a name."""
        self._publish("tag", image, name.familiar)

    async def remove(
        self,
        ref: str,
        *,
        force: bool = False,
        prune: bool = True,
        platforms: Sequence[Platform] = (),
    ) -> Sequence[Removal]:
        """Untag an image, and delete it and its untagged parents when no name is left.

        Raises NotFound when it is not for each of `platforms`, Conflict when it is in use.
        """
        image = self.get(ref)
        for platform in platforms:
            self.get(ref, platform)
        removals = await asyncio.to_thread(
            self.store.remove, ref, force=force, prune=prune, users=self.users
        )
        self._publish_removals(image, removals)
        return removals

    async def prune(self, filters: Filters | None = None) -> Pruned:
        """Delete the images that no container uses: untagged ones, or all with `dangling=false`.

        An image in use keeps, as with Docker, the last of its names only.
        """
        chosen = filters or {}
        terms.check(chosen, PRUNE_FILTERS)
        only_dangling = terms.flag(chosen, "dangling", default=True)
        limit = terms.until(chosen, time.time_ns())
        removals: list[Removal] = []
        space = 0
        for image in self.store.list():
            if (
                (only_dangling and image.tags)
                or not terms.has_labels(chosen, image.config.labels)
                or (limit is not None and _created(image) > limit)
                or self.store.children(image.id)
            ):
                continue
            gone = await self._remove_all_names(image)
            removals += gone
            space += sum(removal.freed for removal in gone)
        self._events.publish(EventType.IMAGE, "prune", "", {"reclaimed": str(space)})
        return Pruned(removals, space)

    async def load(
        self,
        source: Readable,
        report: Callable[[LoadEvent], None] | None = None,
        platform: Platform | None = None,
    ) -> None:
        """Load the images of an archive, only those for a platform if one is given.

        `report` is called in the event loop's thread.
        """
        loop = asyncio.get_running_loop()

        def told(event: LoadEvent) -> None:
            if report is not None:
                loop.call_soon_threadsafe(report, event)

        for loaded in await asyncio.to_thread(load, self.store, source, told, platform):
            name = loaded.reference or loaded.image.id
            self._publish("load", loaded.image, name)

    def save(self, refs: Sequence[str], platform: Platform | None = None) -> AsyncIterator[bytes]:
        """Give an archive of images.

        Raises NotFound, and LadingError for an image that is not for the platform asked for,
        before the first byte.
        """
        images = chosen(self.store, refs)
        if platform is not None and any(mismatch("", image, platform) for image in images):
            raise LadingError(f"no suitable export target found for platform {platform}")
        archive = save(self.store, refs)
        for image in images:
            self._publish("save", image, image.id)
        return in_batches(archive)

    async def import_image(
        self,
        source: Readable,
        *,
        repository: str = "",
        tag: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        platform: str = "",
        origin: str = "-",
        progress: Progress | None = None,
    ) -> Image:
        """Make an image of a root file system's tar, which comes from `origin`.

        `progress` is called in the thread that unpacks.
        """
        image = await asyncio.to_thread(
            import_,
            self.store,
            source,
            repository=repository,
            tag=tag,
            message=message,
            config=apply_changes(Config(), changes),
            platform=platform,
            origin=origin,
            progress=progress,
        )
        self._publish("import", image, image.id)
        return image

    def _listed(self, image: Image, filters: Filters, *, with_parents: bool) -> Listed | None:
        """Apply the filters about names; None when the image is not to be shown."""
        dangling = terms.flag(filters, "dangling")
        if not image.tags and not image.digests:
            hidden = not with_parents and bool(self.store.children(image.id))
            if hidden or dangling is False or filters.get("reference"):
                return None
        elif dangling and image.tags:
            return None
        patterns = filters.get("reference")
        if not patterns:
            return Listed(image, image.tags, image.digests)
        tags = tuple(name for name in image.tags if _matches_reference(name, patterns))
        digests = tuple(name for name in image.digests if _matches_reference(name, patterns))
        return Listed(image, tags, digests) if tags or digests else None

    def _passes(self, image: Image, filters: Filters) -> bool:
        """Apply the filters about time and labels."""
        created = _created(image)
        return (
            all(created < _created(self.get(ref)) for ref in filters.get("before", ()))
            and all(created > _created(self.get(ref)) for ref in filters.get("since", ()))
            and all(created < limit for limit in terms.moments_of(filters, time.time_ns()))
            and terms.has_labels(filters, image.config.labels)
        )

    async def _remove_all_names(self, image: Image) -> Sequence[Removal]:
        """Delete an image with all its names; what is in use after all stays."""
        removals: list[Removal] = []
        for ref in image.tags or (image.id,):
            try:
                removals += await self.remove(ref)
            except LadingError as error:
                if error.status not in {404, 409}:
                    raise
        return removals

    def _publish_removals(self, image: Image, removals: Sequence[Removal]) -> None:
        for removal in removals:
            if removal.untagged:
                self._publish("untag", image, image.id)
            elif not removal.is_layer:
                self._events.publish(
                    EventType.IMAGE, "delete", removal.deleted, {"name": removal.deleted}
                )

    def _publish(self, action: str, image: Image, name: str) -> None:
        attributes = dict(image.config.labels or {})
        self._events.publish(EventType.IMAGE, action, image.id, attributes | {"name": name})


async def in_batches(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Run a generator of bytes in a thread, and give what it yields in larger pieces."""
    while batch := await asyncio.to_thread(_gather, chunks):
        yield batch


def _gather(chunks: Iterator[bytes]) -> bytes:
    gathered: list[bytes] = []
    size = 0
    for chunk in chunks:
        gathered.append(chunk)
        size += len(chunk)
        if size >= BATCH:
            break
    return b"".join(gathered)


def _created(image: Image) -> int:
    """Return when an image was made, in nanoseconds since the epoch; 0 when it does not say."""
    return times.parsed(image.created) if image.created else 0


def _matches_reference(name: str, patterns: Sequence[str]) -> bool:
    """Tell whether `repo:tag` or `repo` alone matches one of the patterns of Go's path.Match."""
    head, slash, tail = name.rpartition("/")
    bare = head + slash + tail.partition("@")[0].partition(":")[0]
    return any(
        compiled.fullmatch(name) or compiled.fullmatch(bare) for compiled in map(_glob, patterns)
    )


_WILD = {"*": "[^/]*", "?": "[^/]", "[": "["}
"""What stands alone in a pattern; a bracket does so only by mistake, which `re` reports."""


@functools.lru_cache(maxsize=64)
def _glob(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of Go's path.Match, in which `*` and `?` do not match a slash.

    Raises InvalidParameter for an open bracket without its end.
    """
    parts = []
    for found in re.finditer(r"\\(.)|\[(\^?)((?:\\.|[^\]\\])+)\]|(.)", pattern, re.DOTALL):
        escaped, negated, members, plain = found.groups()
        if escaped is not None:
            parts.append(re.escape(escaped))
        elif members is not None:
            parts.append(f"[{negated}{members.replace('[', chr(92) + '[')}]")
        else:
            parts.append(_WILD.get(plain) or re.escape(plain))
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error:
        raise InvalidParameter(f"invalid filter 'reference={pattern}'") from None
