"""Addresses: subnets for networks out of pools, and addresses for endpoints out of subnets."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from lading.errors import Forbidden, InvalidParameter, LadingError
from lading.network.model import Pool

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network

DEFAULT_POOLS: tuple[tuple[str, int], ...] = (
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
)
"""Docker's default address pools: a CIDR, and the prefix length of the subnets taken from it."""

IN_USE = "Address already in use"


def choose_subnet(
    pools: Iterable[tuple[str, int]], version: int, taken: Collection[Subnet]
) -> Subnet:
    """Give the first subnet of *version* in *pools* that overlaps nothing in *taken*.

    Raises LadingError when none is left.
    """
    for text, prefix in pools:
        pool = ip_network(text)
        if pool.version != version:
            continue
        for subnet in _subnets(pool, prefix):
            if not any(overlaps(subnet, other) for other in taken):
                return subnet
    raise LadingError("all predefined address pools have been fully subnetted")


def overlaps(one: Subnet, other: Subnet) -> bool:
    """Tell whether two subnets share addresses; those of different families never do."""
    if isinstance(one, IPv4Network) and isinstance(other, IPv4Network):
        return one.overlaps(other)
    if isinstance(one, IPv6Network) and isinstance(other, IPv6Network):
        return one.overlaps(other)
    return False


def check_pool(pool: Pool) -> None:
    """Check a subnet that a user gave. Raises InvalidParameter in Docker's words."""
    subnet = _subnet_of(pool.subnet)
    if pool.ip_range:
        _check_range(pool.ip_range, pool.subnet, subnet)
    named = [("gateway", pool.gateway)] if pool.gateway else []
    named += [(f"auxiliary address {name}", value) for name, value in pool.reserved.items()]
    for what, text in named:
        shown = f"invalid {what}" if what != "gateway" else f"invalid gateway {text}"
        try:
            address = ip_address(text)
        except ValueError:
            raise _invalid(f"{shown}: invalid address") from None
        if address not in subnet:
            reason = f"parent subnet {pool.subnet} doesn't contain this address"
            raise _invalid(f"{shown}: {reason}")


def with_gateway(pool: Pool) -> Pool:
    """Give *pool* the first free address as its gateway, unless it has one already."""
    reserved = set(pool.reserved.values())
    gateway = pool.gateway or str(next(iter(_candidates(pool, reserved)), ""))
    for name, text in pool.reserved.items():
        if text == gateway:
            raise LadingError(f"failed to allocate secondary ip address ({name}:{text}): {IN_USE}")
    return Pool(pool.subnet, gateway, pool.ip_range, pool.reserved)


def allocate(pool: Pool, used: Collection[str], wanted: str = "") -> str:
    """Give an address: *wanted*, or the lowest that is free, as Docker does.

    Raises Forbidden when *wanted* is taken, LadingError when all are.
    """
    unavailable = {*used, pool.gateway, *pool.reserved.values()}
    if wanted:
        address = ip_address(wanted)
        if str(address) in unavailable or address in _ends(ip_network(pool.subnet)):
            raise Forbidden(IN_USE)
        return str(address)
    for candidate in _candidates(pool, unavailable):
        return str(candidate)
    raise LadingError(f"no available addresses in the network's subnet {pool.subnet}")


def _candidates(pool: Pool, unavailable: Collection[str]) -> Iterator[Address]:
    """Give the addresses that may be handed out, lowest first."""
    subnet = ip_network(pool.subnet)
    region = ip_network(pool.ip_range) if pool.ip_range else subnet
    ends = _ends(subnet)
    for number in range(region.num_addresses):
        address: Address = region[number]
        if address not in ends and str(address) not in unavailable:
            yield address


def _ends(subnet: Subnet) -> tuple[Address, ...]:
    """Give the addresses that no host has: the network's own, and IPv4's broadcast."""
    if subnet.num_addresses <= 2:
        return ()
    if isinstance(subnet, IPv4Network):
        return (subnet.network_address, subnet.broadcast_address)
    return (subnet.network_address,)


def _subnets(pool: Subnet, prefix: int) -> Iterator[Subnet]:
    if prefix <= pool.prefixlen:
        yield pool
    else:
        yield from pool.subnets(new_prefix=prefix)


def _subnet_of(text: str) -> Subnet:
    try:
        subnet = ip_network(text, strict=False)
    except ValueError:
        subnet = None
    if subnet is None or "/" not in text:
        raise _invalid(f"invalid subnet {text}: invalid CIDR block notation")
    if str(subnet) != text:
        raise _invalid(f"invalid subnet {text}: it should be {subnet}")
    return subnet


def _check_range(text: str, parent: str, subnet: Subnet) -> None:
    try:
        region = ip_network(text, strict=False)
    except ValueError:
        raise _invalid(f"invalid ip-range {text}: invalid CIDR block notation") from None
    if region.version == subnet.version and region.prefixlen < subnet.prefixlen:
        reason = f"CIDR block is bigger than its parent subnet {parent}"
        raise _invalid(f"invalid ip-range {text}: {reason}")
    if region.network_address not in subnet:
        reason = f"parent subnet {parent} doesn't contain ip-range"
        raise _invalid(f"invalid ip-range {text}: {reason}")
    if str(region) != text:
        raise _invalid(f"invalid ip-range {text}: it should be {region}")


def _invalid(what: str) -> InvalidParameter:
    return InvalidParameter(f"invalid network config:\n{what}")
