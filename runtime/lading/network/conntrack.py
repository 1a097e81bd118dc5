"""Connections that the packet filter remembers: UDP has no end, so a redirection outlives its port.

Without this a client that goes on sending would reach the address of a container that is gone.
Source: linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator

from lading.kernel.errors import KernelError
from lading.network import messages, netlink
from lading.network.messages import FILTER, Flow
from lading.network.netlink import Netlink, Request

_NETLINK_NETFILTER = 12
_GET, _DELETE = 0x101, 0x102  # subsystem 1, ctnetlink
_PROTOCOL_PART = 2  # CTA_TUPLE_PROTO
_PROTOCOL, _DESTINATION_PORT = 1, 3  # CTA_PROTO_NUM, CTA_PROTO_DST_PORT
_ORIGINAL_FLAGS = 1  # CTA_FILTER_ORIG_FLAGS
_BY_PROTOCOL_AND_PORT = 1 << 3 | 1 << 5  # CTA_FILTER_FLAG(CTA_PROTO_NUM), …(CTA_PROTO_DST_PORT)


def forget_udp(ports: Iterable[int]) -> None:
    """Forget every UDP flow that was sent to one of *ports* at first. Raises KernelError."""
    with Netlink(_NETLINK_NETFILTER) as filter_:
        for port in ports:
            for family in (socket.AF_INET, socket.AF_INET6):
                for request in list(_deletions(filter_, family, port)):
                    _do(filter_, request)


def _deletions(filter_: Netlink, family: int, port: int) -> Iterator[Request]:
    """Give a deletion for each flow; before Linux 5.8 the kernel tells of all, not just these."""
    wanted = {_PROTOCOL: bytes([socket.IPPROTO_UDP]), _DESTINATION_PORT: struct.pack(">H", port)}
    protocol = b"".join(messages.raw(number, value) for number, value in wanted.items())
    question = FILTER.encode(family=family)
    question += messages.nested(Flow.ORIGINAL, messages.nested(_PROTOCOL_PART, protocol))
    question += messages.nested(Flow.FILTER, messages.word(_ORIGINAL_FLAGS, _BY_PROTOCOL_AND_PORT))
    for entry in filter_.dump(FILTER, _GET, question):
        flow = entry.attributes.get(Flow.ORIGINAL, b"")
        found = messages.attributes(messages.attributes(flow).get(_PROTOCOL_PART, b""))
        if all(found.get(number) == value for number, value in wanted.items()):
            body = FILTER.encode(family=family) + messages.nested(Flow.ORIGINAL, flow)
            yield netlink.request(_DELETE, "forget the UDP flows to port", str(port), 0, body)


def _do(filter_: Netlink, request: Request) -> None:
    """Delete one flow; it may have ended meanwhile."""
    try:
        filter_.do(request)
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise
