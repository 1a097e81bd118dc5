"""Who is called what: names of containers as others in their networks ask for them."""

from __future__ import annotations

from collections.abc import Iterator

from lading.network.model import Endpoint
from lading.network.registry import Registry


class Directory:
    """Answers for the containers of user-defined networks."""

    def __init__(self, known: Registry) -> None:
        self._known = known

    def addresses(self, container_id: str, name: str, version: int) -> list[str] | None:
        """Give the addresses of *name* in the networks of the asking container.

        *name* is a container's name, alias or short id, alone or with ".NETWORK" behind it; case
        does not matter. None when there is no such name, an empty list when it has no address of
        this IP version.
        """
        found: list[str] | None = None
        for endpoint in self._neighbours(container_id):
            names = {known.lower() for known in endpoint.dns_names}
            domain = f".{endpoint.network_name.lower()}"
            if name.lower().removesuffix(domain) not in names and name.lower() not in names:
                continue
            found = found or []
            address = endpoint.ipv4_address if version == 4 else endpoint.ipv6_address
            if address:
                found.append(address)
        return found

    def name(self, container_id: str, address: str) -> str | None:
        """Give the name ("web.mynet") of an address in the networks of the asking container."""
        for endpoint in self._neighbours(container_id):
            if address in (endpoint.ipv4_address, endpoint.ipv6_address):
                return f"{endpoint.container_name}.{endpoint.network_name}"
        return None

    def has_way_out(self, container_id: str) -> bool:
        """Tell whether a network of the container leads outside: internal ones have no gateway."""
        return any(
            endpoint.ipv4_gateway or endpoint.ipv6_gateway
            for endpoint in self._known.of_container(container_id)
        )

    def _neighbours(self, container_id: str) -> Iterator[Endpoint]:
        for mine in self._known.of_container(container_id):
            network = self._known.networks.get(mine.network_id)
            if network is not None and not network.predefined:
                yield from self._known.inside(network.id)
