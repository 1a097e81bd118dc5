"""Attached clients: input, half-close, terminals, detach keys, slow clients, before the start."""

from __future__ import annotations

import asyncio
import signal
import socket

import pytest

from lading.errors import Conflict
from lading.shim.client import ShimLost
from lading.shim.protocol import Streams

from .conftest import Yard, gone, streams_of

pytestmark = pytest.mark.root

DETACH = b"\x10\x11"
ECHO = ("sh", "-c", "cat; echo over")


async def test_the_first_byte_is_not_missed(yard: Yard) -> None:
    for _ in range(3):
        _, output = await yard.run("echo", "first")
        assert streams_of(output) == {1: b"first\n"}


async def test_input_goes_in_and_its_end_too(yard: Yard) -> None:
    shim = await yard.create(*ECHO, stdin=True)
    client = await yard.attach(shim)
    await client.send(b"before the start\n")
    await shim.start()
    await client.until(b"before the start\n")
    await client.send(b"after\n")
    client.half_close()
    assert streams_of(await client.rest()) == {1: b"before the start\nafter\nover\n"}
    assert (await shim.wait()).exit_code == 0


async def test_much_input_comes_back_whole(yard: Yard) -> None:
    data = bytes(range(256)) * 12_000
    shim = await yard.create("cat", stdin=True)
    client = await yard.attach(shim)
    await shim.start()

    async def send() -> None:
        await client.send(data)
        client.half_close()

    sending = asyncio.create_task(send())
    output = await client.rest()
    await sending
    assert streams_of(output) == {1: data}


async def test_input_of_a_client_that_hung_up_is_still_read(yard: Yard) -> None:
    shim = await yard.create("sh", "-c", "read go; sleep 0.1; wc -c", stdin=True)
    writer = await yard.attach(shim, stdout=False, stderr=False)
    reader = await yard.attach(shim, stdin=False)
    await writer.send(b"go\n" + b"x" * 200_000)
    writer.close()
    await shim.start()
    assert streams_of(await reader.rest()) == {1: b"200000\n"}


async def test_without_stdin_once_the_input_stays_open(yard: Yard) -> None:
    shim = await yard.create(*ECHO, stdin=True, stdin_once=False)
    await shim.start()
    first = await yard.attach(shim)
    await first.send(b"one\n")
    await first.until(b"one\n")
    first.half_close()
    assert streams_of(await first.rest()) == {1: b"one\n"}  # ended: it gets no more output
    second = await yard.attach(shim)
    await second.send(b"two\n")
    await second.until(b"two\n")
    assert await shim.pids()


async def test_without_open_stdin_there_is_no_input(yard: Yard) -> None:
    shim = await yard.create(*ECHO)
    client = await yard.attach(shim)
    await shim.start()
    client.half_close()
    assert streams_of(await client.rest()) == {1: b"over\n"}


async def test_a_client_gets_the_streams_it_asked_for(yard: Yard) -> None:
    shim = await yard.create("sh", "-c", "echo out; echo err >&2")
    out = await yard.attach(shim, stdin=False, stderr=False)
    err = await yard.attach(shim, stdin=False, stdout=False)
    await shim.start()
    assert streams_of(await out.rest()) == {1: b"out\n"}
    assert streams_of(await err.rest()) == {2: b"err\n"}


async def test_every_client_gets_everything(yard: Yard) -> None:
    shim = await yard.create("seq", "20000")
    clients = [await yard.attach(shim, stdin=False) for _ in range(3)]
    await shim.start()
    whole = b"".join(b"%d\n" % number for number in range(1, 20001))
    for output in await asyncio.gather(*(client.rest() for client in clients)):
        assert streams_of(output) == {1: whole}


async def test_a_slow_client_holds_the_process_up_and_then_gets_all(yard: Yard) -> None:
    shim = await yard.create("sh", "-c", "head -c 8000000 /dev/zero; echo done >&2")
    slow = await yard.attach(shim, stdin=False, stderr=False)
    quick = await yard.attach(shim, stdin=False)
    await shim.start()
    await quick.some(1_000_000)
    assert b"done" not in quick.got
    output, _ = await asyncio.gather(slow.rest(), quick.rest())
    assert streams_of(output) == {1: bytes(8_000_000)}
    assert streams_of(quick.got) == {1: bytes(8_000_000), 2: b"done\n"}


