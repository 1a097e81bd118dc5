"""The name service: what it knows, and questions asked from inside containers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from dnslib import QTYPE, RCODE, RR, A, DNSRecord

from lading.network import forwarding, names
from lading.network.model import EndpointRequest, NetworkRequest

from .conftest import WAIT, Container, Lab, RunLab, sleeping_process

pytestmark = pytest.mark.root


def in_loop(lab: Lab, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run *work* in an event loop that the lab's manager has been started in."""

    async def started() -> None:
        lab.restart()
        lab.manager.create(NetworkRequest(name="mine", enable_ipv6=True))
        lab.manager.create(NetworkRequest(name="inner", internal=True))
        await work()
        lab.manager.stop()

    asyncio.run(started())


def named(
    lab: Lab, name: str, *aliases: str, network: str = "mine", servers: tuple[str, ...] = ()
) -> Container:
    container = Container(name, *sleeping_process())
    lab.containers.append(container)
    request = EndpointRequest(
        container_id=name,
        container_name=name,
        pid=container.pid,
        dns_names=(name, *aliases),
        nameservers=servers,
    )
    container.endpoints.append(lab.manager.connect(network, request))
    return container


async def ask(container: Container, name: str, kind: str = "A", tcp: bool = False) -> DNSRecord:
    """Ask 127.0.0.11 from inside *container*."""
    question = DNSRecord.question(name, kind)
    with container.inside():
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    with client:
        await asyncio.wait_for(loop.sock_connect(client, ("127.0.0.11", 53)), WAIT)
        packed = question.pack()
        await loop.sock_sendall(client, len(packed).to_bytes(2) + packed if tcp else packed)
        answer = await asyncio.wait_for(loop.sock_recv(client, 65535), WAIT)
    reply = DNSRecord.parse(answer[2:] if tcp else answer)
    assert reply.header.id == question.header.id
    return reply


def data(reply: DNSRecord) -> list[str]:
    return [str(record.rdata) for record in reply.rr]


def test_containers_find_each_other(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        async def work() -> None:
            web, db = named(lab, "web", "www"), named(lab, "db", "www")
            other = named(lab, "other", network="inner")
            ip, six = db.ip, db.endpoints[0].ipv6_address
            for spelling in ("db", "DB", "db.mine", "db."):
                assert data(await ask(web, spelling)) == [ip]
            assert data(await ask(web, "db", tcp=True)) == [ip]
            assert data(await ask(web, "db", "AAAA")) == [six]
            assert set(data(await ask(db, "www"))) == {web.ip, ip}
            mail = await ask(web, "db", "MX")
            assert (mail.header.rcode, mail.rr) == (RCODE.NOERROR, [])
            backwards = ".".join(reversed(ip.split("."))) + ".in-addr.arpa"
            assert data(await ask(web, backwards, "PTR")) == ["db.mine."]
            assert data(await ask(other, "other")) == [other.ip]
            assert (await ask(other, "other", "AAAA")).header.rcode == RCODE.NOERROR
            assert (await ask(other, "db")).header.rcode == RCODE.SERVFAIL
            lab.manager.disconnect(db.endpoints[0].id)
            assert (await ask(web, "db")).header.rcode == RCODE.SERVFAIL
            assert data(await ask(web, "www")) == [web.ip]
            lab.connect(web, "inner")
            assert data(await ask(web, "web")) == [web.ip]
            lab.manager.disconnect(web.endpoints[0].id, pid=web.pid)
            assert (await ask(web, "web")).header.rcode == RCODE.SERVFAIL

        in_loop(lab, work)

    lab(body)


def test_other_names_are_asked_outside(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        async def work() -> None:
            loop = asyncio.get_running_loop()
            with lab.neighbour.inside():
                udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                udp.bind(("198.51.100.2", 53))
                udp.setblocking(False)
                await asyncio.start_server(answer_tcp, "198.51.100.2", 53)
            loop.add_reader(udp.fileno(), answer_udp, udp)
            servers = ("198.51.100.1", "198.51.100.2")  # nobody listens at the first
            web = named(lab, "web", servers=servers)
            assert data(await ask(web, "example.org")) == ["192.0.2.7"]
            assert data(await ask(web, "example.org", tcp=True)) == ["192.0.2.7"]
            shut = named(lab, "shut", network="inner", servers=servers)
            assert (await ask(shut, "example.org")).header.rcode == RCODE.SERVFAIL
            loop.remove_reader(udp.fileno())
            udp.close()

        def answered(question: bytes) -> bytes:
            asked = DNSRecord.parse(question)
            reply = asked.reply()
            reply.add_answer(RR(asked.q.qname, QTYPE.A, rdata=A("192.0.2.7")))
            packed: bytes = reply.pack()
            return packed

        def answer_udp(server: socket.socket) -> None:
            question, asker = server.recvfrom(65535)
            server.sendto(b"\0\0 with another id", asker)
            server.sendto(answered(question), asker)

        async def answer_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            length = int.from_bytes(await reader.readexactly(2))
            answer = answered(await reader.readexactly(length))
            writer.write(len(answer).to_bytes(2) + answer)
            writer.close()

        in_loop(lab, work)

    lab(body)


def test_the_container_may_use_the_port_itself(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        async def work() -> None:
            web = named(lab, "web")
            with web.inside():
                own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                own.bind(("0.0.0.0", 53))
                socket.create_server(("0.0.0.0", 53)).close()
            assert data(await ask(web, "web")) == [web.ip]
            own.close()

        in_loop(lab, work)

    lab(body)


def test_after_a_restart_names_are_served_again(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        async def work() -> None:
            web = named(lab, "web")
            assert lab.manager._names is not None
            lab.manager._names.stop_all()
            lab.manager.start({"web": web.pid})
            assert data(await ask(web, "web")) == [web.ip]

        in_loop(lab, work)

    lab(body)


def test_long_answers_are_cut_for_udp(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        async def work() -> None:
            web = named(lab, "web", "all")
            for number in range(40):
                request = EndpointRequest(
                    container_id=f"c{number}", container_name=f"n{number}", dns_names=("all",)
                )
                lab.manager.connect("mine", request)
            short = await ask(web, "all")
            assert short.header.tc == 1
            assert len((await ask(web, "all", tcp=True)).rr) == 41

        in_loop(lab, work)

    lab(body)


def test_what_is_no_question_gets_no_answer(lab: RunLab) -> None:
    def body(lab: Lab) -> None:
        async def work() -> None:
            web = named(lab, "web")
            service = lab.manager._names
            assert service is not None
            listener = service._listeners["web"]
            reply = DNSRecord.question("web").reply().pack()
            for datagram in (b"", b"\xff" * 20, reply):
                assert await service._answer(listener, datagram, tcp=False) == b""
            assert data(await ask(web, "web")) == [web.ip]

        in_loop(lab, work)

    lab(body)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("2.0.17.172.in-addr.arpa", "172.17.0.2"),
        ("1" + ".0" * 27 + ".8.b.d.0.1.0.0.2.ip6.arpa", None),
        ("1" + ".0" * 23 + ".8.b.d.0.1.0.0.2.ip6.arpa", "2001:db8::1"),
        ("example.org", None),
        ("x.in-addr.arpa", None),
    ],
)
def test_names_of_the_reverse_tree(name: str, address: str | None) -> None:
    assert names._reversed(name) == address


async def test_nobody_answers() -> None:
    with pytest.raises(OSError, match="no name server answered"):
        await forwarding.ask(b"\0" * 12, [], tcp=False)
