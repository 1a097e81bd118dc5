"""What netlink messages are made of: a head of fixed shape for each family, then attributes.

Only what this package says and reads is here: pyroute2, which knows all of it, takes eight
megabytes and a tenth of a second.
Sources: rtnetlink(7), linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h, linux/veth.h,
linux/netfilter/nfnetlink_conntrack.h.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

_ATTRIBUTE = struct.Struct("=HH")
_WORD = struct.Struct("=I")
_TYPE_BITS = 0x3FFF
_NESTED = 0x8000


@dataclass(frozen=True, slots=True)
class Head:
    """The shape of a message's head: struct's format, and the names of its fields in order."""

    shape: struct.Struct
    fields: tuple[str, ...]

    def encode(self, **values: int) -> bytes:
        """Give the head with *values*; the other fields are 0."""
        unknown = values.keys() - set(self.fields)
        if unknown:
            raise ValueError(f"no field {', '.join(unknown)} among {', '.join(self.fields)}")
        return self.shape.pack(*(values.get(name, 0) for name in self.fields))

    def decode(self, payload: bytes) -> Message:
        """Take a message apart."""
        fields = dict(zip(self.fields, self.shape.unpack_from(payload), strict=True))
        return Message(fields, attributes(payload[self.shape.size :]))


class Message(NamedTuple):
    """A message of the kernel's: the head's fields, and attributes by their numbers."""

    fields: dict[str, int]
    attributes: dict[int, bytes]


LINK = Head(struct.Struct("=BxHiII"), ("family", "type", "index", "flags", "change"))
ADDRESS = Head(struct.Struct("=BBBBI"), ("family", "prefixlen", "flags", "scope", "index"))
ROUTE = Head(
    struct.Struct("=BBBBBBBBI"),
    ("family", "dst_len", "src_len", "tos", "table", "protocol", "scope", "type", "flags"),
)
FILTER = Head(struct.Struct("=BBH"), ("family", "version", "resource"))
"""struct nfgenmsg, of everything about netfilter."""


class Link(IntEnum):
    """Attributes of interfaces, IFLA_…."""

    ADDRESS = 1
    NAME = 3
    MTU = 4
    MASTER = 10
    INFO = 18
    NAMESPACE_FD = 28


class LinkInfo(IntEnum):
    """What is in `Link.INFO`, IFLA_INFO_…; a bridge's port is the bridge's slave."""

    KIND = 1
    DATA = 2
    SLAVE_KIND = 4
    SLAVE_DATA = 5


VETH_PEER = 1
"""VETH_INFO_PEER, in the data of a veth pair: a head and attributes of the other end."""


class BridgePort(IntEnum):
    """What is in the data of a bridge's port, IFLA_BRPORT_…."""

    HAIRPIN = 4
    ISOLATED = 33


class Address(IntEnum):
    """Attributes of addresses, IFA_…."""

    ADDRESS = 1
    LOCAL = 2
    BROADCAST = 4


class Route(IntEnum):
    """Attributes of routes, RTA_…."""

    DESTINATION = 1
    INTERFACE = 4
    GATEWAY = 5
    TABLE = 15


class Flow(IntEnum):
    """Attributes of the flows that netfilter remembers, CTA_…."""

    ORIGINAL = 1
    FILTER = 25


def raw(number: int, payload: bytes) -> bytes:
    """Encode an attribute, filled up to a multiple of four bytes."""
    length = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(length, number) + payload + bytes(-length % 4)


def word(number: int, value: int) -> bytes:
    """Encode an attribute that is a number of 32 bits."""
    return raw(number, _WORD.pack(value))


def flag(number: int, value: bool) -> bytes:
    """Encode an attribute that is a byte, 0 or 1."""
    return raw(number, bytes([value]))


def text(number: int, value: str) -> bytes:
    """Encode an attribute that is a string, with the NUL at its end."""
    return raw(number, value.encode() + b"\0")


def nested(number: int, *inside: bytes) -> bytes:
    """Encode an attribute that is made of others."""
    return raw(number | _NESTED, b"".join(inside))


def attributes(data: bytes) -> dict[int, bytes]:
    """Take attributes apart: the payload of each by its number."""
    found: dict[int, bytes] = {}
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, number = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found[number & _TYPE_BITS] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found


def number_in(payload: bytes | None) -> int:
    """Read a number of 32 bits; 0 for an attribute that is not there."""
    return 0 if payload is None else int(_WORD.unpack(payload)[0])


def text_in(payload: bytes) -> str:
    """Read a string."""
    return payload.rstrip(b"\0").decode(errors="surrogateescape")
