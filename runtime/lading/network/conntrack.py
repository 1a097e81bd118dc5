"""Connections that the packet filter remembers: UDP has no end, so a redirection outlives its port.

Without this a client that goes on sending would reach the address of a container that is gone.
Source: linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable
from typing import Any

from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple, nfct_msg

from lading.kernel.errors import KernelError
from lading.network.netlink import Netlink, Request, encoded

_NETLINK_NETFILTER = 12
_GET, _DELETE = 0x101, 0x102  # subsystem 1, ctnetlink


def forget_udp(ports: Iterable[int]) -> None:
    """Forget every UDP flow that was sent to one of *ports* at first. Raises KernelError."""
    with Netlink(_NETLINK_NETFILTER) as filter_:
        for port in ports:
            for family in (socket.AF_INET, socket.AF_INET6):
                for request in _deletions(filter_, family, port):
                    _do(filter_, request)


def _deletions(filter_: Netlink, family: int, port: int) -> list[Request]:
    """Give a deletion for each flow; before Linux 5.8 the kernel tells of all, not just these."""
    wanted = NFCTAttrTuple(family=family, proto=socket.IPPROTO_UDP, dport=port)
    wanted.attrs()  # sets the flags
    by_port = {"attrs": [["CTA_FILTER_ORIG_FLAGS", wanted.flags]]}
    question = nfct_msg.create_from(tuple_orig=wanted, cta_filter=by_port)
    question["nfgen_family"] = family
    found = []
    for entry in filter_.dump(question, _GET):
        flow = entry.get_attr("CTA_TUPLE_ORIG")
        protocol = flow.get_attr("CTA_TUPLE_PROTO")
        numbers = [protocol.get_attr(f"CTA_PROTO_{name}") for name in ("NUM", "DST_PORT")]
        if numbers == [socket.IPPROTO_UDP, port]:
            found.append(_deletion(family, flow, port))
    return found


def _deletion(family: int, flow: Any, port: int) -> Request:
    original = NFCTAttrTuple.from_netlink(family, flow)
    message = nfct_msg.create_from(tuple_orig=original)
    message["nfgen_family"] = family
    return encoded(message, _DELETE, "forget the UDP flows to port", str(port))


def _do(filter_: Netlink, request: Request) -> None:
    """Delete one flow; it may have ended meanwhile."""
    try:
        filter_.do(request)
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise
