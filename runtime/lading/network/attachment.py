"""Interfaces of containers: made, given addresses and gateways, and removed again."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from threading import Lock, Timer

from lading.errors import InvalidParameter
from lading.kernel.errors import KernelError
from lading.network import creation, links, netlink
from lading.network.links import Addresses
from lading.network.model import Endpoint, EndpointRequest, Network
from lading.network.netlink import Netlink

PREFIX = "ladv"
"""How the host's ends of containers' interfaces are named: this and eight hex digits."""

_GRACE = 2.0  # seconds in which the kernel removes the interfaces of a namespace that ends


class Attachments:
    """Makes and removes the interfaces of endpoints."""

    def __init__(self) -> None:
        self._leaving: set[str] = set()
        self._lock = Lock()
        self._timer: Timer | None = None

    def loopback(self, pid: int) -> None:
        """Bring up `lo` in the namespace of *pid*."""
        with netlink.namespace_of(pid) as namespace:
            links.bring_up_loopback(namespace)

    def name(
        self,
        endpoint: Endpoint,
        others: Sequence[Endpoint],
        request: EndpointRequest,
        network: Network,
    ) -> None:
        """Name both ends of the endpoint's interface; eth0 is a container's first."""
        endpoint.interface = f"{PREFIX}{os.urandom(4).hex()}"
        taken = {other.name for other in others}
        if request.interface_name:
            if request.interface_name in taken:
                shown = request.interface_name
                raise InvalidParameter(f"interface name {shown} is used by another network")
            endpoint.name = request.interface_name
            return
        prefix = network.options.get(creation.INTERFACE_PREFIX, "eth")
        number = 0
        while f"{prefix}{number}" in taken:
            number += 1
        endpoint.name = f"{prefix}{number}"

    def make(
        self,
        route: Netlink,
        network: Network,
        endpoint: Endpoint,
        others: Sequence[Endpoint],
        request: EndpointRequest,
    ) -> None:
        """Make the interface of *endpoint*; *others* are the container's other endpoints.

        The network that comes first gives the default route: the highest priority, then by name.
        Raises KernelError.
        """
        bridge = links.index_of(network.bridge)
        if not bridge:
            raise KernelError(errno.ENODEV, "find bridge", network.bridge)
        given = Addresses(
            ipv4=_with_prefix(endpoint.ipv4_address, endpoint.ipv4_prefix),
            ipv4_gateway=endpoint.ipv4_gateway if _leads(endpoint, others, 4) else "",
            ipv6=_with_prefix(endpoint.ipv6_address, endpoint.ipv6_prefix),
            ipv6_gateway=endpoint.ipv6_gateway if _leads(endpoint, others, 6) else "",
        )
        with netlink.namespace_of(request.pid) as namespace:
            links.make_veth(
                route,
                endpoint.interface,
                bridge,
                endpoint.name,
                namespace,
                endpoint.mac_address,
                network.mtu,
            )
            isolated = not creation.boolean(network.options, creation.ICC, default=True)
            if endpoint.ports or isolated:
                links.set_port(
                    route, endpoint.interface, hairpin=bool(endpoint.ports), isolated=isolated
                )
            links.configure(namespace, endpoint.name, given)
            if request.sysctls:
                with netlink.inside(namespace):
                    for key, value in request.sysctls.items():
                        path = key.replace(".", "/").replace("IFNAME", endpoint.name)
                        links.set_sysctl(path, value)

    def remove(
        self, route: Netlink, endpoint: Endpoint, others: Sequence[Endpoint], pid: int
    ) -> None:
        """Remove the interface, at once if the container (*pid*) goes on.

        One of *others* becomes the gateway then. The interface of a container that has ended goes
        with its namespace; should something hold the namespace, it is removed a little later.
        """
        if not pid:
            self._later(endpoint.interface)
            return
        links.delete(route, endpoint.interface)
        try:
            with netlink.namespace_of(pid) as namespace:
                for version in (4, 6):
                    if _leads(endpoint, others, version):
                        _hand_over(namespace, others, version)
        except KernelError as error:
            if error.errno not in (errno.ENOENT, errno.ESRCH):
                raise

    def clean_up(self, route: Netlink) -> None:
        """Remove the interfaces that are still leaving."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            names, self._leaving = self._leaving, set()
        for name in names:
            links.delete(route, name)

    def _later(self, interface: str) -> None:
        with self._lock:
            self._leaving.add(interface)
            if self._timer is None:
                self._timer = Timer(_GRACE, self._sweep)
                self._timer.daemon = True
                self._timer.start()

    def _sweep(self) -> None:
        with self._lock:
            self._timer = None
        with Netlink() as route:
            self.clean_up(route)


def _with_prefix(address: str, prefix: int) -> str:
    return f"{address}/{prefix}" if address else ""


def _gateway(endpoint: Endpoint, version: int) -> str:
    return endpoint.ipv4_gateway if version == 4 else endpoint.ipv6_gateway


def _rank(endpoint: Endpoint) -> tuple[int, str]:
    return (-endpoint.gateway_priority, endpoint.network_name)


def _leads(endpoint: Endpoint, others: Sequence[Endpoint], version: int) -> bool:
    """Tell whether *endpoint* gives the container its default route of a family."""
    rivals = [other for other in others if _gateway(other, version)]
    return bool(_gateway(endpoint, version)) and all(_rank(endpoint) < _rank(o) for o in rivals)


def _hand_over(namespace: int, others: Sequence[Endpoint], version: int) -> None:
    """Let the first of *others* give the default route of a family."""
    rivals = sorted((o for o in others if _gateway(o, version) and o.interface), key=_rank)
    if rivals:
        gateway = _gateway(rivals[0], version)
        key = "ipv4_gateway" if version == 4 else "ipv6_gateway"
        links.set_gateways(namespace, rivals[0].name, Addresses(**{key: gateway}))
