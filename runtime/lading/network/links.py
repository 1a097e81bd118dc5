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
from typing import NamedTuple

from lading.kernel.errors import KernelError
from lading.kernel.pseudofiles import write_value
from lading.network import messages, netlink
from lading.network.messages import ADDRESS, LINK, ROUTE, Address, BridgePort, Link, LinkInfo, Route
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
        body = LINK.encode() + messages.text(Link.NAME, name)
        body += messages.raw(Link.ADDRESS, _bytes_of(random_mac()))
        body += messages.nested(Link.INFO, messages.text(LinkInfo.KIND, "bridge")) + _size(mtu)
        route.do(netlink.request(netlink.NEWLINK, "make bridge", name, netlink.CREATE, body))
        index = index_of(name)
    have = set(route.addresses(index))
    requests = [_add_address(index, ip_interface(text)) for text in addresses if text not in have]
    route.do(*requests, _bring_up(index, name))
    return index


def delete(route: Netlink, name: str) -> bool:
    """Remove an interface; False if there is none. The kernel takes some 20 ms for it."""
    body = LINK.encode() + messages.text(Link.NAME, name)
    request = netlink.request(netlink.DELLINK, "remove interface", name, 0, body)
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
        mac=_bytes_of(mac),
        namespace=_WORD.pack(namespace),
    )
    route.do(request)


@cache
def _veth_template(length: int, bridge: int, peer: str, mtu: int) -> Template:
    name = "~" * length
    other = LINK.encode() + messages.text(Link.NAME, peer)
    other += messages.raw(Link.ADDRESS, _ANY_MAC) + messages.raw(Link.NAMESPACE_FD, _ANY_WORD)
    other += _size(mtu)
    pair = messages.nested(LinkInfo.DATA, messages.nested(messages.VETH_PEER, other))
    body = LINK.encode(flags=_UP, change=_UP) + messages.text(Link.NAME, name)
    body += messages.word(Link.MASTER, bridge) + _size(mtu)
    body += messages.nested(Link.INFO, messages.text(LinkInfo.KIND, "veth"), pair)
    request = netlink.request(netlink.NEWLINK, "make veth pair", name, netlink.CREATE, body)
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
    options = messages.flag(BridgePort.HAIRPIN, hairpin)
    options += messages.flag(BridgePort.ISOLATED, isolated)
    kind = messages.text(LinkInfo.SLAVE_KIND, "bridge")
    info = messages.nested(Link.INFO, kind, messages.nested(LinkInfo.SLAVE_DATA, options))
    body = LINK.encode() + messages.text(Link.NAME, name) + info
    what = "set the bridge's port options of"
    request = netlink.request(netlink.NEWLINK, what, name, 0, body)
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
    body = LINK.encode(index=_WORD.unpack(_ANY_WORD)[0], flags=_UP, change=_UP)
    request = netlink.request(netlink.NEWLINK, "bring up", "", 0, body)
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
    holes = {"index": _ANY_WORD, "address": any_address.packed}
    attributes = messages.raw(Address.ADDRESS, any_address.packed)
    attributes += messages.raw(Address.LOCAL, any_address.packed)
    if version == 4:
        attributes += messages.raw(Address.BROADCAST, _ANY_BROADCAST.packed)
        holes["broadcast"] = _ANY_BROADCAST.packed
    else:
        fields["flags"] = _NO_DUPLICATE_DETECTION
    body = ADDRESS.encode(**fields) + attributes
    request = netlink.request(netlink.NEWADDR, "add address", "", netlink.CREATE, body)
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
    body = ROUTE.encode(
        family=_FAMILIES[version],
        table=_MAIN_TABLE,
        protocol=_BOOT,
        scope=_UNIVERSE,
        type=_UNICAST,
    )
    body += messages.raw(Route.GATEWAY, any_address.packed)
    body += messages.raw(Route.INTERFACE, _ANY_WORD)
    what = "add default route via"
    request = netlink.request(netlink.NEWROUTE, what, "", netlink.REPLACE, body)
    return Template(request, {"index": _ANY_WORD, "gateway": any_address.packed})


def _size(mtu: int) -> bytes:
    """Encode the attribute for an MTU; none for 0."""
    return messages.word(Link.MTU, mtu) if mtu else b""


def _bytes_of(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
