"""The containers of an engine in memory, found by id, by name, or by the beginning of an id."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lading.engine.restarts import RestartManager
from lading.engine.waits import Waits
from lading.errors import Conflict, InvalidParameter, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.engine.attach import WaitingClient
    from lading.engine.model import Container, State
    from lading.shim.client import Shim
    from lading.shim.protocol import ExitStatus


@dataclass(slots=True, eq=False)
class Entry:
    """A container with what only this daemon's life knows of it.

    `lock` is held by whoever changes its state. `shim` is there while it runs; `restarter` waits
    for the moment of its restart, `probes` checks its health. `clients` attached before the start.
    `found` is what a starting daemon found of it, until that is dealt with.
    """

    record: Container
    waits: Waits = field(default_factory=Waits)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    restarts: RestartManager = field(init=False)
    shim: Shim | None = None
    restarter: asyncio.Task[None] | None = None
    probes: asyncio.Task[None] | None = None
    clients: list[WaitingClient] = field(default_factory=list)
    found: Shim | ExitStatus | None = None
    restarted_by_hand: bool = False
    removing: bool = False

    def __post_init__(self) -> None:
        self.restarts = RestartManager(self.record.host_config.restart_policy)

    @property
    def id(self) -> str:
        """The container's id."""
        return self.record.id

    @property
    def state(self) -> State:
        """The container's state."""
        return self.record.state

    def running_shim(self) -> Shim:
        """Give the shim; raises Conflict `container x is not running` without one."""
        if self.shim is None or not self.state.running:
            raise not_running(self)
        return self.shim


def not_running(entry: Entry) -> Conflict:
    """Make the error of an operation that needs a running container."""
    return Conflict(f"container {entry.id} is not running")


class Registry:
    """All entries by id; names are held here from the first moment of a creation."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._names: dict[str, str] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def names(self) -> dict[str, str]:
        """Name → id of its holder."""
        return self._names

    def add(self, entry: Entry) -> None:
        """Make a container findable."""
        self._entries[entry.id] = entry

    def discard(self, entry: Entry) -> None:
        """Forget a container and free its name."""
        self._entries.pop(entry.id, None)
        self.release(entry.record.name, entry.id)

    def reserve(self, name: str, container_id: str) -> None:
        """Hold a name for a container; raises Conflict in Docker's words if another has it."""
        holder = self._names.setdefault(name, container_id)
        if holder != container_id:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container '
                f'"{holder}". You have to remove (or rename) that container to be able to reuse '
                "that name."
            )

    def release(self, name: str, container_id: str) -> None:
        """Free a name if this container holds it."""
        if self._names.get(name) == container_id:
            del self._names[name]

    def find(self, ref: str) -> Entry:
        """Find a container by id, name or unique id prefix.

        Raises NotFound `No such container: x`, InvalidParameter if several ids begin so.
        """
        entry = self._entries.get(ref) or self._entries.get(
            self._names.get(ref.removeprefix("/"), "")
        )
        if entry is None:
            entry = self._by_prefix(ref)
        if entry is None:
            raise NotFound(f"No such container: {ref}")
        return entry

    def _by_prefix(self, prefix: str) -> Entry | None:
        found = [entry for cid, entry in self._entries.items() if prefix and cid.startswith(prefix)]
        if len(found) > 1:
            raise InvalidParameter(f"multiple IDs found with provided prefix: {prefix}")
        return found[0] if found else None
