"""Ports in the API's forms: `80/tcp`, and ranges of host ports `8000-8010`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.errors import InvalidParameter
from lading.network.model import Protocol

if TYPE_CHECKING:
    from lading.engine.model import PortMap

_PROTOCOLS: dict[str, Protocol] = {"tcp": "tcp", "udp": "udp", "sctp": "sctp"}


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """A container's port, `number` 1 to 65535."""

    number: int
    protocol: Protocol

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"


def parse_port(text: str) -> Port:
    """Read `80/tcp` or `80`; raises InvalidParameter `invalid port specification: "80"`."""
    number, slash, protocol = text.partition("/")
    known = _PROTOCOLS.get(protocol.lower() if slash else "tcp")
    if known is None or not (number.isdecimal() and 0 < int(number) <= 65535):
        shown = text if known is None else number
        raise InvalidParameter(f'invalid port specification: "{shown}"')
    return Port(int(number), known)


def parse_host_ports(text: str) -> range:
    """Read a host port or a range of them; empty or 0 gives an empty range: any port will do.

    Raises InvalidParameter `invalid port specification: "x"`.
    """
    first, dash, last = text.partition("-")
    numbers = [first, last] if dash else [first]
    if text in ("", "0"):
        return range(0)
    if not all(n.isdecimal() and int(n) <= 65535 for n in numbers) or (
        int(numbers[-1]) < int(first)
    ):
        raise InvalidParameter(f'invalid port specification: "{text}"')
    return range(int(first), int(numbers[-1]) + 1)


def check_bindings(bindings: PortMap | None) -> None:
    """Check every port and binding of a PortMap; raises InvalidParameter."""
    for port, wanted in (bindings or {}).items():
        parse_port(port)
        for binding in wanted or ():
            parse_host_ports(binding.host_port)
