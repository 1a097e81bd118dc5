"""Interfaces: bridges on the host, veth pairs into containers, addresses and routes."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from typing import Any, NamedTuple

from lading.kernel.errors import KernelError
from lading.kernel.pseudofiles import write_value
from lading.network import netlink
from lading.network.netlink import Netlink, Request, Template

_UP = 1
_LOOPBACK = 1  # the index of lo in every network namespace
_NO_DUPLICATE_DETECTION = 0x2  # IFA_F_NODAD: usable at once
_MAIN_TABLE, _BOOT, _UNIVERSE, _UNICAST = 254, 3, 0, 1

Interface = IPv4Interface | IPv6Interface

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_WORD = struct.Struct("=I")
_ANY_WORD = b"\x7a\x5c\x3e\x71"  # this and the next four stand for values in templates
_ANY_MAC = b"\x06\x5e\x41\x3d\x2c\x1b"
_ANY_BROADCAST = ip_address("233.252.0.91")
_ANY_ADDRESS = {4: ip_address("203.0.113.251"), 6: ip_address("2001:db8:5e41:3d2c::1b5f")}


class Addresses(NamedTuple):
    """What a container's interface gets: addresses with prefix, and gateways, "" for none."""

    ipv4: str = ""
    ipv4_gateway: str = ""
    ipv6: str = ""
    ipv6_gateway: str = ""


