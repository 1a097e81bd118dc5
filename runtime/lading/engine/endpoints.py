"""The networks that a container is to be in: settled at creation, from the request and its mode."""

from __future__ import annotations

import ipaddress
import re
from typing import Protocol

from lading.engine import modes
from lading.engine.model import (
    ContainerConfig,
    EndpointIPAMConfig,
    EndpointSettings,
    HostConfig,
    NetworkingConfig,
)
from lading.errors import InvalidParameter, NotFound
from lading.network.model import Network

_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")


class Networks(Protocol):
    """Where networks are looked up: `lading.network.manager.NetworkManager`."""

    def get(self, reference: str) -> Network:
        """Find a network; raises NotFound."""
        ...


def settle(
    config: ContainerConfig,
    host: HostConfig,
    networking: NetworkingConfig | None,
    networks: Networks,
) -> dict[str, EndpointSettings]:
    """Give a container's networks by name; none for one that joins another's, or has none.

    A request that names networks gives all of them; else the mode names the only one. Raises
    InvalidParameter for wishes that a network cannot fulfil.
    """
    if config.network_disabled or modes.container_of(host.network_mode) is not None:
        return {}
    wished = (networking.endpoints_config if networking else None) or {}
    settled: dict[str, EndpointSettings] = {}
    for asked, settings in wished.items():
        # The docker command names the network of the mode it was given, `default` included.
        name = modes.BRIDGE if asked == "default" else asked
        if settings is None:
            raise InvalidParameter(f"invalid config for network {name}: EndpointsConfig is nil")
        check_endpoint(name, settings, networks)
        settled[name] = settings
    if not settled:
        settled[host.network_mode] = EndpointSettings()
    if config.mac_address:
        _apply_mac(config, host, settled)
    if host.network_mode == modes.HOST and set(settled) != {modes.HOST}:
        raise InvalidParameter(
            "conflicting options: a container in the host's network cannot be in other networks"
        )
    return settled


def _apply_mac(
    config: ContainerConfig, host: HostConfig, settled: dict[str, EndpointSettings]
) -> None:
    """Give the container-wide MAC address, which is deprecated, to the mode's network."""
    _check_mac(host.network_mode, config.mac_address)
    mine = settled.get(host.network_mode)
    if mine is not None and not mine.mac_address:
        mine.mac_address = config.mac_address


def check_endpoint(name: str, settings: EndpointSettings, networks: Networks) -> None:
    """Check a user's wishes for an endpoint; raises InvalidParameter in Docker's words.

    A network that does not exist yet is found missing when the container starts.
    """
    if settings.mac_address:
        _check_mac(name, settings.mac_address)
    try:
        network = networks.get(name)
    except NotFound:
        network = None
    faults = list(_faults(name, settings, network))
    if faults:
        listed = faults[0] if len(faults) == 1 else "\n".join(f"* {fault}" for fault in faults)
        raise InvalidParameter(
            f"invalid config for network {name}: invalid endpoint settings:\n{listed}"
        )


def _check_mac(network: str, address: str) -> None:
    if _MAC.fullmatch(address) is None:
        raise InvalidParameter(
            f"invalid config for network {network}: invalid MAC address {address}"
        )


def _faults(name: str, settings: EndpointSettings, network: Network | None) -> list[str]:
    faults = []
    if settings.aliases and not modes.is_user_defined(name):
        faults.append(
            "network-scoped alias is supported only for containers in user defined networks"
        )
    wanted = settings.ipam_config or EndpointIPAMConfig()
    addresses = [
        (wanted.ipv4_address, "IPv4", 4),
        (wanted.ipv6_address, "IPv6", 6),
    ]
    if any(address for address, _, _ in addresses) and not modes.is_user_defined(name):
        faults.append("user specified IP address is supported on user defined networks only")
    for address, family, version in addresses:
        if address:
            faults += _address_faults(address, family, version, network)
    return faults


def _address_faults(address: str, family: str, version: int, network: Network | None) -> list[str]:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        parsed = None
    faults = []
    if parsed is None or parsed.version != version:
        faults.append(f"invalid {family} address: {address}")
    if network is not None and not any(
        parsed is not None and parsed in ipaddress.ip_network(pool.ip_range or pool.subnet)
        for pool in network.pools
        if ":" in pool.subnet or version == 4
    ):
        faults.append(f"no configured subnet or ip-range contain the IP address {address}")
    return faults
