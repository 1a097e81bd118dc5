"""The engine's way to networks: make and remove them, connect and disconnect containers."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from ipaddress import ip_interface, ip_network
from pathlib import Path
from socket import AF_INET, AF_INET6
from threading import RLock

from lading.errors import Forbidden, LadingError
from lading.network import creation, endpoints, ipam, links
from lading.network.attachment import PREFIX, Attachments
from lading.network.directory import Directory
from lading.network.ipam import Subnet
from lading.network.model import (
    BRIDGE,
    HOST,
    NONE,
    Endpoint,
    EndpointRequest,
    Network,
    NetworkOptions,
    NetworkRequest,
)
from lading.network.names import NameService
from lading.network.netlink import Netlink
from lading.network.proxy import Proxy
from lading.network.publisher import Publisher
from lading.network.registry import Registry

NetworkList = list[Network]
EndpointList = list[Endpoint]
Texts = list[str]
Subnets = list[Subnet]

_LINK_LOCAL = "fe80::1/64"  # usable at once; the kernel's own is checked for two seconds first
_NO_BRIDGE = "none"
_IP_FORWARD = "net/ipv4/ip_forward"
_IPV6_FORWARD = "net/ipv6/conf/all/forwarding"


class NetworkManager:
    """All networks and endpoints of one daemon, kept under *root* (ROOT/network).

    Every method does its work before it returns, in a few milliseconds; none awaits. Safe to call
    from several threads. Failures raise a LadingError with Docker's status and words, or a
    KernelError, and leave nothing behind.
    """

    def __init__(self, root: Path, options: NetworkOptions | None = None) -> None:
        self._options = options or NetworkOptions()
        self._known = Registry(root)
        self._lock = RLock()
        seed = hashlib.sha256(str(root.absolute()).encode()).hexdigest()
        self._ipv6_pool = creation.ipv6_pool(seed)
        suffix = self._options.bridge if self._has_default else seed[:8]
        self._publisher = Publisher(f"lading-{suffix}", self._options.publish_ip)
        self._attachments = Attachments()
        self._names: NameService | None = None
        self._route: Netlink | None = None

    @property
    def _has_default(self) -> bool:
        return self._options.bridge != _NO_BRIDGE

    # Life

    def start(self, running: Mapping[str, int]) -> Texts:
        """Take over what an earlier daemon left, and make the default network ready.

        *running* are the containers that still run (id → pid of their init): their endpoints and
        published ports are kept; those of others are removed. Called with an event loop running,
        published ports are also served where the packet filter cannot redirect. Gives warnings.
        """
        with self._lock:
            self._route = Netlink()
            with suppress(RuntimeError):
                loop = asyncio.get_running_loop()
                self._publisher.ports.proxy = Proxy(loop)
                self._names = NameService(loop, Directory(self._known))
            self._take_over(running)
            self._make_predefined()
            warnings = []
            for network in self._known.bridged():
                try:
                    self._make_ready(network)
                except OSError as error:
                    warnings.append(f"network {network.name} does not work: {error}")
            for endpoint in self._known.endpoints.values():
                self._publisher.retake(endpoint)
                try:
                    self._serve_names(endpoint, running[endpoint.container_id])
                except (OSError, LadingError) as error:
                    warnings.append(f"{endpoint.container_name} has no name server: {error}")
            self._remove_strays()
            self._rebuild()
            return warnings + self._publisher.obstacles()

    def stop(self) -> None:
        """Let go of sockets; remove bridges and rules if no endpoint is left, else keep them."""
        with self._lock:
            if self._route is None:
                return
            self._publisher.release_all()
            if self._names is not None:
                self._names.stop_all()
            self._attachments.clean_up(self._route)
            empty = not any(e.interface for e in self._known.endpoints.values())
            if empty:
                for network in self._known.bridged():
                    if not network.adopted:
                        links.delete(self._route, network.bridge)
            self._publisher.close(remove=empty)
            self._route.close()
            self._route = None

    # Networks

    def list(self) -> NetworkList:
        """Give all networks, by name."""
        with self._lock:
            return sorted(self._known.networks.values(), key=lambda network: network.name)

    def get(self, reference: str) -> Network:
        """Find a network by full id, name, or unique id prefix, in this order.

        Raises NotFound "network X not found", InvalidParameter when a prefix is not unique.
        """
        with self._lock:
            return self._known.find(reference)

    def create(self, request: NetworkRequest) -> Network:
        """Make a bridge network. Raises Conflict (name), InvalidParameter, Forbidden (subnet,
        predefined), NotFound (driver), each in Docker's words.
        """
        with self._lock:
            known = [*self._known.networks.values()]
            creation.check(request, known)
            pools = [*(self._options.address_pools or ipam.DEFAULT_POOLS), self._ipv6_pool]
            network = creation.build(request, known, pools, self._routed(), self._options.mtu)
            network.adopted = bool(links.index_of(network.bridge))
            self._known.save_network(network)
            try:
                self._make_ready(network)
                self._rebuild()
            except BaseException:
                self._forget(network)
                raise
            return network

    def remove(self, reference: str) -> Network:
        """Remove a network and give what it was. Raises NotFound; Forbidden for predefined ones
        and while endpoints are in it.
        """
        with self._lock:
            network = self._known.find(reference)
            if network.predefined:
                shown = f"{network.name} is a pre-defined network"
                raise Forbidden(f"{shown} and cannot be removed")
            inside = self._known.inside(network.id)
            if inside:
                active = ", ".join(f'name:"{e.container_name}" id:"{e.id[:12]}"' for e in inside)
                reason = f"network {network.name} has active endpoints ({active})"
                raise Forbidden(f"error while removing network: {reason}")
            self._forget(network)
            self._rebuild()
            return network

    def prune(self, keep: Collection[str] = ()) -> Texts:
        """Remove users' networks that have no endpoint and no id in *keep*; gives their names."""
        with self._lock:
            used = {endpoint.network_id for endpoint in self._known.endpoints.values()} | set(keep)
            unused = [n for n in self.list() if not n.predefined and n.id not in used]
            for network in unused:
                self._forget(network)
            if unused:
                self._rebuild()
            return [network.name for network in unused]

    def endpoints(self, network_id: str) -> EndpointList:
        """Give the endpoints in a network."""
        with self._lock:
            return self._known.inside(network_id)

    def endpoints_of(self, container_id: str) -> EndpointList:
        """Give a container's endpoints, by network name."""
        with self._lock:
            return self._known.of_container(container_id)

    def host_gateway(self) -> str:
        """Give the host's address as containers see it, for --add-host NAME:host-gateway.

        Raises LadingError when there is no default network.
        """
        with self._lock:
            default = self._known.named(BRIDGE)
        if default is None:
            raise LadingError("unable to derive the IP value for host-gateway")
        return default.pools[0].gateway

    # Endpoints

    def connect(self, reference: str, request: EndpointRequest) -> Endpoint:
        """Connect a container's network namespace to a network, and publish its ports.

        In `none` and `host` it gets an endpoint without interface; `none` brings `lo` up.
        Raises NotFound, Forbidden ("Address already in use", already connected), LadingError (a
        port is taken: Docker's "Bind for 0.0.0.0:80 failed: port is already allocated").
        """
        with self._lock:
            network = self._known.find(reference)
            inside = self._known.inside(network.id)
            endpoints.check(network, request, inside)
            endpoint = endpoints.build(network, request, inside)
            if not network.bridge:
                if network.driver == "null" and request.pid:
                    self._attachments.loopback(request.pid)
                self._known.save_endpoint(endpoint)
                return endpoint
            others = self._known.of_container(request.container_id)
            endpoint.ports = self._publisher.take(network, endpoint, request.ports)
            try:
                if request.pid:
                    self._attachments.name(endpoint, others, request, network)
                self._known.save_endpoint(endpoint)
                if request.pid:
                    self._attachments.make(self._netlink, network, endpoint, others, request)
                    self._serve_names(endpoint, request.pid)
                if not self._publisher.redirect(endpoint):
                    self._rebuild()
            except BaseException:
                self._undo(endpoint)
                raise
            return endpoint

    def disconnect(self, endpoint_id: str, *, pid: int = 0) -> None:
        """Undo `connect`; an endpoint that is gone already is fine.

        *pid* is the container's init when it goes on running: its interface is removed then, and
        another network becomes its gateway. Without it the kernel removes the interface together
        with the namespace, which is quicker.
        """
        with self._lock:
            endpoint = self._known.endpoints.get(endpoint_id)
            if endpoint is None:
                return
            self._known.forget_endpoint(endpoint_id)
            if self._names is not None and not pid:
                self._names.stop(endpoint.container_id)
            if not self._publisher.withdraw(endpoint):
                self._rebuild()
            if endpoint.interface:
                others = self._known.of_container(endpoint.container_id)
                self._attachments.remove(self._netlink, endpoint, others, pid)

    def disconnect_all(self, container_id: str) -> None:
        """Disconnect a container that has ended from all its networks."""
        for endpoint in self.endpoints_of(container_id):
            self.disconnect(endpoint.id)

    def rename(self, container_id: str, old: str, name: str) -> None:
        """Give the container's endpoints its new name, also among their DNS names."""
        with self._lock:
            for endpoint in self._known.of_container(container_id):
                endpoint.container_name = name
                names = [name if known == old else known for known in endpoint.dns_names]
                endpoint.dns_names = tuple(names)
                self._known.save_endpoint(endpoint)

    # Parts

    @property
    def _netlink(self) -> Netlink:
        if self._route is None:
            raise LadingError("the network manager has not been started")
        return self._route

    def _serve_names(self, endpoint: Endpoint, pid: int) -> None:
        """Give the container of an endpoint its name server, until it ends.

        It has one from the first of users' networks on, and keeps it when it leaves them: its
        resolv.conf names it.
        """
        users = not self._known.networks[endpoint.network_id].predefined
        if self._names is not None and (users or endpoint.nameservers):
            self._names.serve(endpoint.container_id, pid, endpoint.nameservers)

    def _undo(self, endpoint: Endpoint) -> None:
        """Take back a connection that failed half-way."""
        self._known.forget_endpoint(endpoint.id)
        if self._names is not None and not self._known.of_container(endpoint.container_id):
            self._names.stop(endpoint.container_id)
        self._publisher.withdraw(endpoint)
        if endpoint.interface:
            with suppress(OSError):
                links.delete(self._netlink, endpoint.interface)

    def _take_over(self, running: Mapping[str, int]) -> None:
        """Keep the endpoints of running containers; remove what is left of others."""
        for endpoint in self._known.load():
            if endpoint.container_id in running and endpoint.network_id in self._known.networks:
                self._known.endpoints[endpoint.id] = endpoint
                continue
            if endpoint.interface:
                links.delete(self._netlink, endpoint.interface)
            self._known.forget_endpoint(endpoint.id)

    def _remove_strays(self) -> None:
        """Remove interfaces on our bridges that no endpoint has: a crash came in between."""
        bridges = {network.bridge for network in self._known.bridged()}
        mine = {endpoint.interface for endpoint in self._known.endpoints.values()}
        for name, bridge in self._netlink.ports():
            if bridge in bridges and name.startswith(PREFIX) and name not in mine:
                links.delete(self._netlink, name)

    def _make_predefined(self) -> None:
        """Make `host`, `none` and `bridge`, each unless it is there."""
        for name in (HOST, NONE):
            if self._known.named(name) is None:
                self._known.save_network(creation.predefined(name))
        earlier = self._known.named(BRIDGE)
        if not self._has_default:
            if earlier is not None:
                self._forget(earlier)
            return
        others = [n for n in self._known.networks.values() if n is not earlier]
        taken = [*self._routed(earlier), *creation.subnets(others)]
        existing = self._addresses(self._options.bridge)
        network = creation.default_bridge(self._options, earlier, existing, taken)
        if earlier is not None and earlier.bridge != network.bridge and not earlier.adopted:
            links.delete(self._netlink, earlier.bridge)
        if network != earlier:
            self._known.save_network(network)

    def _make_ready(self, network: Network) -> None:
        """Make the network's bridge as it should be; one of ours with other addresses anew."""
        wanted = [
            f"{pool.gateway}/{ip_network(pool.subnet).prefixlen}"
            for pool in network.pools
            if pool.gateway
        ]
        have = [text for text in self._addresses(network.bridge) if _is_global(text)]
        replaceable = not network.adopted and not self._known.inside(network.id)
        if replaceable and not set(have) <= set(wanted):
            links.delete(self._netlink, network.bridge)
        if network.enable_ipv6:
            wanted.append(_LINK_LOCAL)
        links.ensure_bridge(self._netlink, network.bridge, wanted, network.mtu)
        links.set_sysctl(f"net/ipv4/conf/{network.bridge}/route_localnet", "1")
        if self._options.ip_forward:
            if links.get_sysctl(_IP_FORWARD) == "0":
                links.set_sysctl(_IP_FORWARD, "1")
            if network.enable_ipv6 and links.get_sysctl(_IPV6_FORWARD) == "0":
                links.set_sysctl(_IPV6_FORWARD, "1")

    def _addresses(self, interface: str) -> Texts:
        index = links.index_of(interface)
        return self._netlink.addresses(index) if index else []

    def _routed(self, own: Network | None = None) -> Subnets:
        """Give the destinations of the host's routes, but those through *own*'s bridge."""
        skipped = links.index_of(own.bridge) if own is not None and own.bridge else 0
        found: Subnets = []
        for family in (AF_INET, AF_INET6):
            for destination, index in self._netlink.routes(family):
                if index != skipped:
                    found.append(ip_network(destination, strict=False))
        return found

    def _forget(self, network: Network) -> None:
        if network.bridge and not network.adopted:
            links.delete(self._netlink, network.bridge)
        self._known.forget_network(network.id)

    def _rebuild(self) -> None:
        self._publisher.rebuild(self._known.bridged(), self._known.endpoints.values())


def _is_global(text: str) -> bool:
    return not ip_interface(text).ip.is_link_local
