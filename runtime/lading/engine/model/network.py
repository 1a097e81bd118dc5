"""A container's networking, as requests give it and as inspect shows it."""

from __future__ import annotations

from typing import ClassVar

from msgspec import field

from lading.engine.model.wire import Wire


class PortBinding(Wire):
    """Where on the host a container's port is published; an empty port lets the engine choose."""

    host_ip: str = ""
    host_port: str = ""


PortMap = dict[str, list[PortBinding] | None]
"""Published ports: `80/tcp` → bindings; None where a port is exposed but not published."""


class EndpointIPAMConfig(Wire):
    """Addresses that a user chose for an endpoint."""

    OMIT_EMPTY: ClassVar[frozenset[str]] = frozenset({"IPv4Address", "IPv6Address", "LinkLocalIPs"})

    ipv4_address: str = field(default="", name="IPv4Address")
    ipv6_address: str = field(default="", name="IPv6Address")
    link_local_ips: list[str] | None = field(default=None, name="LinkLocalIPs")


class EndpointSettings(Wire):
    """A container's place in one network (API definition EndpointSettings).

    The first fields are the user's wishes, the others are what the network gave while it runs.
    """

    ipam_config: EndpointIPAMConfig | None = field(default=None, name="IPAMConfig")
    links: list[str] | None = None
    aliases: list[str] | None = None
    mac_address: str = ""
    driver_opts: dict[str, str] | None = None
    gw_priority: int = 0
    network_id: str = field(default="", name="NetworkID")
    endpoint_id: str = field(default="", name="EndpointID")
    gateway: str = ""
    ip_address: str = field(default="", name="IPAddress")
    ip_prefix_len: int = field(default=0, name="IPPrefixLen")
    ipv6_gateway: str = field(default="", name="IPv6Gateway")
    global_ipv6_address: str = field(default="", name="GlobalIPv6Address")
    global_ipv6_prefix_len: int = field(default=0, name="GlobalIPv6PrefixLen")
    dns_names: list[str] | None = field(default=None, name="DNSNames")

    def clear_operational(self, wished_mac: str = "") -> None:
        """Forget what the network gave: the container does not run any more."""
        self.endpoint_id = self.gateway = self.ip_address = self.ipv6_gateway = ""
        self.global_ipv6_address = ""
        self.mac_address = wished_mac
        self.dns_names = None
        self.ip_prefix_len = self.global_ipv6_prefix_len = 0


class NetworkingConfig(Wire):
    """The networks that a container is created in: name or id → the user's wishes."""

    endpoints_config: dict[str, EndpointSettings | None] | None = None


class NetworkSettings(Wire):
    """What the engine knows of a container's network; `networks` is by network name.

    Docker's deprecated top-level address fields repeat those of the network `bridge`; whoever
    shows the settings derives them.
    """

    sandbox_id: str = field(default="", name="SandboxID")
    sandbox_key: str = ""
    ports: PortMap = field(default_factory=dict)
    networks: dict[str, EndpointSettings] = field(default_factory=dict)
