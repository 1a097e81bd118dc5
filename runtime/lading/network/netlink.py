"""Route netlink: pyroute2's messages, several of them in one datagram to the kernel.

pyroute2's own IPRoute runs an event loop for each request, 0.6 ms each; connecting a container
takes five requests, so the messages are encoded by pyroute2 and sent here, 0.1 ms each.
Source: rtnetlink(7), netlink(7).
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from lading.kernel.errors import Attempt, KernelError
from lading.kernel.namespaces import Namespace, setns

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
    """A request that pyroute2 encoded once, and of which only bytes of fixed length change.

    Encoding takes a quarter of a millisecond for each message, filling in a hundredth. *holes* are
    the bytes that stand for each value in *request*; they must be found there.
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


def link(
    kind: int, what: str, target: str, flags: int, fields: dict[str, int], attributes: list[Any]
) -> Request:
    """Build a request on an interface (RTM_NEWLINK, RTM_DELLINK)."""
    return _request(ifinfmsg(), kind, what, target, flags, fields, attributes)


def address(
    what: str, target: str, flags: int, fields: dict[str, int], attributes: list[Any]
) -> Request:
    """Build a request to add an address."""
    return _request(ifaddrmsg(), NEWADDR, what, target, flags, fields, attributes)


def route(
    kind: int, what: str, target: str, flags: int, fields: dict[str, int], attributes: list[Any]
) -> Request:
    """Build a request on a route (RTM_NEWROUTE)."""
    return _request(rtmsg(), kind, what, target, flags, fields, attributes)


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
        for message in self._list(rtmsg, GETROUTE, family):
            destination = message.get_attr("RTA_DST")
            if destination and message.get_attr("RTA_TABLE") == _MAIN_TABLE:
                index = message.get_attr("RTA_OIF") or 0
                found.append((f"{destination}/{message['dst_len']}", int(index)))
        return found

    def ports(self) -> list[tuple[str, str]]:
        """Give the interfaces that are ports of a bridge, each with the bridge's name."""
        found = [
            (message["index"], message.get_attr("IFLA_IFNAME"), message.get_attr("IFLA_MASTER"))
            for message in self._list(ifinfmsg, GETLINK, socket.AF_UNSPEC)
        ]
        names = {index: name for index, name, _ in found}
        return [(name, names.get(master, "")) for _, name, master in found if master]

    def addresses(self, index: int) -> list[str]:
        """Give the addresses of an interface, each as "10.0.0.1/24"."""
        found = []
        for message in self._list(ifaddrmsg, GETADDR, socket.AF_UNSPEC):
            text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            if message["index"] == index and text:
                found.append(f"{text}/{message['prefixlen']}")
        return found

    def _list(self, kind: type[Any], request: int, family: int) -> Iterator[Any]:
        message = kind()
        message["family"] = family
        return self.dump(message, request)

    def dump(self, message: Any, request: int) -> Iterator[Any]:
        """Ask for a list by *message*, one of pyroute2's; give the answers, of the same type."""
        kind = type(message)
        message["header"]["type"] = request
        message["header"]["flags"] = _REQUEST | _DUMP
        message.encode()
        self._socket.send(bytes(message.data))
        while True:
            data = self._socket.recv(_BUFFER)
            for offset, (answer, _, payload) in _offsets(data):
                if answer == _DONE:
                    return
                if answer == _ERROR:
                    code = -struct.unpack_from("=i", payload)[0]
                    raise KernelError(code, "list by netlink request", request)
                length = _HEADER.unpack_from(data, offset)[0]
                decoded = kind(data[offset : offset + length])
                decoded.decode()
                yield decoded


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


def encoded(message: Any, kind: int, what: str, target: str, flags: int = 0) -> Request:
    """Make a request of *message*, one of pyroute2's, that the kernel is to acknowledge."""
    message["header"]["type"] = kind
    message["header"]["flags"] = _REQUEST | _ACK | flags
    message.encode()
    return Request(what, target, bytearray(message.data))


def _request(
    message: Any,
    kind: int,
    what: str,
    target: str,
    flags: int,
    fields: dict[str, int],
    attributes: Sequence[Any],
) -> Request:
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = attributes
    return encoded(message, kind, what, target, flags)


def _offsets(data: bytes) -> Iterator[tuple[int, tuple[int, int, bytes]]]:
    """Split a datagram: (offset, (type, sequence number, payload)) of each message."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, number, _ = _HEADER.unpack_from(data, offset)
        yield offset, (kind, number, data[offset + _HEADER.size : offset + length])
        offset += (length + 3) & ~3


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    for _, message in _offsets(data):
        yield message
