"""Who is called what: names of containers as others in their networks ask for them."""

from __future__ import annotations

from collections.abc import Iterator

from lading.network.model import Endpoint, Network
from lading.network.registry import Registry


class Directory:
    """Answers for the containers of user-defined networks."""

    def __init__(self, known: Registry) -> None:
        self._known = known

    def addresses(self, container_id: str, name: str, version: int) -> list[str] | None:
        """Give the addresses of *name* in the networks of the asking container.

        *name* is a container's name, alias or short id, alone or with ".NETWORK" behind it; case
        does not matter. The first network that knows it answers, as Docker has it. None when none
        does, an empty list when it has no address of this IP version.
        """
        for network in self._networks(container_id):
            bearers = [e for e in self._known.inside(network.id) if _is_called(e, name.lower())]
            if bearers:
                addresses = (e.ipv4_address if version == 4 else e.ipv6_address for e in bearers)
                return [address for address in addresses if address]
        return None

    def name(self, container_id: str, address: str) -> str | None:
        """Give the name ("web.mynet") of an address in the networks of the asking container."""
        for network in self._networks(container_id):
            for endpoint in self._known.inside(network.id):
                if address in (endpoint.ipv4_address, endpoint.ipv6_address):
                    return f"{endpoint.container_name}.{network.name}"
        return None

    def has_way_out(self, container_id: str) -> bool:
        """Tell whether a network of the container leads outside: internal ones have no gateway."""
        return any(
            endpoint.ipv4_gateway or endpoint.ipv6_gateway
            for endpoint in self._known.of_container(container_id)
        )

    def _networks(self, container_id: str) -> Iterator[Network]:
        for mine in self._known.of_container(container_id):
            network = self._known.networks.get(mine.network_id)
            if network is not None and not network.predefined:
                yield network


def _is_called(endpoint: Endpoint, name: str) -> bool:
    names = {known.lower() for known in endpoint.dns_names}
    return name in names or name.removesuffix(f".{endpoint.network_name.lower()}") in names
