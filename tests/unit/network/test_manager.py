from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from lading.errors import Conflict, Forbidden, InvalidParameter, LadingError, NotFound
from lading.kernel.errors import KernelError
from lading.network import links, netlink
from lading.network.manager import NetworkManager
from lading.network.model import (
    EndpointRequest,
    Network,
    NetworkOptions,
    NetworkRequest,
    Pool,
    PortRequest,
)

from .conftest import Lab, RunLab

pytestmark = pytest.mark.root


def interfaces() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def wait_until_gone(name: str) -> None:
    """Wait for the kernel's word that an interface was removed."""
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    listener.bind((0, 1))  # RTMGRP_LINK
    listener.settimeout(10)
    while name in interfaces():
        listener.recv(65536)
    listener.close()


def test_the_predefined_networks(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        networks = {network.name: network for network in lab.manager.list()}
        assert list(networks) == ["bridge", "host", "none"]
        bridge = networks["bridge"]
        assert bridge.pools == (Pool("172.17.0.0/16", "172.17.0.1"),)
        assert bridge.options["com.docker.network.bridge.name"] == "lading0"
        assert (networks["host"].driver, networks["none"].driver) == ("host", "null")
        assert lab.manager.host_gateway() == "172.17.0.1"
        assert "lading0" in interfaces()
        with open("/proc/sys/net/ipv4/ip_forward") as file:
            assert file.read() == "1\n"
        ids = {network.id for network in lab.manager.list()}
        lab.manager.stop()
        assert "lading0" not in interfaces()
        lab.restart()
        assert {network.id for network in lab.manager.list()} == ids

    lab(body)


def test_found_by_id_name_and_prefix(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        manager = lab.manager
        host = manager.get("host")
        assert manager.get(host.id) is host
        assert manager.get(host.id[:20]) is host
        for unknown in ("nosuch", ""):
            with pytest.raises(NotFound, match=f"network {unknown} not found"):
                manager.get(unknown)
        for number in range(16):
            manager.create(NetworkRequest(name=f"net{number}"))
        letters = [network.id[0] for network in manager.list()]
        twice = next(letter for letter in letters if letters.count(letter) > 1)
        with pytest.raises(InvalidParameter, match="is ambiguous"):
            manager.get(twice)

    lab(body)


def test_created_and_removed(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        manager = lab.manager
        made = manager.create(NetworkRequest(name="one", labels={"a": "b"}))
        assert made.pools == (Pool("172.18.0.0/16", "172.18.0.1"),)
        assert made.shown_pools == made.pools
        assert made.bridge in interfaces()
        mine = manager.create(
            NetworkRequest(name="two", pools=(Pool("10.9.0.0/24"),), enable_ipv6=True)
        )
        assert mine.shown_pools[0] == Pool("10.9.0.0/24")
        assert mine.pools[0].gateway == "10.9.0.1"
        assert mine.pools[1].subnet.startswith("fd")
        with pytest.raises(Conflict, match="network with name one already exists"):
            manager.create(NetworkRequest(name="one"))
        lab.restart()
        assert lab.manager.get("one") == made
        assert lab.manager.remove("one") == made
        assert made.bridge not in interfaces()
        with pytest.raises(NotFound):
            lab.manager.get("one")
        with pytest.raises(Forbidden, match="bridge is a pre-defined network and cannot be"):
            lab.manager.remove("bridge")
        kept = lab.manager.create(NetworkRequest(name="kept"))
        lab.run(network="two")
        assert lab.manager.prune(keep={kept.id}) == []
        assert lab.manager.prune() == ["kept"]
        with pytest.raises(Forbidden, match=r'two has active endpoints \(name:"container0"'):
            lab.manager.remove("two")

    lab(body)


BAD: list[tuple[NetworkRequest, type[LadingError], str]] = [
    (NetworkRequest(name=" "), InvalidParameter, "invalid name: name is empty"),
    (NetworkRequest(name="host"), Forbidden, "not permitted on predefined host network"),
    (NetworkRequest(name="x", driver="nosuch"), NotFound, 'plugin "nosuch" not found'),
    (NetworkRequest(name="x", driver="null"), Forbidden, 'only one instance of "null" network'),
    (NetworkRequest(name="x", ipam_driver="nosuch"), NotFound, 'plugin "nosuch" not found'),
    (NetworkRequest(name="x", enable_ipv4=False), InvalidParameter, "IPv4 or IPv6 must be"),
    (
        NetworkRequest(name="x", pools=(Pool("172.17.9.0/24"),)),
        Forbidden,
        "invalid pool request: Pool overlaps with other one on this address space",
    ),
    (
        NetworkRequest(name="x", pools=(Pool("10.1.0.0/24"), Pool("10.2.0.0/24"))),
        Forbidden,
        "bridge driver doesn't support multiple subnets",
    ),
    (NetworkRequest(name="x", pools=(Pool("y"),)), InvalidParameter, "invalid subnet y"),
    (
        NetworkRequest(name="x", options={"com.docker.network.bridge.enable_icc": "x"}),
        InvalidParameter,
        "failed to parse com.docker.network.bridge.enable_icc value: x",
    ),
    (
        NetworkRequest(name="x", options={"com.docker.network.driver.mtu": "x"}),
        InvalidParameter,
        "failed to parse com.docker.network.driver.mtu value: x",
    ),
    (
        NetworkRequest(name="x", options={"com.docker.network.bridge.name": "lading0"}),
        Forbidden,
        "networks have same bridge name",
    ),
    (
        NetworkRequest(name="x", options={"com.docker.network.bridge.name": "a" * 16}),
        InvalidParameter,
        "an interface name has at most 15 characters",
    ),
]


def test_what_cannot_be_created_leaves_nothing(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        before = interfaces()
        for request, kind, said in BAD:
            with pytest.raises(kind) as caught:
                lab.manager.create(request)
            assert said in caught.value.message
        assert interfaces() == before
        assert len(lab.manager.list()) == 3

    lab(body)


def test_a_pool_that_the_host_has_a_route_to_is_skipped(tmp_path: Path, lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        other = NetworkManager(tmp_path / "other", NetworkOptions(bridge="lading1"))
        other.start({})
        assert other.get("bridge").pools[0].subnet == "172.18.0.0/16"
        one = lab.run()
        other.stop()
        assert "lading1" not in interfaces()
        assert "lading0" in interfaces()
        assert one.ip == "172.17.0.2"

    lab(body)


def test_bridge_options(tmp_path: Path, lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        options = NetworkOptions(bridge="lading2", bip="10.7.0.5/24", mtu=1400)
        other = NetworkManager(tmp_path / "other", options)
        other.start({})
        assert other.get("bridge").pools == (Pool("10.7.0.0/24", "10.7.0.5"),)
        with netlink.Netlink() as route:
            assert "10.7.0.5/24" in route.addresses(links.index_of("lading2"))
        other.stop()
        moved = NetworkManager(tmp_path / "other", NetworkOptions(bridge="lading3"))
        moved.start({})
        assert "lading2" not in interfaces()
        assert moved.get("bridge").bridge == "lading3"
        moved.stop()
        without = NetworkManager(tmp_path / "other", NetworkOptions(bridge="none"))
        without.start({})
        assert [network.name for network in without.list()] == ["host", "none"]
        with pytest.raises(LadingError, match="host-gateway"):
            without.host_gateway()
        without.stop()
        with pytest.raises(InvalidParameter, match="invalid CIDR address: x"):
            NetworkManager(tmp_path / "other", NetworkOptions(bip="x")).start({})

    lab(body)


def test_a_bridge_that_was_there_stays(tmp_path: Path, lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        with netlink.Netlink() as route:
            links.ensure_bridge(route, "mine", ["10.8.0.1/24"], 0)
        other = NetworkManager(tmp_path / "other", NetworkOptions(bridge="mine"))
        other.start({})
        assert other.get("bridge").pools == (Pool("10.8.0.0/24", "10.8.0.1"),)
        other.stop()
        assert "mine" in interfaces()

    lab(body)


def test_connected_and_disconnected(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        one, two = lab.run(), lab.run()
        assert (one.ip, two.ip) == ("172.17.0.2", "172.17.0.3")
        endpoint = one.endpoints[0]
        assert endpoint.interface in interfaces()
        assert endpoint.name == "eth0"
        with one.inside():
            assert interfaces() == {"lo", "eth0"}
            with open("/proc/sys/net/ipv6/conf/eth0/disable_ipv6") as file:
                assert file.read() == "1\n"
        assert lab.manager.endpoints_of(one.id) == [endpoint]
        bridge = lab.manager.get("bridge")
        assert {e.container_id for e in lab.manager.endpoints(bridge.id)} == {one.id, two.id}
        with pytest.raises(Forbidden, match="endpoint with name container0 already exists in net"):
            lab.connect(one, "bridge")
        one.end()
        lab.containers.remove(one)
        lab.manager.disconnect_all(one.id)
        lab.manager.disconnect(endpoint.id)
        wait_until_gone(endpoint.interface)
        assert lab.run().ip == "172.17.0.2"

    lab(body)


def test_a_held_namespace_does_not_keep_the_interface(lab: RunLab) -> None:
    """Somebody else has the namespace open when the container ends: it is swept all the same."""

    def body(lab: Lab) -> None:
        one = lab.run()
        with netlink.namespace_of(one.pid):
            one.end()
            lab.containers.remove(one)
            lab.manager.disconnect_all(one.id)
            assert one.endpoints[0].interface in interfaces()
            lab.manager.stop()
            assert one.endpoints[0].interface not in interfaces()

    lab(body)


def test_none_and_host(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        alone = lab.run(network="none")
        with alone.inside():
            assert interfaces() == {"lo"}
            with socket.create_server(("127.0.0.1", 0)) as server:
                socket.create_connection(server.getsockname()).close()
        assert alone.endpoints[0].ipv4_address == ""
        shared = lab.manager.connect(
            "host", EndpointRequest(container_id="h", container_name="h", pid=os.getpid())
        )
        assert shared.mac_address == ""
        lab.manager.disconnect(shared.id)

    lab(body)


def default_route() -> str:
    """Give the interface of the IPv4 default route."""
    with open("/proc/thread-self/net/route") as file:
        for line in file.read().splitlines()[1:]:
            fields = line.split()
            if fields[1] == fields[7] == "00000000":
                return fields[0]
    return ""


def test_the_gateway_moves_with_the_networks(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        for name in ("aaa", "zzz"):
            lab.manager.create(NetworkRequest(name=name))
        one = lab.run(network="zzz")
        with one.inside():
            assert default_route() == "eth0"
        lab.connect(one, "aaa")
        with one.inside():
            assert default_route() == "eth1"
        lab.connect(one, "bridge")
        with one.inside():
            assert default_route() == "eth1"
        request = EndpointRequest(
            container_id=one.id, container_name=one.id, pid=one.pid, gateway_priority=5
        )
        first = lab.manager.create(NetworkRequest(name="first"))
        chosen = lab.manager.connect(first.id, request)
        with one.inside():
            assert default_route() == chosen.name == "eth3"
        lab.manager.disconnect(chosen.id, pid=one.pid)
        with one.inside():
            assert default_route() == "eth1"
        lab.manager.disconnect(one.endpoints[1].id, pid=one.pid)
        with one.inside():
            assert default_route() == "eth2"

    lab(body)


def test_wishes_of_an_endpoint(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        lab.manager.create(NetworkRequest(name="mine", pools=(Pool("10.9.0.0/24"),)))
        one = lab.run(network="none")

        def wish(network: str = "mine", **wishes: object) -> EndpointRequest:
            request = EndpointRequest(container_id="w", container_name="w", pid=one.pid)
            for name, value in wishes.items():
                setattr(request, name, value)
            return request

        found = lab.manager.connect(
            "mine",
            wish(
                ipv4_address="10.9.0.77",
                mac_address="02:aa:00:00:00:01",
                interface_name="net0",
                sysctls={"net.ipv4.conf.IFNAME.log_martians": "1"},
            ),
        )
        with one.inside():
            assert interfaces() == {"lo", "net0"}
            with open("/proc/sys/net/ipv4/conf/net0/log_martians") as file:
                assert file.read() == "1\n"
        assert (found.ipv4_address, found.mac_address) == ("10.9.0.77", "02:aa:00:00:00:01")
        lab.manager.disconnect(found.id, pid=one.pid)
        with pytest.raises(InvalidParameter) as caught:
            lab.manager.connect("bridge", wish(ipv4_address="172.17.0.9"))
        assert caught.value.message.splitlines()[1] == (
            "user specified IP address is supported on user defined networks only"
        )
        with pytest.raises(InvalidParameter, match=r"contain the IP address 10\.8\.0\.1"):
            lab.manager.connect("mine", wish(ipv4_address="10.8.0.1"))
        with pytest.raises(InvalidParameter, match="invalid IPv4 address: abc"):
            lab.manager.connect("mine", wish(ipv4_address="abc"))
        with pytest.raises(Forbidden, match="Address already in use"):
            lab.manager.connect("mine", wish(ipv4_address="10.9.0.1"))

    lab(body)


def test_what_fails_half_way_is_undone(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        other = lab.run(network="none")
        lab.manager.disconnect_all(other.id)
        before = interfaces()
        request = EndpointRequest(
            container_id="w",
            container_name="w",
            pid=other.pid,
            ports=(PortRequest(80, first=8080, last=8080),),
            sysctls={"net.no.such": "1"},
        )
        with pytest.raises(KernelError, match="/proc/sys/net/no/such"):
            lab.manager.connect("bridge", request)
        assert interfaces() == before
        assert lab.manager.endpoints_of("w") == []
        assert list((lab.root / "endpoints").iterdir()) == []
        socket.create_server(("0.0.0.0", 8080)).close()
        request.pid = 2**22 + 1
        with pytest.raises(KernelError, match="open namespace"):
            lab.manager.connect("bridge", request)
        web = lab.run(ports=(PortRequest(80, first=8080, last=8080),))
        request.pid = other.pid
        with pytest.raises(LadingError) as caught:
            lab.manager.connect("bridge", request)
        assert caught.value.message.startswith(
            "driver failed programming external connectivity on endpoint w ("
        )
        assert caught.value.message.endswith(
            "Bind for 0.0.0.0:8080 failed: port is already allocated"
        )
        assert web.ip == "172.17.0.2"

    lab(body)


def test_a_restart_keeps_the_living_and_clears_the_dead(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        lives = lab.run(ports=(PortRequest(80, first=8080, last=8080),))
        dies = lab.run(ports=(PortRequest(80, first=8081, last=8081),))
        stray = "ladv00000bad"
        with netlink.Netlink() as route, netlink.namespace_of(lives.pid) as namespace:
            bridge = links.index_of("lading0")
            links.make_veth(route, stray, bridge, "eth9", namespace, links.random_mac(), 0)
        lab.manager._publisher.release_all()
        lab.containers.remove(dies)
        (lab.root / "endpoints" / "broken.json").write_text("{")
        (lab.root / "endpoints" / "half.json.tmp").write_text("{")
        lab.restart()
        dies.end()
        assert lab.manager.endpoints_of(lives.id) == lives.endpoints
        assert lab.manager.endpoints_of(dies.id) == []
        assert {lives.endpoints[0].interface} == {n for n in interfaces() if n[:4] == "ladv"}
        with pytest.raises(OSError, match="already in use"):
            socket.create_server(("0.0.0.0", 8080))
        socket.create_server(("0.0.0.0", 8081)).close()
        lab.manager.stop()
        assert "lading0" in interfaces()
        lab.restart()
        lab.manager.disconnect(lives.endpoints[0].id, pid=lives.pid)
        lab.manager.stop()
        assert "lading0" not in interfaces()

    lab(body)


def test_renamed(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        request = EndpointRequest(
            container_id="w", container_name="old", dns_names=("old", "alias", "w")
        )
        made = lab.manager.connect("bridge", request)
        lab.manager.rename("w", "old", "new")
        lab.restart()
        assert lab.manager.endpoints_of("w") == []
        assert (made.container_name, made.dns_names) == ("new", ("new", "alias", "w"))

    lab(body)


def test_before_the_start(tmp_path: Path) -> None:
    manager = NetworkManager(tmp_path)
    manager.stop()
    with pytest.raises(NotFound):
        manager.get("bridge")


def test_a_network_is_as_it_was_written(tmp_path: Path) -> None:
    from lading.network.store import Store

    network = Network(
        id="a" * 64,
        name="n",
        driver="bridge",
        created="2026-01-01T00:00:00Z",
        pools=(Pool("10.0.0.0/8", "10.0.0.1", "10.1.0.0/16", {"a": "10.0.0.9"}),),
        labels={"x": "y"},
        options={"o": "p"},
        internal=True,
    )
    store = Store(tmp_path)
    store.save_network(network)
    assert store.networks() == [network]
    store.forget_network(network.id)
    store.forget_network(network.id)
    assert store.networks() == []
