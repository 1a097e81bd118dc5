"""Networks as Docker's JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lading.network.model import Endpoint, Network, Pool


def details(network: Network, endpoints: Sequence[Endpoint] = ()) -> dict[str, Any]:
    """Return a network (API definition Network); a list shows none of its containers."""
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": network.created,
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": network.enable_ipv4,
        "EnableIPv6": network.enable_ipv6,
        "IPAM": {
            "Driver": network.ipam_driver,
            "Options": network.ipam_options,
            "Config": [_pool(pool) for pool in network.pools] or None,
        },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {endpoint.container_id: _endpoint(endpoint) for endpoint in endpoints},
        "Options": network.options,
        "Labels": network.labels,
    }


def _pool(pool: Pool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Subnet": pool.subnet,
        "IPRange": pool.ip_range,
        "Gateway": pool.gateway,
        "AuxiliaryAddresses": pool.reserved,
    }
    return {name: value for name, value in shown.items() if value}


def _endpoint(endpoint: Endpoint) -> dict[str, str]:
    return {
        "Name": endpoint.container_name,
        "EndpointID": endpoint.id,
        "MacAddress": endpoint.mac_address,
        "IPv4Address": _with_prefix(endpoint.ipv4_address, endpoint.ipv4_prefix),
        "IPv6Address": _with_prefix(endpoint.ipv6_address, endpoint.ipv6_prefix),
    }


def _with_prefix(address: str, prefix: int) -> str:
    return f"{address}/{prefix}" if address else ""
