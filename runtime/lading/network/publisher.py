"""Published ports of endpoints: host ports held, and redirected by the packet filter."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress

from lading.errors import InvalidParameter, LadingError
from lading.kernel.errors import KernelError
from lading.network import conntrack, creation
from lading.network.firewall import Firewall, Forward, Zone
from lading.network.model import Endpoint, Network, PortRequest, PublishedPort
from lading.network.publish import EVERYWHERE_4, EVERYWHERE_6, Held, Ports


class Publisher:
    """The packet filter's table *name* and the host ports of one daemon."""

    def __init__(self, name: str, default_ip: str) -> None:
        self._name = name
        self._default_ip = default_ip
        self._firewall: Firewall | None = None
        self._held: dict[str, Held] = {}
        self.ports = Ports()

    def rebuild(self, networks: Collection[Network], endpoints: Collection[Endpoint]) -> None:
        """Put the rules for all bridge networks and published ports in place; idempotent."""
        if self._firewall is None:
            if not networks:
                return
            self._firewall = Firewall(self._name)
        zones = [_zone(network) for network in networks]
        self._firewall.rebuild(zones, [f for e in endpoints for f in _forwards(e)])

    def obstacles(self) -> list[str]:
        """Give a warning for each chain of others that drops what containers send."""
        if self._firewall is None:
            return []
        return [
            f"the packet filter chain {chain} drops forwarded packets: containers reach other "
            "networks only if it accepts their bridges"
            for chain in self._firewall.dropping()
        ]

    def take(
        self, network: Network, endpoint: Endpoint, requests: Collection[PortRequest]
    ) -> tuple[PublishedPort, ...]:
        """Take host ports for an endpoint. Raises LadingError in Docker's words."""
        binding = network.options.get(creation.BINDING, "")
        default = "" if binding in ("", EVERYWHERE_4) else binding
        try:
            held = self.ports.publish(requests, default or self._default_ip, _target(endpoint))
        except InvalidParameter:
            raise
        except LadingError as error:
            where = f"on endpoint {endpoint.container_name} ({endpoint.id})"
            raise LadingError(
                f"driver failed programming external connectivity {where}: {error.message}"
            ) from error
        self._held[endpoint.id] = held
        return tuple(held)

    def retake(self, endpoint: Endpoint) -> None:
        """Hold an endpoint's ports again after a restart of the daemon."""
        self._held[endpoint.id] = self.ports.retake(endpoint.ports, _target(endpoint))

    def redirect(self, endpoint: Endpoint) -> bool:
        """Redirect an endpoint's ports; False when the table is not as it was left."""
        return self._change(endpoint, "publish")

    def withdraw(self, endpoint: Endpoint) -> bool:
        """Give an endpoint's ports back; False when the table is not as it was left."""
        self.ports.release(self._held.pop(endpoint.id, {}))
        return self._change(endpoint, "withdraw")

    def release_all(self) -> None:
        """Let go of the sockets; the rules stay."""
        for held in self._held.values():
            self.ports.release(held)
        self._held.clear()

    def close(self, *, remove: bool) -> None:
        """End the connection to the packet filter; with *remove* its table goes, too."""
        if self._firewall is not None:
            if remove:
                self._firewall.remove()
            self._firewall.close()
            self._firewall = None

    def _change(self, endpoint: Endpoint, verb: str) -> bool:
        forwards = list(_forwards(endpoint))
        if not forwards or self._firewall is None:
            return True
        try:
            getattr(self._firewall, verb)(forwards)
        except LadingError:
            return False
        datagrams = [forward.host_port for forward in forwards if forward.protocol == "udp"]
        if datagrams:
            with suppress(KernelError):  # kernels without ctnetlink keep the flows for a while
                conntrack.forget_udp(datagrams)
        return True


def _target(endpoint: Endpoint) -> str:
    return endpoint.ipv4_address or endpoint.ipv6_address


def _zone(network: Network) -> Zone:
    return Zone(
        bridge=network.bridge,
        subnets=tuple(pool.subnet for pool in network.pools),
        internal=network.internal,
        masquerade=creation.boolean(network.options, creation.MASQUERADE, default=True),
        icc=creation.boolean(network.options, creation.ICC, default=True),
    )


def _forwards(endpoint: Endpoint) -> Iterable[Forward]:
    """Give what the packet filter redirects; an address only to one of the same family."""
    for port in endpoint.ports:
        six = ":" in port.host_ip
        address = endpoint.ipv6_address if six else endpoint.ipv4_address
        if not address:
            continue
        everywhere = port.host_ip in (EVERYWHERE_4, EVERYWHERE_6)
        host_ip = "" if everywhere else port.host_ip
        yield Forward(port.protocol, host_ip, port.host_port, address, port.container_port)
