"""Containers and networks: connect at the start, let go at the end, and the files that tell it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lading.engine import modes
from lading.engine.checks.host import split_extra_host
from lading.engine.endpoints import check_endpoint
from lading.engine.events import EventBus, EventType
from lading.engine.links import active_links
from lading.engine.model import (
    Container,
    EndpointIPAMConfig,
    EndpointSettings,
    PortBinding,
    PortMap,
)
from lading.engine.ports import parse_host_ports, parse_port
from lading.engine.settings import Settings
from lading.engine.store import ContainerStore
from lading.errors import Conflict, Forbidden, LadingError, NotFound
from lading.kernel.errors import KernelError
from lading.network import hostsfile
from lading.network.manager import NetworkManager
from lading.network.model import Endpoint, EndpointRequest, PortRequest

HOSTS = Path("/etc/hosts")
_SET_UP = "failed to set up container networking: "


@dataclass(slots=True)
class Networking:
    """What the life of a container does with networks; `find` looks up another container."""

    manager: NetworkManager
    settings: Settings
    store: ContainerStore
    events: EventBus
    find: Callable[[str], Container]

    def prepare(self, record: Container) -> None:
        """Write the container's hostname, hosts and resolv.conf before its mounts are made.

        Raises Conflict if it joins the network of a container that does not run.
        """
        donor = modes.container_of(record.host_config.network_mode)
        if donor is not None:
            self._share_files(record, donor)
            return
        home = self.store.home(record.id)
        record.hostname_path = str(home / "hostname")
        record.hosts_path = str(home / "hosts")
        record.resolv_conf_path = str(home / "resolv.conf")
        hostsfile.write(Path(record.hostname_path), hostsfile.hostname(record.config.hostname))
        hostsfile.write(Path(record.hosts_path), self._hosts_text(record, []))
        hostsfile.write(Path(record.resolv_conf_path), self._resolver(record)[0])

    def _share_files(self, record: Container, donor: str) -> None:
        try:
            other = self.find(donor)
        except NotFound as error:
            raise LadingError(f"joining network namespace of container: {error}") from error
        if not other.running:
            raise Conflict(
                "cannot join network namespace of a non running container: container "
                f"{other.name} is {other.state.status}"
            )
        record.hostname_path = other.hostname_path
        record.hosts_path = other.hosts_path
        record.resolv_conf_path = other.resolv_conf_path

    def connect(self, record: Container, pid: int) -> None:
        """Connect a created container, whose first process is `pid`, to all its networks.

        Raises what a network refuses, with Docker's words before it; nothing stays connected then.
        """
        found = record.network_settings
        if modes.container_of(record.host_config.network_mode) is not None:
            return
        found.sandbox_id = secrets.token_hex(32)
        found.sandbox_key = f"/proc/{pid}/ns/net"
        found.ports = self._exposed(record)
        try:
            endpoints = [
                self._connect_one(record, name, found.networks[name], pid)
                for name in self._in_order(record)
            ]
        except LadingError as error:
            error.message = _SET_UP + error.message
            error.args = (error.message,)
            raise
        except KernelError as error:
            raise LadingError(f"{_SET_UP}{error}") from error
        if any(endpoint.ipv4_address or endpoint.ipv6_address for endpoint in endpoints):
            hostsfile.write(Path(record.hosts_path), self._hosts_text(record, endpoints))

    def _in_order(self, record: Container) -> list[str]:
        """Order networks: the mode's first, which publishes the ports, then by name."""
        mode = record.host_config.network_mode
        return sorted(record.network_settings.networks, key=lambda name: (name != mode, name))

    def _connect_one(
        self, record: Container, name: str, settings: EndpointSettings, pid: int
    ) -> Endpoint:
        first = name == self._in_order(record)[0]
        wanted = settings.ipam_config or EndpointIPAMConfig()
        settings.dns_names = dns_names(record, name, settings)
        endpoint = self.manager.connect(
            name,
            EndpointRequest(
                container_id=record.id,
                container_name=record.name,
                pid=pid,
                mac_address=record.wished_macs.get(name, ""),
                ipv4_address=wanted.ipv4_address,
                ipv6_address=wanted.ipv6_address,
                gateway_priority=settings.gw_priority,
                dns_names=tuple(settings.dns_names or ()),
                nameservers=self._resolver(record)[1],
                ports=tuple(port_requests(record)) if first else (),
            ),
        )
        fill(settings, endpoint)
        _add_ports(record.network_settings.ports, endpoint)
        return endpoint

    def tell_connected(self, record: Container) -> None:
        """Publish that a container that runs now is in its networks."""
        for endpoint in self.manager.endpoints_of(record.id):
            self._announce("connect", record, endpoint)

    def disconnect(self, record: Container) -> None:
        """Let go of all of a stopped container's endpoints and ports."""
        for endpoint in self.manager.endpoints_of(record.id):
            self.manager.disconnect(endpoint.id)
            self._announce("disconnect", record, endpoint)
        found = record.network_settings
        found.sandbox_id = found.sandbox_key = ""
        found.ports = {}
        for name, settings in found.networks.items():
            settings.clear_operational(record.wished_macs.get(name, ""))

    def connect_later(self, record: Container, network: str, settings: EndpointSettings) -> None:
        """Put a container into one more network, at once if it runs.

        Raises NotFound, Forbidden for modes that exclude it, InvalidParameter for bad wishes.
        """
        found = self.manager.get(network)
        mode = record.host_config.network_mode
        networks = record.network_settings.networks
        if modes.container_of(mode) is not None or modes.HOST in (mode, found.name):
            raise Forbidden(
                "container cannot be disconnected from host network or connected to host network"
            )
        if found.name in networks and networks[found.name].endpoint_id:
            raise Forbidden(
                f"endpoint with name {record.name} already exists in network {found.name}"
            )
        check_endpoint(found.name, settings, self.manager)
        if settings.mac_address:
            record.wished_macs[found.name] = settings.mac_address
        earlier = self._resolver(record)[0]
        networks[found.name] = settings
        if record.state.pid:
            self._connect_running(record, found.name, settings, earlier)
        others = networks.pop(modes.NONE, None)
        try:
            self.store.save(record)
        except LadingError:
            self._undo_connection(record, found.name)
            if others is not None:
                networks[modes.NONE] = others
            raise

    def _undo_connection(self, record: Container, name: str) -> None:
        settings = record.network_settings.networks.pop(name)
        record.wished_macs.pop(name, None)
        if settings.endpoint_id:
            self.manager.disconnect(settings.endpoint_id, pid=record.state.pid)

    def _connect_running(
        self, record: Container, name: str, settings: EndpointSettings, resolver: str
    ) -> None:
        """Connect a running container, and tell it of its address and its name server.

        *resolver* is what its resolv.conf was written as; one that it changed itself stays.
        """
        try:
            endpoint = self._connect_one(record, name, settings, record.state.pid)
        except BaseException:
            record.network_settings.networks.pop(name, None)
            raise
        self._announce("connect", record, endpoint)
        hosts, resolv_conf = Path(record.hosts_path), Path(record.resolv_conf_path)
        entries = _own_entries(record, [endpoint])
        hostsfile.write(hosts, hostsfile.with_entries(hosts.read_text(), entries))
        if resolv_conf.read_text() == resolver:
            hostsfile.write(resolv_conf, self._resolver(record)[0])

    def leave(self, record: Container, network: str, *, force: bool) -> None:
        """Take a container out of a network; raises Forbidden if it is not in it."""
        found = self.manager.get(network)
        if record.host_config.network_mode == modes.HOST:
            raise Forbidden(
                "container cannot be disconnected from host network or connected to host network"
            )
        settings = record.network_settings.networks.pop(found.name, None)
        if settings is None and not force:
            raise Forbidden(f"container {record.id} is not connected to network {found.name}")
        record.wished_macs.pop(found.name, None)
        for endpoint in self.manager.endpoints_of(record.id):
            if endpoint.network_id == found.id:
                self.manager.disconnect(endpoint.id, pid=record.state.pid)
                hosts = Path(record.hosts_path)
                entries = _own_entries(record, [endpoint])
                hostsfile.write(hosts, hostsfile.without_entries(hosts.read_text(), entries))
                self._announce("disconnect", record, endpoint)
        self.store.save(record)

    def rename(self, record: Container, old: str) -> None:
        """Tell the networks that a container has a new name, and keep it on disk."""
        for name, settings in record.network_settings.networks.items():
            if settings.endpoint_id:
                settings.dns_names = dns_names(record, name, settings)
        self.manager.rename(record.id, old, record.name)
        try:
            self.store.save(record)
        except LadingError:
            self.manager.rename(record.id, record.name, old)
            raise

    def _announce(self, action: str, record: Container, endpoint: Endpoint) -> None:
        network = self.manager.get(endpoint.network_id)
        self.events.publish(
            EventType.NETWORK,
            action,
            network.id,
            {"container": record.id, "name": network.name, "type": network.driver},
        )

    def _exposed(self, record: Container) -> PortMap:
        if record.host_config.network_mode in (modes.NONE, modes.HOST):
            return {}
        return {str(parse_port(port)): None for port in record.config.exposed_ports or {}}

    def _hosts_text(self, record: Container, endpoints: list[Endpoint]) -> str:
        base = None
        if record.host_config.network_mode == modes.HOST:
            base = HOSTS.read_text() if HOSTS.exists() else ""
        extra = [self._extra_host(entry) for entry in record.host_config.extra_hosts or ()]
        extra += [link.hosts_entry for link in active_links(record, self.find)]
        return hostsfile.hosts(_own_entries(record, endpoints), extra, base)

    def _extra_host(self, entry: str) -> tuple[str, str]:
        name, address = split_extra_host(entry)
        if address == "host-gateway":
            address = self.manager.host_gateway()
        return address.strip("[]"), name

    def _resolver(self, record: Container) -> tuple[str, tuple[str, ...]]:
        """Give the text of resolv.conf, and the servers that the internal name server asks.

        In a user's network the name server is the internal one, which knows the containers there.
        """
        host, daemon = record.host_config, self.settings
        servers = host.dns or daemon.dns
        search = host.dns_search or daemon.dns_search
        options = host.dns_options or daemon.dns_options
        text, path = hostsfile.host_resolv_conf()
        if any(modes.is_user_defined(name) for name in record.network_settings.networks):
            return hostsfile.internal_resolv_conf(
                text, path, servers=servers, search=search, options=options
            )
        keep = host.network_mode == modes.HOST
        written = hostsfile.resolv_conf(
            text, path, servers=servers, search=search, options=options, keep_loopback=keep
        )
        return written, ()


