"""The name server that containers of user-defined networks have at 127.0.0.11.

It listens inside each container's network namespace, at a port that the kernel chose; the packet
filter there brings what is sent to port 53 to it, so the container may use that port itself. The
work is done in the daemon's event loop.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from lading.errors import LadingError
from lading.network import forwarding, netlink
from lading.network.directory import Directory
from lading.network.hostsfile import INTERNAL_RESOLVER
from lading.network.nftables import Command, Nftables

_TABLE = "lading-names"
_TTL = 600  # seconds, as Docker's
_LARGEST = 65535
_PLAIN_UDP = 512  # bytes that a UDP answer has at most, if the asker does not say otherwise
_REVERSE = (".in-addr.arpa", ".ip6.arpa")


@dataclass(slots=True)
class _Listener:
    """The sockets in one container, and where its other questions go."""

    container_id: str
    upstream: tuple[str, ...]
    udp: socket.socket
    tcp: socket.socket
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class NameService:
    """Serves names in any number of containers; used in the thread of *loop*."""

    def __init__(self, loop: asyncio.AbstractEventLoop, directory: Directory) -> None:
        self._loop = loop
        self._directory = directory
        self._listeners: dict[str, _Listener] = {}

    def serve(self, container_id: str, pid: int, upstream: tuple[str, ...]) -> None:
        """Serve the container whose init is *pid*; *upstream* are servers for other names.

        Serving it already is fine. Raises OSError or LadingError, with nothing left open.
        """
        if container_id in self._listeners:
            return
        with netlink.namespace_of(pid) as namespace, netlink.inside(namespace):
            udp, tcp = _listen()
            try:
                _redirect(udp.getsockname()[1], tcp.getsockname()[1])
            except LadingError:
                udp.close()
                tcp.close()
                raise
        listener = _Listener(container_id, upstream, udp, tcp)
        self._listeners[container_id] = listener
        self._loop.add_reader(udp.fileno(), self._receive, listener)
        self._loop.add_reader(tcp.fileno(), self._accept, listener)

    def stop(self, container_id: str) -> None:
        """Stop serving a container; not serving it is fine."""
        listener = self._listeners.pop(container_id, None)
        if listener is None:
            return
        for task in listener.tasks:
            task.cancel()
        for server in (listener.udp, listener.tcp):
            if not self._loop.is_closed():
                self._loop.remove_reader(server.fileno())
            server.close()

    def stop_all(self) -> None:
        """Stop serving all containers."""
        for container_id in list(self._listeners):
            self.stop(container_id)

    def _receive(self, listener: _Listener) -> None:
        with suppress(OSError):
            question, asker = listener.udp.recvfrom(_LARGEST)
            self._start(listener, self._answer_udp(listener, question, asker))

    def _accept(self, listener: _Listener) -> None:
        with suppress(OSError):
            connection, _ = listener.tcp.accept()
            connection.setblocking(False)
            self._start(listener, self._answer_tcp(listener, connection))

    def _start(self, listener: _Listener, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        listener.tasks.add(task)
        task.add_done_callback(listener.tasks.discard)

    async def _answer_udp(self, listener: _Listener, question: bytes, asker: Any) -> None:
        answer = await self._answer(listener, question, tcp=False)
        if answer:
            with suppress(OSError):
                listener.udp.sendto(answer, asker)

    async def _answer_tcp(self, listener: _Listener, connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    length = int.from_bytes(await reader.readexactly(2))
                    question = await reader.readexactly(length)
                    answer = await self._answer(listener, question, tcp=True)
                    writer.write(len(answer).to_bytes(2) + answer)
                    await writer.drain()
        finally:
            writer.close()

    async def _answer(self, listener: _Listener, question: bytes, *, tcp: bool) -> bytes:
        """Answer from the directory, else from outside; b"" for what is no question at all."""
        from dnslib import DNSError, DNSRecord

        try:
            asked = DNSRecord.parse(question)
        except DNSError:
            return b""
        if asked.header.qr or len(asked.questions) != 1:
            return b""
        known = _from_directory(self._directory, listener.container_id, asked)
        if known is not None:
            return _packed(known, asked, tcp=tcp)
        if self._directory.has_way_out(listener.container_id):
            with suppress(OSError):
                return await forwarding.ask(question, listener.upstream, tcp=tcp)
        return _failure(asked)


def _listen() -> tuple[socket.socket, socket.socket]:
    """Open both sockets in the current namespace."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        for server in (udp, tcp):
            server.bind((INTERNAL_RESOLVER, 0))
        tcp.listen()
    except OSError:
        udp.close()
        tcp.close()
        raise
    return udp, tcp


