"""What the API does to volumes: make, list, remove and prune them, and tell of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lading.engine import filters as terms
from lading.engine.events import EventBus, EventType
from lading.engine.filters import Filters
from lading.errors import Conflict, InvalidParameter, NotFound
from lading.storage.volumes import ANONYMOUS_LABEL, Volume, VolumeStore

LIST_FILTERS = ("dangling", "driver", "label", "label!", "name")
PRUNE_FILTERS = ("all", "label", "label!")

VolumeUsers = Callable[[str], Sequence[str]]
"""Asks which containers, by id, use the volume of a name; stopped ones count."""


@dataclass(slots=True)
class Pruned:
    """The answer to a prune: the volumes removed, and the bytes that it freed."""

    names: list[str] = field(default_factory=list)
    space: int = 0


class Volumes:
    """The named and anonymous volumes of an engine."""

    def __init__(self, store: VolumeStore, events: EventBus, users: VolumeUsers) -> None:
        self.store = store
        self.users = users
        self._events = events

    def create(
        self,
        name: str = "",
        *,
        driver: str = "",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume:
        """Make a volume, or give the one there if it is the same.

        Raises NotFound for a driver that is not `local`, Conflict for a volume that differs.
        """
        if driver not in ("", "default", "local"):
            missing = f'error looking up volume plugin {driver}: plugin "{driver}" not found'
            raise NotFound(f"create {name}: {missing}")
        known = bool(name) and self._exists(name)
        volume = self.store.create(name, driver="local", options=options, labels=labels)
        if not known:
            self._publish("create", volume)
        return volume

    def get(self, name: str) -> Volume:
        """Find a volume; raises NotFound."""
        return self.store.get(name)

    def list(self, filters: Filters | None = None) -> list[Volume]:
        """Give the volumes that pass the filters, by name."""
        chosen = filters or {}
        terms.check(chosen, LIST_FILTERS)
        dangling = terms.flag(chosen, "dangling")
        names = [_pattern(text) for text in chosen.get("name", ())]
        drivers = chosen.get("driver", ())
        return [
            volume
            for volume in self.store.list()
            if (not names or any(name.search(volume.name) for name in names))
            and (not drivers or volume.driver in drivers)
            and terms.has_labels(chosen, volume.labels)
            and (dangling is None or dangling is not bool(self.users(volume.name)))
        ]

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume and its content; with `force` one that is not there is no failure.

        Raises Conflict while a container uses it.
        """
        if force and not self._exists(name):
            return
        volume = self.store.get(name)
        if users := self.users(name):
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
        await asyncio.to_thread(self.store.remove, name)
        self._publish("destroy", volume)

    async def prune(self, filters: Filters | None = None) -> Pruned:
        """Remove the volumes that no container uses: anonymous ones, or all with `all=true`."""
        chosen = filters or {}
        terms.check(chosen, PRUNE_FILTERS)
        named_too = terms.flag(chosen, "all", default=False)
        pruned = Pruned()
        for volume in self.store.list():
            anonymous = ANONYMOUS_LABEL in (volume.labels or {})
            if (
                not (anonymous or named_too)
                or not terms.has_labels(chosen, volume.labels)
                or self.users(volume.name)
            ):
                continue
            size = await asyncio.to_thread(self.store.size, volume.name)
            await self.remove(volume.name)
            pruned.names.append(volume.name)
            pruned.space += max(size, 0)
        self._events.publish(EventType.VOLUME, "prune", "", {"reclaimed": str(pruned.space)})
        return pruned

    def _exists(self, name: str) -> bool:
        try:
            self.store.get(name)
        except NotFound:
            return False
        return True

    def _publish(self, action: str, volume: Volume) -> None:
        self._events.publish(EventType.VOLUME, action, volume.name, {"driver": volume.driver})


def _pattern(text: str) -> re.Pattern[str]:
    """Compile what the filter `name` searches for: a regular expression, as in Docker."""
    try:
        return re.compile(text)
    except re.error:
        raise InvalidParameter(f"invalid filter 'name={text}'") from None
