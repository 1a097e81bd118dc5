"""What packets do, tried with sockets in namespaces of the test's own."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from lading.network.model import NetworkRequest, PortRequest

from .conftest import HOST, OUTSIDE, WAIT, Lab, RunLab, listening, reaches, refused

pytestmark = pytest.mark.root


def test_a_container_reaches_others_and_the_outside(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        one, two = lab.run(), lab.run()
        server = lab.server(two, 80)
        with one.inside():
            assert reaches(server, two.ip, 80) == one.ip
        assert reaches(server, two.ip, 80) == "172.17.0.1"
        with lab.neighbour.inside():
            outside = listening(90, stack=lab.stack)
        with one.inside():
            assert reaches(outside, OUTSIDE, 90) == HOST

    lab(body)


def test_a_published_port_is_reached_from_everywhere(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        web = lab.run(ports=(PortRequest(80, first=8080, last=8080),))
        other = lab.run()
        server = lab.server(web, 80)
        with lab.neighbour.inside():
            assert reaches(server, HOST, 8080) == OUTSIDE
        assert reaches(server, HOST, 8080) == HOST
        assert reaches(server, "127.0.0.1", 8080) == "172.17.0.1"
        assert reaches(server, "127.0.0.2", 8080) == "172.17.0.1"
        with other.inside():
            assert reaches(server, HOST, 8080) == "172.17.0.1"
            assert reaches(server, "172.17.0.1", 8080) == "172.17.0.1"
        with web.inside():
            assert reaches(server, HOST, 8080) == "172.17.0.1"

    lab(body)


def test_a_port_published_on_loopback_is_the_hosts_alone(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        web = lab.run(ports=(PortRequest(80, host_ip="127.0.0.1", first=8080, last=8080),))
        server = lab.server(web, 80)
        assert reaches(server, "127.0.0.1", 8080) == "172.17.0.1"
        with lab.neighbour.inside():
            assert refused(HOST, 8080)
        assert refused(HOST, 8080)

    lab(body)


def test_udp(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        name = lab.run(ports=(PortRequest(53, "udp", first=5353, last=5353),))
        server = lab.server(name, 53, socket.SOCK_DGRAM)
        for place, address in ((lab.neighbour.inside, HOST), (None, "127.0.0.1")):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            if place is not None:
                client.close()
                with place():
                    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.settimeout(WAIT)
            client.sendto(b"question", (address, 5353))
            text, peer = server.recvfrom(100)
            assert text == b"question"
            server.sendto(b"answer", peer)
            assert client.recvfrom(100) == (b"answer", (address, 5353))
            client.close()

    lab(body)


def test_udp_follows_the_port_to_another_container(lab: RunLab) -> None:
    """The client's flow is remembered by the kernel, and must not lead to the old address."""

    def body(lab: Lab) -> None:
        wanted = (PortRequest(53, "udp", first=5353, last=5353),)
        first = lab.run(ports=wanted)
        lab.run()
        old = lab.server(first, 53, socket.SOCK_DGRAM)
        with lab.neighbour.inside():
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.settimeout(WAIT)
        client.sendto(b"one", (HOST, 5353))
        text, peer = old.recvfrom(100)
        assert text == b"one"
        old.sendto(b"answer", peer)
        assert client.recvfrom(100)[0] == b"answer"
        lab.manager.disconnect(first.endpoints[0].id, pid=first.pid)
        lab.connect(first, "none")
        kept = lab.run()
        assert kept.ip == first.ip
        second = lab.run(ports=wanted)
        new = lab.server(second, 53, socket.SOCK_DGRAM)
        client.sendto(b"two", (HOST, 5353))
        assert new.recvfrom(100)[0] == b"two"
        client.close()

    lab(body)


