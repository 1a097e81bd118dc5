from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import Forbidden, InvalidParameter, LadingError
from lading.network import ipam
from lading.network.model import Pool


def test_the_first_pool_that_is_free() -> None:
    taken = [ip_network("172.17.0.0/16"), ip_network("172.18.4.0/24"), ip_network("fd00::/8")]
    assert str(ipam.choose_subnet(ipam.DEFAULT_POOLS, 4, [])) == "172.17.0.0/16"
    assert str(ipam.choose_subnet(ipam.DEFAULT_POOLS, 4, taken)) == "172.19.0.0/16"
    private = [ip_network("172.16.0.0/12")]
    assert str(ipam.choose_subnet(ipam.DEFAULT_POOLS, 4, private)) == "192.168.0.0/20"
    assert str(ipam.choose_subnet([("fd01::/48", 64)], 6, [])) == "fd01::/64"


def test_no_pool_left() -> None:
    with pytest.raises(LadingError, match="all predefined address pools have been fully"):
        ipam.choose_subnet([("10.0.0.0/24", 25)], 4, [ip_network("10.0.0.0/8")])
    with pytest.raises(LadingError, match="all predefined"):
        ipam.choose_subnet(ipam.DEFAULT_POOLS, 6, [])


BIGGER = "CIDR block is bigger than its parent subnet 10.95.0.0/24"


@pytest.mark.parametrize(
    ("pool", "said"),
    [
        (Pool("10.97.0.5/24"), "invalid subnet 10.97.0.5/24: it should be 10.97.0.0/24"),
        (Pool("x"), "invalid subnet x: invalid CIDR block notation"),
        (Pool("10.0.0.0"), "invalid subnet 10.0.0.0: invalid CIDR block notation"),
        (
            Pool("10.95.0.0/24", "10.94.0.1"),
            "invalid gateway 10.94.0.1: parent subnet 10.95.0.0/24 doesn't contain this address",
        ),
        (Pool("10.95.0.0/24", "x"), "invalid gateway x: invalid address"),
        (
            Pool("10.95.0.0/24", ip_range="10.94.0.0/25"),
            "invalid ip-range 10.94.0.0/25: parent subnet 10.95.0.0/24 doesn't contain ip-range",
        ),
        (
            Pool("10.95.0.0/24", ip_range="10.95.0.0/16"),
            f"invalid ip-range 10.95.0.0/16: {BIGGER}",
        ),
        (
            Pool("10.95.0.0/24", reserved={"a": "10.94.0.1"}),
            "invalid auxiliary address a: parent subnet 10.95.0.0/24 doesn't contain this address",
        ),
        (
            Pool("10.95.0.0/24", ip_range="10.95.0.3/25"),
            "invalid ip-range 10.95.0.3/25: it should be 10.95.0.0/25",
        ),
    ],
)
def test_what_is_wrong_with_a_pool(pool: Pool, said: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        ipam.check_pool(pool)
    assert caught.value.message == f"invalid network config:\n{said}"


def test_gateways() -> None:
    assert ipam.with_gateway(Pool("10.0.0.0/24")).gateway == "10.0.0.1"
    assert ipam.with_gateway(Pool("10.0.0.0/24", "10.0.0.9")).gateway == "10.0.0.9"
    assert ipam.with_gateway(Pool("10.0.0.0/24", ip_range="10.0.0.128/25")).gateway == "10.0.0.128"
    assert ipam.with_gateway(Pool("fd01::/64")).gateway == "fd01::1"
    with pytest.raises(LadingError, match=r"secondary ip address \(a:10\.0\.0\.9\): Address"):
        ipam.with_gateway(Pool("10.0.0.0/24", "10.0.0.9", reserved={"a": "10.0.0.9"}))


def test_the_lowest_free_address_is_given() -> None:
    pool = Pool("10.0.0.0/29", "10.0.0.1", reserved={"a": "10.0.0.3"})
    given: list[str] = []
    while len(given) < 4:
        given.append(ipam.allocate(pool, given))
    assert given == ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
    with pytest.raises(LadingError, match="no available addresses"):
        ipam.allocate(pool, given)
    given.remove("10.0.0.4")
    assert ipam.allocate(pool, given) == "10.0.0.4"


@pytest.mark.parametrize("wanted", ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.7"])
def test_a_wanted_address_must_be_free(wanted: str) -> None:
    pool = Pool("10.0.0.0/29", "10.0.0.1")
    assert ipam.allocate(pool, [], "10.0.0.5") == "10.0.0.5"
    with pytest.raises(Forbidden, match="Address already in use"):
        ipam.allocate(pool, ["10.0.0.2"], wanted)


@given(st.integers(0, 2**32 - 1), st.integers(8, 29), st.integers(0, 5))
def test_addresses_are_inside_and_differ(base: int, prefix: int, count: int) -> None:
    subnet = ip_network((base >> (32 - prefix) << (32 - prefix), prefix))
    pool = ipam.with_gateway(Pool(str(subnet)))
    given: list[str] = []
    for _ in range(count):
        given.append(ipam.allocate(pool, given))
    everything = {*given, pool.gateway}
    assert len(everything) == count + 1
    assert all(ip_address(text) in subnet for text in everything)
    assert str(subnet.network_address) not in everything
    assert str(subnet.broadcast_address) not in everything
