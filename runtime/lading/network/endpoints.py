"""From a request for an endpoint to the endpoint: checks and addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network

from lading.errors import Forbidden, InvalidParameter
from lading.network import creation, ipam, links
from lading.network.model import Endpoint, EndpointRequest, Network


def check(network: Network, request: EndpointRequest, inside: Sequence[Endpoint]) -> None:
    """Check *request* against the network and the endpoints *inside* it.

    Raises Forbidden for a container that is connected, InvalidParameter for addresses that cannot
    be had, in Docker's words.
    """
    if any(other.container_id == request.container_id for other in inside):
        name = request.container_name
        raise Forbidden(f"endpoint with name {name} already exists in network {network.name}")
    problems = list(_problems(network, request))
    if problems:
        bullet = "* " if len(problems) > 1 else ""
        listed = "\n".join(f"{bullet}{problem}" for problem in problems)
        head = f"invalid config for network {network.name}: invalid endpoint settings:"
        raise InvalidParameter(f"{head}\n{listed}")


def build(network: Network, request: EndpointRequest, inside: Sequence[Endpoint]) -> Endpoint:
    """Make the endpoint, in a bridge network with addresses that no endpoint *inside* has.

    Raises Forbidden when a requested address is taken, LadingError when all are.
    """
    endpoint = Endpoint(
        id=creation.new_id(),
        network_id=network.id,
        network_name=network.name,
        container_id=request.container_id,
        container_name=request.container_name,
        gateway_priority=request.gateway_priority,
        dns_names=request.dns_names,
        nameservers=request.nameservers,
    )
    if not network.bridge:
        return endpoint
    for pool in network.pools:
        subnet = ip_network(pool.subnet)
        gateway = "" if network.internal else pool.gateway
        if subnet.version == 4:
            used = [other.ipv4_address for other in inside]
            endpoint.ipv4_address = ipam.allocate(pool, used, request.ipv4_address)
            endpoint.ipv4_prefix, endpoint.ipv4_gateway = subnet.prefixlen, gateway
        else:
            used = [other.ipv6_address for other in inside]
            endpoint.ipv6_address = ipam.allocate(pool, used, request.ipv6_address)
            endpoint.ipv6_prefix, endpoint.ipv6_gateway = subnet.prefixlen, gateway
    endpoint.mac_address = request.mac_address or links.mac_of(endpoint.ipv4_address)
    return endpoint


def _problems(network: Network, request: EndpointRequest) -> Iterator[str]:
    """Give what is wrong with the addresses that the user chose."""
    wanted = (("IPv4", request.ipv4_address), ("IPv6", request.ipv6_address))
    if network.predefined and any(text for _, text in wanted):
        yield "user specified IP address is supported on user defined networks only"
    asked = [p for p in network.shown_pools if p in network.pools or not p.gateway]
    for family, text in wanted:
        if not text:
            continue
        try:
            address = ip_address(text)
        except ValueError:
            yield f"invalid {family} address: {text}"
            yield f"no configured subnet or ip-range contain the IP address {text}"
            continue
        if not any(address in ip_network(pool.subnet) for pool in asked):
            yield f"no configured subnet or ip-range contain the IP address {text}"
