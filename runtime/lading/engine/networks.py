"""What the API does to networks: make, list, remove and prune them, and tell of it."""

from __future__ import annotations

import time

from lading.engine import filters as terms
from lading.engine import times
from lading.engine.events import EventBus, EventType
from lading.engine.filters import Filters
from lading.errors import LadingError
from lading.network.manager import NetworkManager
from lading.network.model import Endpoint, Network, NetworkRequest

LIST_FILTERS = ("dangling", "driver", "id", "label", "label!", "name", "scope", "type")
PRUNE_FILTERS = ("label", "label!", "until")

_TYPES = {"builtin": True, "custom": False}
"""Values of the filter `type`, and whether they mean the networks that are always there."""


class Networks:
    """The networks of an engine."""

    def __init__(self, manager: NetworkManager, events: EventBus) -> None:
        self._manager = manager
        self._events = events

    def get(self, ref: str) -> Network:
        """Find a network by id, name or unique id prefix; raises NotFound."""
        return self._manager.get(ref)

    def endpoints(self, network: Network) -> list[Endpoint]:
        """Give the endpoints of running containers in a network."""
        return self._manager.endpoints(network.id)

    def list(self, filters: Filters | None = None) -> list[Network]:
        """Give the networks that pass the filters; raises for one that is not known."""
        chosen = filters or {}
        terms.check(chosen, LIST_FILTERS)
        return [network for network in self._manager.list() if self._passes(network, chosen)]

    def create(self, request: NetworkRequest) -> Network:
        """Make a network; raises what the manager refuses."""
        network = self._manager.create(request)
        self._publish("create", network)
        return network

    def remove(self, ref: str) -> None:
        """Remove a network; raises NotFound, Forbidden for a predefined one or one in use."""
        self._publish("destroy", self._manager.remove(ref))

    def prune(self, filters: Filters | None = None) -> tuple[str, ...]:
        """Remove the networks of users that no container is in; gives their names."""
        chosen = filters or {}
        terms.check(chosen, PRUNE_FILTERS)
        limit = terms.until(chosen, time.time_ns())
        candidates = {network.name: network for network in self._manager.list()}
        keep = {
            network.id
            for network in candidates.values()
            if not terms.has_labels(chosen, network.labels)
            or (limit is not None and times.parsed(network.created) > limit)
        }
        names: tuple[str, ...] = tuple(self._manager.prune(keep))
        for name in names:
            self._publish("destroy", candidates[name])
        self._events.publish(EventType.NETWORK, "prune", "", {"reclaimed": "0"})
        return names

    def _passes(self, network: Network, filters: Filters) -> bool:
        """Apply the filters: any value of a term, as parts of names and beginnings of ids."""
        names, ids = filters.get("name"), filters.get("id")
        drivers, scopes = filters.get("driver"), filters.get("scope")
        return (
            (not names or any(part in network.name for part in names))
            and (not ids or any(network.id.startswith(part) for part in ids))
            and (not drivers or network.driver in drivers)
            and (not scopes or "local" in scopes)
            and terms.has_labels(filters, network.labels)
            and self._is_of_type(network, filters)
            and self._is_dangling(network, filters)
        )

    def _is_of_type(self, network: Network, filters: Filters) -> bool:
        wanted = filters.get("type", ())
        for value in wanted:
            if value not in _TYPES:
                raise LadingError(f"invalid filter: 'type'='{value}'")
        return not wanted or any(_TYPES[value] is network.predefined for value in wanted)

    def _is_dangling(self, network: Network, filters: Filters) -> bool:
        wanted = terms.flag(filters, "dangling")
        if wanted is None:
            return True
        dangling = not network.predefined and not self._manager.endpoints(network.id)
        return dangling is wanted

    def _publish(self, action: str, network: Network) -> None:
        attributes = {"name": network.name, "type": network.driver}
        self._events.publish(EventType.NETWORK, action, network.id, attributes)
