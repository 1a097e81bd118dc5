"""What networks and endpoints are made of; the records are JSON files under ROOT/network."""

from __future__ import annotations

from typing import Literal

import msgspec

Protocol = Literal["tcp", "udp", "sctp"]

BRIDGE, HOST, NONE = "bridge", "host", "none"
"""The three networks that are always there."""

PREDEFINED = (BRIDGE, HOST, NONE)


class Pool(msgspec.Struct, frozen=True, omit_defaults=True):
    """One subnet of a network, as CIDR text ("172.17.0.0/16", "fd00::/64").

    `ip_range` bounds what is handed out, `gateway` is the bridge's own address, `reserved` are
    Docker's AuxiliaryAddresses by name.
    """

    subnet: str
    gateway: str = ""
    ip_range: str = ""
    reserved: dict[str, str] = {}


class Network(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A network; what Docker's inspect shows, besides `bridge`, its interface on the host.

    `pools` are the subnets in use, IPv4's first; `shown_pools` are what inspect shows: a user's
    subnets as they were given, others with their gateway. `created` is RFC 3339 with nanoseconds.
    Drivers: "bridge", "host", "null". `adopted` tells that the bridge was there before.
    """

    id: str
    name: str
    driver: str
    created: str
    pools: tuple[Pool, ...] = ()
    shown_pools: tuple[Pool, ...] = ()
    ipam_driver: str = "default"
    ipam_options: dict[str, str] | None = None
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    options: dict[str, str] = {}
    labels: dict[str, str] = {}
    bridge: str = ""
    adopted: bool = False
    mtu: int = 0

    @property
    def predefined(self) -> bool:
        """Tell whether it is `bridge`, `host` or `none`, which cannot be removed."""
        return self.name in PREDEFINED


class NetworkRequest(msgspec.Struct, kw_only=True):
    """What POST /networks/create asks for."""

    name: str
    driver: str = "bridge"
    pools: tuple[Pool, ...] = ()
    ipam_driver: str = "default"
    ipam_options: dict[str, str] | None = None
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


class PortRequest(msgspec.Struct, frozen=True):
    """One port to publish: `first`..`last` are host ports to choose from, 0..0 for any.

    `host_ip` "" is every address, IPv4 and IPv6.
    """

    container_port: int
    protocol: Protocol = "tcp"
    host_ip: str = ""
    first: int = 0
    last: int = 0


class PublishedPort(msgspec.Struct, frozen=True):
    """A port that is published: at `host_ip` ("0.0.0.0", "::" or one address) and `host_port`."""

    container_port: int
    protocol: Protocol
    host_ip: str
    host_port: int


class EndpointRequest(msgspec.Struct, kw_only=True):
    """A container that is to be connected; its network namespace is that of process `pid`.

    With `pid` 0 the endpoint only gets its addresses and no interface. `dns_names` are what other
    containers of a user-defined network find it by: its name, aliases and short id. `nameservers`
    are asked for other names than those; the container asks 127.0.0.11 for all. Its interface
    is called `interface_name`, or the first free of eth0, eth1 …; `sysctls` are for it, with
    IFNAME where its name stands ("net.ipv4.conf.IFNAME.log_martians").
    """

    container_id: str
    container_name: str
    pid: int = 0
    mac_address: str = ""
    ipv4_address: str = ""
    ipv6_address: str = ""
    gateway_priority: int = 0
    dns_names: tuple[str, ...] = ()
    ports: tuple[PortRequest, ...] = ()
    nameservers: tuple[str, ...] = ()
    interface_name: str = ""
    sysctls: dict[str, str] = {}


class Endpoint(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A container's place in a network, as kept on disk and shown by inspect.

    Addresses are without prefix; empty where the network has no such family. `interface` is the
    host's end, `name` the container's ("eth0").
    """

    id: str
    network_id: str
    network_name: str
    container_id: str
    container_name: str
    mac_address: str = ""
    ipv4_address: str = ""
    ipv4_prefix: int = 0
    ipv4_gateway: str = ""
    ipv6_address: str = ""
    ipv6_prefix: int = 0
    ipv6_gateway: str = ""
    gateway_priority: int = 0
    interface: str = ""
    name: str = ""
    dns_names: tuple[str, ...] = ()
    nameservers: tuple[str, ...] = ()
    ports: tuple[PublishedPort, ...] = ()


class NetworkOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon's options for networks.

    `bridge` names the default network's bridge ("none": no such network); `bip` is its address
    and prefix; `address_pools` are pairs of a CIDR and the prefix length of the subnets taken
    from it; `publish_ip` is where ports without an address are published ("" is everywhere).
    """

    bridge: str = "lading0"
    bip: str = ""
    mtu: int = 1500
    address_pools: tuple[tuple[str, int], ...] = ()
    publish_ip: str = ""
    icc: bool = True
    ip_forward: bool = True
    ip_masquerade: bool = True
