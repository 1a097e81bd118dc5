"""Netlink sockets: requests, several of them in one datagram to the kernel, and lists.

Source: rtnetlink(7), netlink(7).
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from typing import NamedTuple

from lading.kernel.errors import Attempt, KernelError
from lading.kernel.namespaces import Namespace, setns
from lading.network import messages
from lading.network.messages import Address, Head, Link, Message, Route

NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, GETADDR, NEWROUTE, GETROUTE = 20, 22, 24, 26
_REQUEST, _ACK, _REPLACE, _EXCLUSIVE, _CREATE, _DUMP = 0x1, 0x4, 0x100, 0x200, 0x400, 0x300
_ERROR, _DONE = 2, 3
_MAIN_TABLE = 254
_HEADER = struct.Struct("=IHHII")
_BUFFER = 1 << 16

CREATE = _CREATE | _EXCLUSIVE
"""Make it; fail with EEXIST if it is there."""

REPLACE = _CREATE | _REPLACE
"""Make it, in place of an earlier one."""


class Request(NamedTuple):
    """One encoded request; `what` and `target` name it in errors ("add address", "10.0.0.2")."""

    what: str
    target: str
    data: bytearray


class Template:
    """A request that was encoded once, and of which only bytes of fixed length change.

    *holes* are the bytes that stand for each value in *request*; they must be found there.
    """

    def __init__(self, request: Request, holes: Mapping[str, bytes]) -> None:
        self._what = request.what
        self._data = bytes(request.data)
        self._holes = {
            name: [found.start() for found in re.finditer(re.escape(hole), self._data)]
            for name, hole in holes.items()
        }
        missing = [name for name, places in self._holes.items() if not places]
        if missing:
            raise ValueError(f"no place for {', '.join(missing)} in: {request.what}")

    def fill(self, target: str, **values: bytes) -> Request:
        """Give the request with *values*, each as long as what stood for it, in place."""
        data = bytearray(self._data)
        for name, value in values.items():
            for place in self._holes[name]:
                data[place : place + len(value)] = value
        return Request(self._what, target, data)


def request(kind: int, what: str, target: str, flags: int, body: bytes) -> Request:
    """Make a request that the kernel is to acknowledge; *body* is its head and attributes."""
    header = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | _ACK | flags, 0, 0)
    return Request(what, target, bytearray(header + body))


class Netlink:
    """A netlink socket in the network namespace that the calling thread is in."""

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        with Attempt("open a netlink socket"):
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol
            )
            self._socket.bind((0, 0))

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def do(self, *requests: Request) -> None:
        """Send *requests* at once; the kernel does them in order, all even if one fails.

        Raises KernelError for the first that failed.
        """
        for number, request in enumerate(requests):
            struct.pack_into("=I", request.data, 8, number)
        self._socket.send(b"".join(request.data for request in requests))
        failed: KernelError | None = None
        answered = 0
        while answered < len(requests):
            for kind, number, payload in _messages(self._socket.recv(_BUFFER)):
                if kind != _ERROR:
                    continue
                answered += 1
                code = -struct.unpack_from("=i", payload)[0]
                if code and failed is None and number < len(requests):
                    failed = KernelError(code, requests[number].what, requests[number].target)
        if failed is not None:
            raise failed

    def routes(self, family: int) -> list[tuple[str, int]]:
        """Give the main table's routes, but the default: (destination as CIDR, interface index)."""
        found = []
        for route in self._list(messages.ROUTE, GETROUTE, family):
            destination = route.attributes.get(Route.DESTINATION)
            table = messages.number_in(route.attributes.get(Route.TABLE))
            if destination and table == _MAIN_TABLE:
                index = messages.number_in(route.attributes.get(Route.INTERFACE))
                found.append((f"{ip_address(destination)}/{route.fields['dst_len']}", index))
        return found

    def ports(self) -> list[tuple[str, str]]:
        """Give the interfaces that are ports of a bridge, each with the bridge's name."""
        links = list(self._list(messages.LINK, GETLINK, socket.AF_UNSPEC))
        names = {
            link.fields["index"]: messages.text_in(link.attributes.get(Link.NAME, b""))
            for link in links
        }
        masters = {
            link.fields["index"]: messages.number_in(link.attributes.get(Link.MASTER))
            for link in links
        }
        return [
            (names[index], names.get(master, "")) for index, master in masters.items() if master
        ]

    def addresses(self, index: int) -> list[str]:
        """Give the addresses of an interface, each as "10.0.0.1/24"."""
        found = []
        for address in self._list(messages.ADDRESS, GETADDR, socket.AF_UNSPEC):
            given = address.attributes
            packed = given.get(Address.LOCAL) or given.get(Address.ADDRESS)
            if address.fields["index"] == index and packed:
                found.append(f"{ip_address(packed)}/{address.fields['prefixlen']}")
        return found

    def _list(self, head: Head, kind: int, family: int) -> Iterator[Message]:
        return self.dump(head, kind, head.encode(family=family))

    def dump(self, head: Head, kind: int, body: bytes) -> Iterator[Message]:
        """Ask for a list; give the answers, whose heads have the shape of the question's."""
        length = _HEADER.size + len(body)
        self._socket.send(_HEADER.pack(length, kind, _REQUEST | _DUMP, 0, 0) + body)
        while True:
            for answer, _, payload in _messages(self._socket.recv(_BUFFER)):
                if answer == _DONE:
                    return
                if answer == _ERROR:
                    code = -struct.unpack_from("=i", payload)[0]
                    raise KernelError(code, "list by netlink request", kind)
                yield head.decode(payload)


@contextmanager
def inside(namespace: int) -> Iterator[None]:
    """Have the calling thread in the network namespace behind a descriptor for a while."""
    path = "/proc/thread-self/ns/net"
    with Attempt("open namespace", path):
        home = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(namespace, Namespace.NETWORK)
        try:
            yield
        finally:
            setns(home, Namespace.NETWORK)
    finally:
        os.close(home)


@contextmanager
def namespace_of(pid: int) -> Iterator[int]:
    """Open the network namespace of process *pid*."""
    path = f"/proc/{pid}/ns/net"
    with Attempt("open namespace", path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Split a datagram: type, sequence number and payload of each message."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, number, _ = _HEADER.unpack_from(data, offset)
        yield kind, number, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3
