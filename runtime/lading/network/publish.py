"""Host ports: chosen, and held by sockets so that nobody else takes them.

Packets are redirected by the firewall before they reach a socket. The sockets listen all the
same, as Docker's do: other programs see that the port is taken, and `Proxy` takes over what the
firewall cannot redirect (connections to an IPv6 address of a container that has IPv4 alone).
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Collection, Iterator
from ipaddress import ip_address

from lading.errors import InvalidParameter, LadingError
from lading.network.model import PortRequest, PublishedPort
from lading.network.proxy import Proxy

EVERYWHERE_4, EVERYWHERE_6 = "0.0.0.0", "::"
_KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_RANGE_FILE = "/proc/sys/net/ipv4/ip_local_port_range"
_BACKLOG = 128

Held = dict[PublishedPort, socket.socket | None]
"""Published ports and the sockets that hold them; None where the kernel has no such protocol."""


class Ports:
    """The host ports that one daemon has published."""

    def __init__(self) -> None:
        self._held: Held = {}
        self._next = 0
        self.proxy: Proxy | None = None

    def publish(self, requests: Collection[PortRequest], default_ip: str, target: str) -> Held:
        """Take host ports for *requests*, all or none; *default_ip* is where "" publishes.

        *target* is the container's address. Raises LadingError in Docker's words when a port is
        taken, InvalidParameter for an address that is none.
        """
        taken: Held = {}
        try:
            for request in requests:
                addresses = _addresses(request.host_ip or default_ip)
                taken.update(self._one(request, addresses, target))
        except BaseException:
            self.release(taken)
            raise
        return taken

    def retake(self, ports: Collection[PublishedPort], target: str) -> Held:
        """Take *ports* again after a restart; one that another program took is not held."""
        taken: Held = {}
        for port in ports:
            try:
                taken[port] = _bind(port.protocol, port.host_ip, port.host_port)
            except OSError:
                taken[port] = None
            self._serve(port, taken[port], target)
        self._held.update(taken)
        return taken

    def release(self, ports: Held) -> None:
        """Give host ports back."""
        for port, holder in ports.items():
            self._held.pop(port, None)
            if holder is None:
                continue
            if self.proxy is not None and port.protocol == "tcp":
                self.proxy.stop(holder)
            else:
                holder.close()

    def _serve(self, port: PublishedPort, holder: socket.socket | None, target: str) -> None:
        if self.proxy is not None and holder is not None and port.protocol == "tcp":
            self.proxy.serve(holder, (target, port.container_port))

    def _one(self, request: PortRequest, addresses: list[str], target: str) -> Held:
        first, last = request.first, request.last or request.first
        fixed = first == last != 0
        candidates = range(first, last + 1) if first else self._ephemeral()
        failure: LadingError | None = None
        for number in candidates:
            try:
                taken = self._at(request, addresses, number, target)
            except LadingError as error:
                if fixed:
                    raise
                failure = error
                continue
            if not first:
                self._next = number + 1
            return taken
        if failure is not None and first:
            raise failure
        raise LadingError("all ports are allocated")

    def _at(self, request: PortRequest, addresses: list[str], number: int, target: str) -> Held:
        """Take one host port at all *addresses*."""
        taken: Held = {}
        try:
            for address in addresses:
                port = PublishedPort(request.container_port, request.protocol, address, number)
                self._check_free(port)
                taken[port] = self._hold(port, target)
                self._held[port] = taken[port]
                self._serve(port, taken[port], target)
        except BaseException:
            self.release(taken)
            raise
        return taken

    def _hold(self, port: PublishedPort, target: str) -> socket.socket | None:
        try:
            return _bind(port.protocol, port.host_ip, port.host_port)
        except OSError as error:
            if error.errno in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT):
                return None
            inside = f"{_shown(target)}:{port.container_port}/{port.protocol}"
            where = f"{_shown(port.host_ip)}:{port.host_port}:{inside}"
            reason = os.strerror(error.errno or errno.EIO).lower()
            raise LadingError(f"failed to bind host port for {where}: {reason}") from error

    def _check_free(self, wanted: PublishedPort) -> None:
        """Raise LadingError when a container has the port; "everywhere" meets every address."""
        everywhere = EVERYWHERE_6 if ":" in wanted.host_ip else EVERYWHERE_4
        for port in self._held:
            same = port.host_port == wanted.host_port and port.protocol == wanted.protocol
            family = (":" in port.host_ip) == (":" in wanted.host_ip)
            meets = everywhere in (port.host_ip, wanted.host_ip) or port.host_ip == wanted.host_ip
            if same and family and meets:
                where = f"{_shown(wanted.host_ip)}:{wanted.host_port}"
                raise LadingError(f"Bind for {where} failed: port is already allocated")

    def _ephemeral(self) -> Iterator[int]:
        """Give ports for "any", in turn, so that one just given back is not given out at once."""
        with open(_RANGE_FILE, encoding="ascii") as file:
            low, high = (int(word) for word in file.read().split())
        start = self._next if low <= self._next <= high else low
        yield from range(start, high + 1)
        yield from range(low, start)


def has_ipv6() -> bool:
    """Tell whether this host's sockets can have IPv6 addresses."""
    try:
        with open("/proc/sys/net/ipv6/conf/lo/disable_ipv6", encoding="ascii") as file:
            return file.read().strip() == "0"
    except FileNotFoundError:
        return False


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _addresses(text: str) -> list[str]:
    if not text:
        return [EVERYWHERE_4, EVERYWHERE_6] if has_ipv6() else [EVERYWHERE_4]
    try:
        return [str(ip_address(text))]
    except ValueError:
        raise InvalidParameter(f"invalid IP address: {text}") from None


def _bind(protocol: str, address: str, number: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind, wire = _KINDS[protocol]
    holder = socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, wire)
    try:
        if family == socket.AF_INET6:
            holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((address, number))
        if kind == socket.SOCK_STREAM:
            holder.listen(_BACKLOG)
    except BaseException:
        holder.close()
        raise
    return holder