def index_of(name: str) -> int:
    """Give the index of an interface in the current namespace, 0 if there is none."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def random_mac() -> str:
    """Make a MAC address: locally administered, for one station."""
    raw = bytearray(os.urandom(6))
    raw[0] = raw[0] & 0xFC | 0x02
    return raw.hex(":")


def mac_of(ipv4_address: str) -> str:
    """Make the MAC address that goes with an IPv4 address; a random one where there is none.

    An address is given to the next container at once, and neighbours go on sending to the MAC
    that they know for it: with another one it could not be reached for seconds.
    """
    if not ipv4_address:
        return random_mac()
    return (b"\x02\x42" + socket.inet_aton(ipv4_address)).hex(":")


def ensure_bridge(route: Netlink, name: str, addresses: list[str], mtu: int) -> int:
    """Make the bridge *name* unless it is there, with *addresses*, up; give its index.

    Its MAC address is set: otherwise it would change with the ports, and neighbours with it.
    """
    index = index_of(name)
    if not index:
        attributes: list[Any] = [
            ("IFLA_IFNAME", name),
            ("IFLA_ADDRESS", random_mac()),
            ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge")]}),
        ]
        if mtu:
            attributes.append(("IFLA_MTU", mtu))
        make = netlink.link(netlink.NEWLINK, "make bridge", name, netlink.CREATE, {}, attributes)
        route.do(make)
        index = index_of(name)
    have = set(route.addresses(index))
    requests = [_add_address(index, ip_interface(text)) for text in addresses if text not in have]
    up = netlink.link(
        netlink.NEWLINK, "bring up", name, 0, {"index": index, "flags": _UP, "change": _UP}, []
    )
    route.do(*requests, up)
    return index


def delete(route: Netlink, name: str) -> bool:
    """Remove an interface; False if there is none. The kernel takes some 20 ms for it."""
    request = netlink.link(
        netlink.DELLINK, "remove interface", name, 0, {}, [("IFLA_IFNAME", name)]
    )
    try:
        route.do(request)
    except KernelError as error:
        if error.errno == errno.ENODEV:
            return False
        raise
    return True


def make_veth(
    route: Netlink, name: str, bridge: int, peer: str, namespace: int, mac: str, mtu: int
) -> None:
    """Make a veth pair in one step: *name* on the bridge and up, *peer* in the other namespace."""
    template = _veth_template(len(name), bridge, peer, mtu)
    request = template.fill(
        name,
        name=name.encode(),
        mac=bytes.fromhex(mac.replace(":", "")),
        namespace=_WORD.pack(namespace),
    )
    route.do(request)


@cache
def _veth_template(length: int, bridge: int, peer: str, mtu: int) -> Template:
    name = "~" * length
    sizes = [("IFLA_MTU", mtu)] if mtu else []
    other = [
        ("IFLA_IFNAME", peer),
        ("IFLA_ADDRESS", _ANY_MAC.hex(":")),
        ("IFLA_NET_NS_FD", _WORD.unpack(_ANY_WORD)[0]),
        *sizes,
    ]
    data = {"attrs": [("VETH_INFO_PEER", {"attrs": other})]}
    kind = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]}
    attributes = [("IFLA_IFNAME", name), ("IFLA_MASTER", bridge), *sizes, ("IFLA_LINKINFO", kind)]
    fields = {"flags": _UP, "change": _UP}
    what = "make veth pair"
    request = netlink.link(netlink.NEWLINK, what, name, netlink.CREATE, fields, attributes)
    holes = {"name": name.encode(), "mac": _ANY_MAC, "namespace": _ANY_WORD}
    return Template(request, holes)


def set_port(route: Netlink, name: str, *, hairpin: bool, isolated: bool) -> None:
    """Set options of the bridge's port *name*.

    *hairpin* lets a packet go back to the port that it came from: a container that reaches itself
    by its published port needs it where the kernel shows bridged packets to the packet filter
    (the module br_netfilter is loaded). *isolated* keeps packets from other isolated ports.
    """
    template = _port_template(len(name), hairpin, isolated)
    route.do(template.fill(name, name=name.encode()))


@cache
def _port_template(length: int, hairpin: bool, isolated: bool) -> Template:
    name = "~" * length
    options = {"attrs": [("IFLA_BRPORT_MODE", hairpin), ("IFLA_BRPORT_ISOLATED", isolated)]}
    kind = {"attrs": [("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", options)]}
    attributes = [("IFLA_IFNAME", name), ("IFLA_LINKINFO", kind)]
    what = "set the bridge's port options of"
    request = netlink.link(netlink.NEWLINK, what, name, 0, {}, attributes)
    return Template(request, {"name": name.encode()})


def configure(namespace: int, name: str, given: Addresses) -> None:
    """Bring up `lo` and interface *name* in the namespace, with its addresses and gateways."""
    with netlink.inside(namespace), Netlink() as route:
        index = index_of(name)
        if not given.ipv6:
            _disable_ipv6(name)
        requests = [_bring_up(_LOOPBACK, "lo"), _bring_up(index, name)]
        requests += [
            _add_address(index, ip_interface(text)) for text in (given.ipv4, given.ipv6) if text
        ]
        requests += _gateway_requests(index, given)
        route.do(*requests)


def set_gateways(namespace: int, name: str, given: Addresses) -> None:
    """Make the gateways of *given* the default routes, through interface *name*."""
    with netlink.inside(namespace), Netlink() as route:
        requests = list(_gateway_requests(index_of(name), given))
        if requests:
            route.do(*requests)


def bring_up_loopback(namespace: int) -> None:
    """Bring up `lo` in the namespace."""
    with netlink.inside(namespace), Netlink() as route:
        route.do(_bring_up(_LOOPBACK, "lo"))


def set_sysctl(key: str, value: str) -> None:
    """Set a sysctl of the current network namespace ("net/ipv4/ip_forward")."""
    write_value(f"/proc/sys/{key}", value)


def get_sysctl(key: str) -> str:
    """Read a sysctl of the current network namespace; "" if there is none."""
    try:
        with open(f"/proc/sys/{key}", encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def _disable_ipv6(name: str) -> None:
    """Keep the kernel from giving *name* an address of its own; it may lack IPv6 altogether."""
    with suppress(KernelError):
        set_sysctl(f"net/ipv6/conf/{name}/disable_ipv6", "1")


def _bring_up(index: int, name: str) -> Request:
    return _bring_up_template().fill(name, index=_WORD.pack(index))


@cache
def _bring_up_template() -> Template:
    fields = {"index": _WORD.unpack(_ANY_WORD)[0], "flags": _UP, "change": _UP}
    request = netlink.link(netlink.NEWLINK, "bring up", "", 0, fields, [])
    return Template(request, {"index": _ANY_WORD})


def _add_address(index: int, interface: Interface) -> Request:
    template = _address_template(interface.version, interface.network.prefixlen)
    values = {"index": _WORD.pack(index), "address": interface.ip.packed}
    if interface.version == 4:
        values["broadcast"] = interface.network.broadcast_address.packed
    return template.fill(str(interface), **values)


@cache
def _address_template(version: int, prefix: int) -> Template:
    any_address = _ANY_ADDRESS[version]
    fields = {
        "family": _FAMILIES[version],
        "prefixlen": prefix,
        "index": _WORD.unpack(_ANY_WORD)[0],
    }
    attributes = [("IFA_ADDRESS", str(any_address)), ("IFA_LOCAL", str(any_address))]
    holes = {"index": _ANY_WORD, "address": any_address.packed}
    if version == 4:
        attributes.append(("IFA_BROADCAST", str(_ANY_BROADCAST)))
        holes["broadcast"] = _ANY_BROADCAST.packed
    else:
        fields["flags"] = _NO_DUPLICATE_DETECTION
    request = netlink.address("add address", "", netlink.CREATE, fields, attributes)
    return Template(request, holes)


def _gateway_requests(index: int, given: Addresses) -> Iterator[Request]:
    for gateway in (given.ipv4_gateway, given.ipv6_gateway):
        if gateway:
            address = ip_address(gateway)
            template = _gateway_template(address.version)
            yield template.fill(gateway, index=_WORD.pack(index), gateway=address.packed)


@cache
def _gateway_template(version: int) -> Template:
    any_address = _ANY_ADDRESS[version]
    fields = {
        "family": _FAMILIES[version],
        "table": _MAIN_TABLE,
        "proto": _BOOT,
        "scope": _UNIVERSE,
        "type": _UNICAST,
        "dst_len": 0,
    }
    out = _WORD.unpack(_ANY_WORD)[0]
    attributes = [("RTA_GATEWAY", str(any_address)), ("RTA_OIF", out)]
    what = "add default route via"
    request = netlink.route(netlink.NEWROUTE, what, "", netlink.REPLACE, fields, attributes)
    return Template(request, {"index": _ANY_WORD, "gateway": any_address.packed})
