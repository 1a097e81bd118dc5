"""Subnets, gateways and ranges of `network create`, put together by subnet."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network
    from typing import Any

    from lading.cli.flags import Options

    Network = IPv4Network | IPv6Network


def pools(options: Options) -> list[dict[str, Any]]:
    """Make the API's list of address pools.

    Raises ValueError for what fits no subnet or contradicts.
    """
    subnets: list[str] = options.items("subnet")
    ranges: list[str] = options.items("ip-range")
    gateways: list[str] = options.items("gateway")
    auxiliary = options.mapping("aux-address")
    if not (subnets or ranges or gateways or auxiliary):
        return []
    if len(subnets) < len(ranges) or len(subnets) < len(gateways):
        raise ValueError("every ip-range or gateway must have a corresponding subnet")
    made: dict[str, dict[str, Any]] = {subnet: {"Subnet": subnet} for subnet in subnets}
    networks = {subnet: _network(subnet) for subnet in subnets}
    for one in subnets:
        for other in subnets:
            if one is not other and networks[one].overlaps(networks[other]):
                raise ValueError("multiple overlapping subnet configuration is not supported")
    for text in ranges:
        pool = made[_holder(networks, text, f"no matching subnet for range {text}")]
        if "IPRange" in pool:
            raise ValueError(
                f"cannot configure multiple ranges ({text}, {pool['IPRange']}) "
                f"on the same subnet ({pool['Subnet']})"
            )
        pool["IPRange"] = text
    for text in gateways:
        pool = made[_holder(networks, text, f"no matching subnet for gateway {text}")]
        if "Gateway" in pool:
            raise ValueError(
                f"cannot configure multiple gateways ({text}, {pool['Gateway']}) "
                f"for the same subnet ({pool['Subnet']})"
            )
        pool["Gateway"] = text
    for name, text in auxiliary.items():
        pool = made[_holder(networks, text, f"no matching subnet for aux-address {text}")]
        pool.setdefault("AuxiliaryAddresses", {})[name] = text
    return list(made.values())


def _network(text: str) -> Network:
    from ipaddress import ip_network

    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"invalid subnet {text}: invalid CIDR address: {text}") from None


def _holder(networks: dict[str, Network], text: str, complaint: str) -> str:
    """Find the subnet that an address or a range is in."""
    address = _network(text)
    for subnet, network in networks.items():
        if network.version == address.version and address.network_address in network:
            return subnet
    raise ValueError(complaint)