async def test_a_dead_client_is_dropped(yard: Yard) -> None:
    shim = await yard.create("sh", "-c", "read go; head -c 8000000 /dev/zero; exit 3", stdin=True)
    dead = await yard.attach(shim, stdin=False)
    sock, theirs = socket.socketpair()
    attachment = await shim.attach(theirs, Streams(stdout=True))
    await shim.start()
    sock.close()
    assert await attachment.wait() is False
    dead.close()
    writer = await yard.attach(shim, stdout=False, stderr=False)
    await writer.send(b"go\n")
    assert (await shim.wait()).exit_code == 3


async def test_a_client_that_reads_late_gets_the_rest_after_the_end(yard: Yard) -> None:
    shim = await yard.create("head", "-c", "900000", "/dev/zero")
    client = await yard.attach(shim, stdin=False)
    await shim.start()
    await shim.wait()
    await shim.quit()
    pid = shim.shim_pid
    assert streams_of(await client.rest()) == {1: bytes(900_000)}
    await gone(pid)


async def test_nobody_can_attach_after_the_end(yard: Yard) -> None:
    shim = await yard.create("true")
    await shim.start()
    await shim.wait()
    ours, theirs = socket.socketpair()
    with ours, pytest.raises(Conflict, match="stopped"):
        await shim.attach(theirs, Streams(stdout=True))


async def test_a_terminal_is_raw_and_has_a_size(yard: Yard) -> None:
    script = (
        "stty size; trap 'stty size' WINCH; echo ready; while :; do read x && echo got:$x; done"
    )
    spec = yard.spec("sh", "-c", script, tty=True)
    assert spec.process is not None
    spec.process.console_size = None
    shim = await yard.create(spec=spec, stdin=True)
    client = await yard.attach(shim)
    await shim.start()
    await client.until(b"ready\r\n")
    await shim.resize(33, 123)
    await client.send(b"\n")
    await client.until(b"33 123\r\n")
    await client.send(b"typed\n")
    await client.until(b"got:typed\r\n")
    await shim.signal(signal.SIGKILL)
    await shim.wait()
    await client.rest()


async def test_a_terminals_output_is_logged_as_stdout(yard: Yard) -> None:
    code, output = await yard.run("sh", "-c", "tty; echo err >&2; exit 2", tty=True)
    assert code == 2
    assert output == b"/dev/pts/0\r\nerr\r\n"
    entries = await yard.log()
    assert [(entry.stream, entry.log) for entry in entries] == [
        ("stdout", "/dev/pts/0\r\n"),
        ("stdout", "err\r\n"),
    ]


async def test_detach_keys_end_the_attachment_on_a_terminal(yard: Yard) -> None:
    shim = await yard.create("cat", tty=True, stdin=True)
    await shim.start()
    client, theirs = yard.pair()
    wanted = Streams(stdin=True, stdout=True, detach_keys=DETACH)
    attachment = await shim.attach(theirs, wanted)
    await client.send(b"a\x10b\n")
    await client.until(b"a\x10b\r\n")
    await client.send(b"x\x10")
    await client.send(b"\x11y")
    await client.rest()
    assert await attachment.wait() is True
    again = await yard.attach(shim)
    await again.send(b"z\n")
    await again.until(b"xz\r\n")


async def test_detach_keys_are_bytes_like_others_without_a_terminal(yard: Yard) -> None:
    shim = await yard.create("cat", stdin=True)
    await shim.start()
    client, theirs = yard.pair()
    await shim.attach(theirs, Streams(stdin=True, stdout=True, detach_keys=DETACH))
    await client.send(DETACH)
    client.half_close()
    assert streams_of(await client.rest()) == {1: DETACH}


async def test_the_end_of_input_detaches_from_a_terminal(yard: Yard) -> None:
    shim = await yard.create("cat", tty=True, stdin=True)
    await shim.start()
    client = await yard.attach(shim)
    client.half_close()
    await client.rest()
    assert await shim.pids()


async def test_attachments_end_with_the_shim(yard: Yard) -> None:
    shim = await yard.create("sleep", "1000")
    await shim.start()
    _, theirs = yard.pair()
    attachment = await shim.attach(theirs, Streams(stdout=True))
    waiting = asyncio.create_task(attachment.wait())
    await asyncio.sleep(0)
    await shim.signal(signal.SIGKILL)
    assert await waiting is False
    await shim.wait()
    await shim.quit()
    with pytest.raises(ShimLost):
        await shim.signal(signal.SIGTERM)