def test_what_is_not_published_is_not_reached_from_outside(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        web = lab.run(ports=(PortRequest(80, first=8080, last=8080),))
        lab.server(web, 80)
        lab.server(web, 81)
        with lab.neighbour.inside():
            assert refused(web.ip, 80)
            assert refused(web.ip, 81)
            assert refused(HOST, 81)

    lab(body)


def test_containers_do_not_reach_the_hosts_loopback(lab: RunLab) -> None:
    """route_localnet on the bridge would let packets for 127.0.0.1 in, were they not dropped."""

    def body(lab: Lab) -> None:
        web = lab.run()
        lab.stack.enter_context(server := socket.socket())
        server.bind(("127.0.0.1", 7000))
        server.listen()
        with web.inside():
            for key in ("all", "eth0"):
                with open(f"/proc/sys/net/ipv4/conf/{key}/route_localnet", "w") as file:
                    file.write("1")
            client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        client.settimeout(0.3)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        with pytest.raises(OSError, match=r"timed out|No route"):
            client.connect(("127.0.0.1", 7000))
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()

    lab(body)


def test_networks_are_apart_but_for_published_ports(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        lab.manager.create(NetworkRequest(name="other"))
        web = lab.run(ports=(PortRequest(80, first=8080, last=8080),))
        client = lab.run(network="other")
        server = lab.server(web, 80)
        with client.inside():
            assert refused(web.ip, 80)
            assert reaches(server, HOST, 8080) == "172.17.0.1"

    lab(body)


def test_an_internal_network_has_no_way_out(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        lab.manager.create(NetworkRequest(name="inner", internal=True))
        one, two = lab.run(network="inner"), lab.run(network="inner")
        server = lab.server(two, 80)
        with lab.neighbour.inside():
            listening(90, stack=lab.stack)
        with one.inside():
            assert reaches(server, two.ip, 80) == one.ip
            assert refused(OUTSIDE, 90)
            with pytest.raises(OSError, match="unreachable"):
                socket.create_connection((OUTSIDE, 90), 1)

    lab(body)


def test_no_traffic_between_containers_without_icc(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        bridging = "/proc/sys/net/bridge/bridge-nf-call-iptables"
        if os.path.exists(bridging):
            with open(bridging, "w") as file:
                file.write("0")
        options = {"com.docker.network.bridge.enable_icc": "false"}
        lab.manager.create(NetworkRequest(name="apart", options=options))
        one, two = lab.run(network="apart"), lab.run(network="apart")
        server = lab.server(two, 80)
        with one.inside():
            assert refused(two.ip, 80)
        assert reaches(server, two.ip, 80) == two.endpoints[0].ipv4_gateway

    lab(body)


def test_ipv6(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        lab.manager.create(NetworkRequest(name="six", enable_ipv6=True))
        web = lab.run(network="six", ports=(PortRequest(80, first=8080, last=8080),))
        other = lab.run(network="six")
        server = lab.server(web, 80)
        six = web.endpoints[0].ipv6_address
        with other.inside():
            assert reaches(server, six, 80) == other.endpoints[0].ipv6_address
        with lab.neighbour.inside():
            assert reaches(server, "2001:db8::1", 8080) == "2001:db8::2"
            outside = listening(90, stack=lab.stack)
        with web.inside():
            assert reaches(outside, "2001:db8::2", 90) == "2001:db8::1"

    lab(body)


def test_published_ports_go_on_without_the_daemon_and_are_taken_back(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        web = lab.run(ports=(PortRequest(80, first=8080, last=8080),))
        server = lab.server(web, 80)
        lab.manager._publisher.release_all()
        assert reaches(server, "127.0.0.1", 8080) == "172.17.0.1"
        lab.restart()
        assert reaches(server, "127.0.0.1", 8080) == "172.17.0.1"
        with pytest.raises(OSError, match="already in use"):
            socket.create_server(("0.0.0.0", 8080))
        lab.manager.disconnect(web.endpoints[0].id, pid=web.pid)
        assert refused("127.0.0.1", 8080)
        socket.create_server(("0.0.0.0", 8080)).close()

    lab(body)


def test_the_proxy_serves_ipv6_for_a_container_without(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        async def work() -> None:
            lab.restart()
            web = lab.run(ports=(PortRequest(80, first=8080, last=8080),))
            with web.inside():
                server = await asyncio.start_server(answer, "0.0.0.0", 80)
            reader, writer = await asyncio.open_connection("::1", 8080)
            writer.write(b"ping")
            writer.write_eof()
            assert await reader.read() == b"pong to ping"
            writer.close()
            server.close()
            lab.manager.disconnect(web.endpoints[0].id, pid=web.pid)
            await asyncio.sleep(0)
            with pytest.raises(OSError, match="Connect call failed"):
                await asyncio.open_connection("::1", 8080)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"pong to " + await reader.read())
            writer.close()

        asyncio.run(work())

    lab(body)


def test_rules_that_another_program_flushed_come_back(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        firewall = lab.manager._publisher._firewall
        assert firewall is not None
        firewall.remove()
        web = lab.run(ports=(PortRequest(80, first=8080, last=8080),))
        server = lab.server(web, 80)
        assert reaches(server, "127.0.0.1", 8080) == "172.17.0.1"
        firewall.remove()
        lab.manager.disconnect(web.endpoints[0].id, pid=web.pid)
        assert refused("127.0.0.1", 8080)

    lab(body)
