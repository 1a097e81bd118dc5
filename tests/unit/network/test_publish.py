from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from lading.errors import InvalidParameter, LadingError
from lading.network import publish
from lading.network.model import PortRequest, PublishedPort
from lading.network.publish import Ports


@pytest.fixture
def ports() -> Iterator[Ports]:
    made = Ports()
    yield made
    made.release(dict(made._held))


@pytest.fixture
def free() -> int:
    """Give the first of three host ports that are free."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            first: int = probe.getsockname()[1]
        try:
            for number in range(first, first + 3):
                socket.create_server(("127.0.0.1", number)).close()
        except OSError:
            continue
        return first


def at(number: int, last: int = 0, ip: str = "127.0.0.1", protocol: str = "tcp") -> PortRequest:
    return PortRequest(80, protocol, ip, number, last or number)  # type: ignore[arg-type]


def test_a_port_is_held_until_released(ports: Ports, free: int) -> None:
    held = ports.publish([at(free)], "", "10.0.0.2")
    assert list(held) == [PublishedPort(80, "tcp", "127.0.0.1", free)]
    with pytest.raises(OSError, match="already in use"):
        socket.create_server(("127.0.0.1", free))
    ports.release(held)
    socket.create_server(("127.0.0.1", free)).close()


def test_what_another_container_has(ports: Ports, free: int) -> None:
    ports.publish([at(free)], "", "10.0.0.2")
    with pytest.raises(LadingError) as caught:
        ports.publish([at(free)], "", "10.0.0.3")
    said = f"Bind for 127.0.0.1:{free} failed: port is already allocated"
    assert caught.value.message == said
    with pytest.raises(LadingError, match=rf"Bind for 0\.0\.0\.0:{free} failed"):
        ports.publish([at(free, ip="0.0.0.0")], "", "10.0.0.3")
    ports.publish([at(free, protocol="udp")], "", "10.0.0.3")


def test_what_another_program_has(ports: Ports, free: int) -> None:
    with socket.create_server(("127.0.0.1", free)), pytest.raises(LadingError) as caught:
        ports.publish([at(free)], "", "10.0.0.2")
    where = f"127.0.0.1:{free}:10.0.0.2:80/tcp"
    assert caught.value.message == f"failed to bind host port for {where}: address already in use"
    ports.publish([at(free)], "", "10.0.0.2")


def test_all_or_none(ports: Ports, free: int) -> None:
    with pytest.raises(LadingError, match="cannot assign requested address"):
        ports.publish([at(free), at(free + 1, ip="192.0.2.200")], "", "10.0.0.2")
    socket.create_server(("127.0.0.1", free)).close()
    assert ports._held == {}


def test_the_first_free_of_a_range(ports: Ports, free: int) -> None:
    wanted = [at(free, free + 2)]
    numbers = [p.host_port for _ in range(3) for p in ports.publish(wanted, "", "10.0.0.2")]
    assert numbers == [free, free + 1, free + 2]
    with pytest.raises(LadingError, match="port is already allocated"):
        ports.publish(wanted, "", "10.0.0.2")


def test_any_port_goes_on_from_the_last(ports: Ports) -> None:
    first = ports.publish([PortRequest(80, host_ip="127.0.0.1")], "", "10.0.0.2")
    ports.release(first)
    second = ports.publish([PortRequest(80, host_ip="127.0.0.1")], "", "10.0.0.2")
    assert next(iter(second)).host_port > next(iter(first)).host_port


def test_everywhere_is_both_families_at_one_port(ports: Ports) -> None:
    held = ports.publish([PortRequest(80)], "", "10.0.0.2")
    addresses = ["0.0.0.0", "::"] if publish.has_ipv6() else ["0.0.0.0"]
    assert [port.host_ip for port in held] == addresses
    assert len({port.host_port for port in held}) == 1
    by_default = ports.publish([PortRequest(80)], "127.0.0.1", "10.0.0.2")
    assert [port.host_ip for port in by_default] == ["127.0.0.1"]


def test_bad_address(ports: Ports) -> None:
    with pytest.raises(InvalidParameter, match="invalid IP address: nowhere"):
        ports.publish([at(80, ip="nowhere")], "", "10.0.0.2")


def test_a_protocol_without_sockets_is_published_all_the_same(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(*arguments: object) -> socket.socket:
        raise OSError(errno.EPROTONOSUPPORT, "Protocol not supported")

    monkeypatch.setattr(publish, "_bind", without)
    held = ports.publish([at(5000, protocol="sctp")], "", "10.0.0.2")
    assert list(held.values()) == [None]


def test_taken_back_after_a_restart(ports: Ports, free: int) -> None:
    kept = [PublishedPort(80, "tcp", "127.0.0.1", free + number) for number in range(2)]
    with socket.create_server(("127.0.0.1", free)):
        held = ports.retake(kept, "10.0.0.2")
        assert held[kept[0]] is None
        assert held[kept[1]] is not None
    with pytest.raises(LadingError, match="already allocated"):
        ports.publish([at(free)], "", "10.0.0.2")
