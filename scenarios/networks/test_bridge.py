"""The default bridge: addresses, names, published ports; and the networks none, host, container."""

from __future__ import annotations

import ipaddress
from typing import Any

from docker.models.containers import Container

from scenarios.conftest import Observe
from scenarios.harness.facts import own_namespaces
from scenarios.harness.subject import Subject

_SERVE = "while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello\\n' | nc -l -p 80 >/dev/null; done"


def _serve(engine: Subject, **options: Any) -> Container:
    return engine.start("sh", "-c", _SERVE, **options)


def test_a_container_has_an_address_of_the_bridge_s(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper()
    network = engine.inspect(container)["NetworkSettings"]["Networks"]["bridge"]
    line = engine.exec(container, "ip", "-o", "-4", "addr", "show", "eth0").out
    assert f"{network['IPAddress']}/{network['IPPrefixLen']}" in line
    (config,) = engine.client.networks.get("bridge").attrs["IPAM"]["Config"]
    assert ipaddress.ip_address(network["IPAddress"]) in ipaddress.ip_network(config["Subnet"])
    assert network["Gateway"] == config["Gateway"]
    observe("mtu", engine.exec(container, "cat", "/sys/class/net/eth0/mtu").out)


def test_containers_reach_each_other(engine: Subject, observe: Observe) -> None:
    server = _serve(engine)
    address = engine.inspect(server)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    container = engine.sleeper()

    def answered() -> bool:
        return engine.exec(container, "wget", "-qO-", f"http://{address}/").out == "hello\n"

    engine.wait_until(answered, "the server's answer")
    observe("ping", engine.exec(container, "ping", "-c", "1", "-W", "5", address).code)


def test_a_published_port_answers_on_loopback(engine: Subject, observe: Observe) -> None:
    container = _serve(engine, ports={"80/tcp": ("127.0.0.1", 8080)})

    def answered() -> bool:
        return engine.in_network("curl", "-s", "-m", "5", "http://127.0.0.1:8080/").out == "hello\n"

    engine.wait_until(answered, "the server's answer")
    ports = engine.inspect(container)["NetworkSettings"]["Ports"]
    assert ports == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}
    observe("ports", ports)
    observe("port", engine.succeed("port", container.id))


def test_a_published_port_goes_with_its_container(engine: Subject, observe: Observe) -> None:
    container = _serve(engine, ports={"80/tcp": ("127.0.0.1", 8081)})
    container.remove(force=True)
    refused = engine.in_network("curl", "-s", "-m", "5", "http://127.0.0.1:8081/").code
    assert refused == 7
    observe("curl", refused)


def test_a_host_port_is_given_once(engine: Subject, observe: Observe) -> None:
    engine.sleeper(name="lading-test-first", ports={"80/tcp": ("127.0.0.1", 8082)})
    result = engine.cli(
        "run", "--name", "lading-test-second", "-p", "127.0.0.1:8082:80", "busybox", "true"
    )
    assert result.code == 125
    assert "port is already allocated" in result.err
    state = engine.client.containers.get("lading-test-second").attrs["State"]
    observe("state", {key: state[key] for key in ("Status", "ExitCode")})


def test_a_port_is_chosen_when_none_is_named(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(ports={"80/tcp": None})
    (binding, *_) = engine.inspect(container)["NetworkSettings"]["Ports"]["80/tcp"]
    assert 1024 < int(binding["HostPort"]) < 65536
    observe("address", binding["HostIp"])


def test_none_has_no_network(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(network_mode="none")
    assert engine.exec(container, "ip", "route").out == ""
    networks = engine.inspect(container)["NetworkSettings"]["Networks"]
    assert list(networks) == ["none"]
    observe("none", {key: networks["none"][key] for key in ("IPAddress", "Gateway", "MacAddress")})


def test_host_is_the_engine_s_network(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(network_mode="host")
    facts = engine.facts(container)
    names = engine.in_network("ls", "/proc/self/ns").lines
    assert "net" in names
    net = engine.in_network("readlink", "/proc/self/ns/net").out.strip()
    assert facts.namespaces()["net"] == net
    observe("networks", list(engine.inspect(container)["NetworkSettings"]["Networks"]))


def test_a_network_is_shared_with_a_container(engine: Subject, observe: Observe) -> None:
    first = engine.sleeper()
    second = engine.sleeper(network_mode=f"container:{first.id}")
    one, other = engine.facts(first).namespaces(), engine.facts(second).namespaces()
    assert one["net"] == other["net"] != own_namespaces()["net"]
    assert one["uts"] != other["uts"]
    assert engine.exec(second, "hostname").out.strip() == first.id[:12]
    observe("networks", list(engine.inspect(second)["NetworkSettings"]["Networks"]))


def test_the_files_of_the_network(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(
        hostname="me",
        extra_hosts={"other.test": "10.9.8.7"},
        dns=["10.1.2.3"],
        dns_search=["example.test"],
        dns_opt=["ndots:2"],
    )
    hosts = engine.exec(container, "cat", "/etc/hosts").out
    address = engine.inspect(container)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    assert f"{address}\tme" in hosts
    assert "10.9.8.7\tother.test" in hosts
    resolv = engine.exec(container, "cat", "/etc/resolv.conf").out.splitlines()
    settings = [line for line in resolv if line and not line.startswith("#")]
    assert settings == ["nameserver 10.1.2.3", "search example.test", "options ndots:2"]
    observe("hosts", hosts.replace(address, "<address>"))
    observe("hostname", engine.exec(container, "cat", "/etc/hostname").out)


def test_the_way_out(engine: Subject, observe: Observe) -> None:
    route = engine.in_network("ip", "-4", "route", "show", "default").out.split()
    gateway = route[route.index("via") + 1]
    container = engine.sleeper()
    result = engine.exec(container, "ping", "-c", "1", "-W", "5", gateway)
    assert result.code == 0, result.out
    observe("ping", result.code)
