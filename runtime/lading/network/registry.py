"""The networks and endpoints that are known, in memory and on disk alike."""

from __future__ import annotations

from pathlib import Path

from lading.errors import InvalidParameter, NotFound
from lading.network.model import Endpoint, Network
from lading.network.store import Store


class Registry:
    """All networks and endpoints of one daemon, by id; a change is on disk when it returns."""

    def __init__(self, root: Path) -> None:
        self._store = Store(root)
        self.networks: dict[str, Network] = {}
        self.endpoints: dict[str, Endpoint] = {}

    def load(self) -> list[Endpoint]:
        """Read the networks; gives the endpoints on disk, which are known only when added."""
        self.networks = {network.id: network for network in self._store.networks()}
        return self._store.endpoints()

    def find(self, reference: str) -> Network:
        """Find a network by full id, name, or unique id prefix, in this order.

        Raises NotFound "network X not found", InvalidParameter when a prefix is not unique.
        """
        if reference in self.networks:
            return self.networks[reference]
        for network in self.networks.values():
            if network.name == reference:
                return network
        found = [n for i, n in self.networks.items() if reference and i.startswith(reference)]
        if not found:
            raise NotFound(f"network {reference} not found")
        if len(found) > 1:
            count = f"{len(found)} matches found based on ID prefix"
            raise InvalidParameter(f"network {reference} is ambiguous ({count})")
        return found[0]

    def named(self, name: str) -> Network | None:
        """Give the network with exactly this name."""
        return next((n for n in self.networks.values() if n.name == name), None)

    def bridged(self) -> list[Network]:
        """Give the networks that have a bridge."""
        return [network for network in self.networks.values() if network.bridge]

    def inside(self, network_id: str) -> list[Endpoint]:
        """Give the endpoints in a network."""
        return [e for e in self.endpoints.values() if e.network_id == network_id]

    def of_container(self, container_id: str) -> list[Endpoint]:
        """Give a container's endpoints, by network name."""
        found = [e for e in self.endpoints.values() if e.container_id == container_id]
        return sorted(found, key=lambda endpoint: endpoint.network_name)

    def save_network(self, network: Network) -> None:
        """Add a network or a change of it."""
        self._store.save_network(network)
        self.networks[network.id] = network

    def forget_network(self, network_id: str) -> None:
        """Remove a network."""
        self.networks.pop(network_id, None)
        self._store.forget_network(network_id)

    def save_endpoint(self, endpoint: Endpoint) -> None:
        """Add an endpoint or a change of it."""
        self._store.save_endpoint(endpoint)
        self.endpoints[endpoint.id] = endpoint

    def forget_endpoint(self, endpoint_id: str) -> None:
        """Remove an endpoint."""
        self.endpoints.pop(endpoint_id, None)
        self._store.forget_endpoint(endpoint_id)