def _redirect(udp_port: int, tcp_port: int) -> None:
    """Bring what is sent to port 53 of the name server to its real ports."""
    table = {"family": "ip", "table": _TABLE}
    commands: list[Command] = [
        {verb: {"table": {"family": "ip", "name": _TABLE}}} for verb in ("add", "delete", "add")
    ]
    hook = {"type": "nat", "hook": "output", "prio": -100, "policy": "accept"}
    commands.append({"add": {"chain": {**table, "name": "questions", **hook}}})
    for protocol, port in (("udp", udp_port), ("tcp", tcp_port)):
        destination = {"payload": {"protocol": "ip", "field": "daddr"}}
        service = {"payload": {"protocol": protocol, "field": "dport"}}
        expression = [
            {"match": {"op": "==", "left": destination, "right": INTERNAL_RESOLVER}},
            {"match": {"op": "==", "left": service, "right": forwarding.PORT}},
            {"dnat": {"addr": INTERNAL_RESOLVER, "port": port}},
        ]
        commands.append({"add": {"rule": {**table, "chain": "questions", "expr": expression}}})
    filter_ = Nftables()
    try:
        filter_.run(commands)
    finally:
        filter_.close()


def _from_directory(directory: Directory, container_id: str, asked: Any) -> Any | None:
    """Give the reply to a question about a container, or None for any other."""
    from dnslib import AAAA, PTR, QTYPE, RR, A

    name = str(asked.q.qname).rstrip(".")
    kind = QTYPE.get(asked.q.qtype)
    reply = asked.reply(aa=0)
    if kind == "PTR":
        address = _reversed(name)
        found = address and directory.name(container_id, address)
        if not found:
            return None
        reply.add_answer(RR(asked.q.qname, QTYPE.PTR, rdata=PTR(f"{found}."), ttl=_TTL))
        return reply
    addresses = directory.addresses(container_id, name, 6 if kind == "AAAA" else 4)
    if addresses is None:
        return None
    if kind in ("A", "AAAA"):
        record = A if kind == "A" else AAAA
        for address in random.sample(addresses, len(addresses)):  # spread over all that share it
            reply.add_answer(RR(asked.q.qname, asked.q.qtype, rdata=record(address), ttl=_TTL))
    return reply


def _reversed(name: str) -> str | None:
    """Give the address that a name of the reverse tree stands for."""
    lowered = name.lower()
    for suffix, separator in zip(_REVERSE, (".", ":"), strict=True):
        if not lowered.endswith(suffix):
            continue
        labels = lowered.removesuffix(suffix).split(".")[::-1]
        groups = labels
        if separator == ":":
            digits = "".join(labels)
            groups = [digits[at : at + 4] for at in range(0, len(digits), 4)]
        with suppress(ValueError):
            return str(ip_address(separator.join(groups)))
    return None


def _packed(reply: Any, asked: Any, *, tcp: bool) -> bytes:
    """Encode a reply; one too long for the asker's UDP says so, and it asks again by TCP."""
    from dnslib import QTYPE

    data: bytes = reply.pack()
    extended = [record.rclass for record in asked.ar if record.rtype == QTYPE.OPT]
    if tcp or len(data) <= max([_PLAIN_UDP, *extended]):
        return data
    shortened: bytes = reply.truncate().pack()
    return shortened


def _failure(asked: Any) -> bytes:
    from dnslib import RCODE

    reply = asked.reply(ra=1, aa=0)
    reply.header.rcode = RCODE.SERVFAIL
    data: bytes = reply.pack()
    return data
