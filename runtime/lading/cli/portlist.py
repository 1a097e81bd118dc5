"""A container's ports in one cell of a table: neighbours are joined to ranges."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def join_host_port(host: str, port: object) -> str:
    """Join an address and a port; an IPv6 address gets brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Range:
    def __init__(self, address: str, protocol: str, first: int) -> None:
        self.address = address
        self.protocol = protocol
        self.first = self.last = first

    def __str__(self) -> str:
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        if self.address:
            ports = f"{join_host_port(self.address, ports)}->{ports}"
        return f"{ports}/{self.protocol}"


def show_ports(ports: list[dict[str, Any]]) -> str:
    """Write ports as `0.0.0.0:8080->80/tcp, 443/tcp`.

    Ports that are published at the same number, or not at all, come first and in ranges.
    """
    finished: list[_Range] = []
    growing: dict[tuple[str, str], _Range] = {}
    mapped: list[str] = []
    for port in sorted(ports, key=_order):
        inside, outside = port["PrivatePort"], port.get("PublicPort", 0)
        address, protocol = port.get("IP", ""), port.get("Type", "")
        if address and outside != inside:
            mapped.append(f"{join_host_port(address, outside)}->{inside}/{protocol}")
            continue
        key = (address, protocol)
        run = growing.get(key)
        if run and inside == run.last + 1:
            run.last = inside
            continue
        if run:
            finished.append(run)
        growing[key] = _Range(address, protocol, inside)
    return ", ".join([str(run) for run in (*finished, *growing.values())] + mapped)


def _order(port: dict[str, Any]) -> tuple[int, str, int, str]:
    return (
        port["PrivatePort"],
        port.get("IP", ""),
        port.get("PublicPort", 0),
        port.get("Type", ""),
    )
