"""Messages and descriptors over a socketpair."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress

import msgspec
import pytest

from lading.shim import transport
from lading.shim.protocol import (
    Attach,
    Exec,
    Exited,
    ExitStatus,
    LogConfig,
    Signal,
    SpawnRequest,
    Start,
    Streams,
)

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield ends
    for end in ends:
        end.close()


def test_requests_arrive_one_by_one(pair: Pair) -> None:
    messages = [
        Start(seq=1),
        Signal(signo=15, everyone=True, seq=2),
        Attach(streams=Streams(stdin=True, detach_keys=b"\x10\x11"), seq=3),
    ]
    for message in messages:
        transport.Packet(message).send(pair[0])
    reader = transport.requests()
    assert [reader.receive(pair[1]) for _ in messages] == [(m, []) for m in messages]


def test_descriptors_arrive_closed_on_exec(pair: Pair) -> None:
    read, write = os.pipe()
    transport.Packet(Start(), [write]).send(pair[0])
    os.close(write)
    received = transport.requests().receive(pair[1])
    assert received is not None
    [descriptor] = received[1]
    assert not os.get_inheritable(descriptor)
    os.write(descriptor, b"x")
    os.close(descriptor)
    assert os.read(read, 10) == b"x"
    os.close(read)


@pytest.mark.parametrize("size", [10, transport.LARGEST_INLINE, 3_000_000])
def test_a_message_of_any_size(pair: Pair, size: int) -> None:
    message = Exec(exec_id="e", process=msgspec.Raw(msgspec.json.encode({"args": ["x" * size]})))
    null = os.open(os.devnull, os.O_RDONLY)
    transport.Packet(message, [null]).send(pair[0])
    os.close(null)
    received = transport.requests().receive(pair[1])
    assert received is not None
    found, descriptors = received
    assert found == message
    assert len(descriptors) == 1
    os.close(descriptors[0])


def test_the_end_of_the_connection_is_none(pair: Pair) -> None:
    pair[0].close()
    assert transport.requests().receive(pair[1]) is None


def test_nonsense_is_an_error_and_its_descriptors_are_closed(pair: Pair) -> None:
    before = os.listdir("/proc/self/fd")
    socket.send_fds(pair[0], [b'J{"type":"Nonsense"}'], [0])
    with pytest.raises(msgspec.DecodeError):
        transport.requests().receive(pair[1])
    assert os.listdir("/proc/self/fd") == before


def test_a_full_socket_can_be_tried_again(pair: Pair) -> None:
    pair[0].setblocking(False)
    message = Exited(status=ExitStatus(exit_code=1, error="x" * 30_000))
    sent = 0
    packet = transport.Packet(message)
    with suppress(BlockingIOError):
        while True:
            packet.send(pair[0])
            packet = transport.Packet(message)
            sent += 1
    assert sent
    reader = transport.shim_messages()
    for _ in range(sent):
        assert reader.receive(pair[1]) == (message, [])
    packet.send(pair[0])
    assert reader.receive(pair[1]) == (message, [])


def test_a_spawn_request_keeps_everything() -> None:
    request = SpawnRequest(
        container_id="c",
        bundle="/b",
        open_stdin=True,
        log=LogConfig(path="/l", max_size=5, attrs={"a": "b"}),
    )
    assert msgspec.json.decode(msgspec.json.encode(request), type=SpawnRequest) == request