def _own_entries(record: Container, endpoints: list[Endpoint]) -> list[tuple[str, str]]:
    """Give the lines of /etc/hosts for a container's addresses."""
    name = record.config.hostname
    if record.config.domainname:
        name = f"{name}.{record.config.domainname} {name}"
    return [
        (address, name)
        for endpoint in endpoints
        for address in (endpoint.ipv4_address, endpoint.ipv6_address)
        if address
    ]


def dns_names(record: Container, network: str, settings: EndpointSettings) -> list[str] | None:
    """Give the names that others in a user-defined network find a container by."""
    if not modes.is_user_defined(network):
        return None
    names = [record.name, *(settings.aliases or ()), record.short_id, record.config.hostname]
    return list(dict.fromkeys(name for name in names if name))


def fill(settings: EndpointSettings, endpoint: Endpoint) -> None:
    """Write what a network gave into what inspect shows."""
    settings.network_id = endpoint.network_id
    settings.endpoint_id = endpoint.id
    settings.mac_address = endpoint.mac_address
    settings.ip_address = endpoint.ipv4_address
    settings.ip_prefix_len = endpoint.ipv4_prefix
    settings.gateway = endpoint.ipv4_gateway
    settings.global_ipv6_address = endpoint.ipv6_address
    settings.global_ipv6_prefix_len = endpoint.ipv6_prefix
    settings.ipv6_gateway = endpoint.ipv6_gateway


def port_requests(record: Container) -> Iterator[PortRequest]:
    """Give the ports that a container publishes: those asked for, and with `-P` all exposed."""
    host = record.host_config
    bindings: PortMap = dict(host.port_bindings or {})
    if host.publish_all_ports:
        for port in record.config.exposed_ports or {}:
            bindings.setdefault(port, [PortBinding()])
            bindings[port] = bindings[port] or [PortBinding()]
    for text, wanted in sorted(bindings.items()):
        parsed = parse_port(text)
        for binding in wanted or ():
            span = parse_host_ports(binding.host_port)
            yield PortRequest(
                container_port=parsed.number,
                protocol=parsed.protocol,
                host_ip=binding.host_ip,
                first=span.start if span else 0,
                last=span[-1] if span else 0,
            )


def _add_ports(ports: PortMap, endpoint: Endpoint) -> None:
    for published in endpoint.ports:
        key = f"{published.container_port}/{published.protocol}"
        bound = ports.get(key) or []
        bound.append(PortBinding(host_ip=published.host_ip, host_port=str(published.host_port)))
        ports[key] = bound
