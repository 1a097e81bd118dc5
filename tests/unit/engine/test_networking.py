"""Containers and networks: files, endpoints, ports, events."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lading.engine.events import EventBus
from lading.engine.model import (
    Container,
    EndpointIPAMConfig,
    EndpointSettings,
    PortBinding,
    Status,
)
from lading.engine.networking import Networking, port_requests
from lading.engine.settings import Settings
from lading.engine.store import ContainerStore
from lading.errors import Conflict, Forbidden, LadingError, NotFound
from lading.network.model import Endpoint, EndpointRequest, Network, PublishedPort

from .fakes import record

PID = 4242


@dataclass
class FakeManager:
    """Networks by name; every endpoint gets the same address."""

    endpoints: list[Endpoint] = field(default_factory=list)
    requests: list[EndpointRequest] = field(default_factory=list)
    refused: str = ""

    def get(self, ref: str) -> Network:
        drivers = {"bridge": "bridge", "none": "null", "host": "host", "web": "bridge"}
        name = ref.removeprefix("id-")
        if name not in drivers:
            raise NotFound(f"network {ref} not found")
        return Network(id=f"id-{name}", name=name, driver=drivers[name], created="")

    def connect(self, ref: str, request: EndpointRequest) -> Endpoint:
        network = self.get(ref)
        if ref == self.refused:
            raise LadingError("port is already allocated")
        self.requests.append(request)
        made = Endpoint(
            id=f"endpoint-{network.name}",
            network_id=network.id,
            network_name=network.name,
            container_id=request.container_id,
            container_name=request.container_name,
            mac_address=request.mac_address or "02:00:00:00:00:01",
            ipv4_address="172.17.0.2" if network.driver == "bridge" else "",
            ipv4_prefix=16,
            ipv4_gateway="172.17.0.1",
            ports=tuple(
                PublishedPort(each.container_port, each.protocol, "0.0.0.0", each.first or 32768)
                for each in request.ports
            ),
        )
        self.endpoints.append(made)
        return made

    def endpoints_of(self, container_id: str) -> list[Endpoint]:
        return [each for each in self.endpoints if each.container_id == container_id]

    def disconnect(self, endpoint_id: str, *, pid: int = 0) -> None:
        self.endpoints = [each for each in self.endpoints if each.id != endpoint_id]

    def rename(self, container_id: str, old: str, name: str) -> None:
        pass

    def host_gateway(self) -> str:
        return "172.17.0.1"


class World:
    """Networking on a fake manager, with containers to find."""

    def __init__(self, root: Path) -> None:
        self.manager = FakeManager()
        self.events = EventBus()
        self.containers: dict[str, Container] = {}
        self.store = ContainerStore(root / "containers")
        self.store.open()
        manager: Any = self.manager
        self.networking = Networking(
            manager, Settings(root=root), self.store, self.events, self._find
        )

    def _find(self, ref: str) -> Container:
        if ref not in self.containers:
            raise NotFound(f"No such container: {ref}")
        return self.containers[ref]

    def add(self, name: str = "box", *networks: str, number: int = 1, **host: Any) -> Container:
        made = record(name, number=number, **host)
        made.network_settings.networks = {each: EndpointSettings() for each in networks}
        self.store.add(made)
        self.containers[made.id] = self.containers[name] = made
        return made

    def actions(self) -> list[str]:
        return [f"{event.type} {event.action}" for event in self.events._kept]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_files_before_and_after_the_address_is_known(world: World) -> None:
    made = world.add(
        "box", "bridge", network_mode="bridge", extra_hosts=["db:10.0.0.9", "gw=host-gateway"]
    )
    world.networking.prepare(made)
    assert Path(made.hostname_path).read_text() == f"{made.config.hostname}\n"
    inode = Path(made.hosts_path).stat().st_ino
    assert "172.17.0.2" not in Path(made.hosts_path).read_text()
    world.networking.connect(made, PID)
    hosts = Path(made.hosts_path).read_text()
    assert f"172.17.0.2\t{made.config.hostname}\n" in hosts
    assert "10.0.0.9\tdb\n" in hosts
    assert "172.17.0.1\tgw\n" in hosts
    assert Path(made.hosts_path).stat().st_ino == inode
    assert "nameserver" in Path(made.resolv_conf_path).read_text()


def test_connect_fills_in_what_inspect_shows(world: World) -> None:
    made = world.add(
        "box",
        "bridge",
        network_mode="bridge",
        port_bindings={"80/tcp": [PortBinding(host_port="8080")], "82/tcp": []},
    )
    made.config.exposed_ports = {"80/tcp": {}, "81/udp": {}}
    world.networking.prepare(made)
    world.networking.connect(made, PID)
    settings = made.network_settings
    world.networking.tell_connected(made)
    endpoint = settings.networks["bridge"]
    assert (endpoint.ip_address, endpoint.ip_prefix_len, endpoint.gateway) == (
        "172.17.0.2", 16, "172.17.0.1",
    )  # fmt: skip
    assert endpoint.dns_names is None
    assert settings.ports["80/tcp"] == [PortBinding(host_ip="0.0.0.0", host_port="8080")]
    assert settings.ports["81/udp"] is None
    assert settings.sandbox_key == f"/proc/{PID}/ns/net"
    world.networking.disconnect(made)
    assert world.manager.endpoints == []
    assert settings.ports == {}
    assert (endpoint.ip_address, endpoint.mac_address, endpoint.network_id) == ("", "", "id-bridge")
    assert world.actions() == ["network connect", "network disconnect"]


def test_wishes_reach_the_network_and_stay(world: World) -> None:
    made = world.add("box", "web", network_mode="web")
    made.network_settings.networks["web"] = EndpointSettings(
        ipam_config=EndpointIPAMConfig(ipv4_address="172.17.0.9"), aliases=["db"]
    )
    made.wished_macs = {"web": "02:42:ac:11:00:99"}
    world.networking.prepare(made)
    world.networking.connect(made, PID)
    (request,) = world.manager.requests
    assert (request.ipv4_address, request.mac_address) == ("172.17.0.9", "02:42:ac:11:00:99")
    assert request.dns_names == ("box", "db", made.id[:12])
    world.networking.disconnect(made)
    assert made.network_settings.networks["web"].mac_address == "02:42:ac:11:00:99"


def test_only_the_first_network_publishes(world: World) -> None:
    made = world.add(
        "box",
        "bridge",
        "web",
        network_mode="web",
        port_bindings={"80/tcp": [PortBinding()]},
    )
    world.networking.prepare(made)
    world.networking.connect(made, PID)
    assert [bool(request.ports) for request in world.manager.requests] == [True, False]
    assert made.network_settings.ports["80/tcp"] == [
        PortBinding(host_ip="0.0.0.0", host_port="32768")
    ]


def test_a_refusal_says_what_was_being_done(world: World) -> None:
    made = world.add("box", "bridge", network_mode="bridge")
    world.networking.prepare(made)
    world.manager.refused = "bridge"
    with pytest.raises(LadingError) as raised:
        world.networking.connect(made, PID)
    assert raised.value.message == (
        "failed to set up container networking: port is already allocated"
    )
    missing = world.add("other", "nosuch", number=2, network_mode="nosuch")
    world.networking.prepare(missing)
    with pytest.raises(NotFound) as not_found:
        world.networking.connect(missing, PID)
    assert not_found.value.message == (
        "failed to set up container networking: network nosuch not found"
    )


def test_joining_shares_the_donors_files(world: World) -> None:
    donor = world.add("donor", "bridge", network_mode="bridge")
    joined = world.add("joined", number=2, network_mode=f"container:{donor.id}")
    with pytest.raises(Conflict, match="non running container: container donor is created"):
        world.networking.prepare(joined)
    world.networking.prepare(donor)
    donor.state.status = Status.RUNNING
    world.networking.prepare(joined)
    world.networking.connect(joined, PID)
    assert joined.hosts_path == donor.hosts_path
    assert world.manager.requests == []
    orphan = world.add("orphan", number=3, network_mode="container:gone")
    with pytest.raises(LadingError, match="joining network namespace of container: No such"):
        world.networking.prepare(orphan)


def test_the_hosts_network_keeps_the_hosts_names(world: World) -> None:
    made = world.add("box", "host", network_mode="host", extra_hosts=["db:10.0.0.9"])
    world.networking.prepare(made)
    hosts = Path(made.hosts_path).read_text()
    assert "10.0.0.9\tdb\n" in hosts
    world.networking.connect(made, PID)
    assert made.network_settings.ports == {}


def test_connecting_a_running_container_to_one_more_network(world: World) -> None:
    made = world.add("box", "bridge", network_mode="bridge")
    world.networking.prepare(made)
    made.state.pid = PID
    resolv_conf, hosts = Path(made.resolv_conf_path), Path(made.hosts_path)
    assert "127.0.0.11" not in resolv_conf.read_text()
    world.networking.connect_later(made, "web", EndpointSettings(aliases=["db"]))
    assert made.network_settings.networks["web"].ip_address == "172.17.0.2"
    assert f"172.17.0.2\t{made.config.hostname}\n" in hosts.read_text()
    assert "nameserver 127.0.0.11\n" in resolv_conf.read_text()
    assert world.manager.requests[-1].nameservers
    with pytest.raises(Forbidden, match="endpoint with name box already exists in network web"):
        world.networking.connect_later(made, "web", EndpointSettings())
    world.networking.leave(made, "web", force=False)
    assert set(made.network_settings.networks) == {"bridge"}
    assert "172.17.0.2" not in hosts.read_text()
    with pytest.raises(Forbidden, match="is not connected to network web"):
        world.networking.leave(made, "web", force=False)
    with pytest.raises(Forbidden, match="connected to host network"):
        world.networking.connect_later(made, "host", EndpointSettings())


def test_publish_all_takes_what_is_exposed() -> None:
    made = record(
        publish_all_ports=True, port_bindings={"81/tcp": [PortBinding(host_port="90-95")]}
    )
    made.config.exposed_ports = {"80/tcp": {}, "81/tcp": {}}
    found = [(each.container_port, each.first, each.last) for each in port_requests(made)]
    assert found == [(80, 0, 0), (81, 90, 95)]
