"""Further processes in a running container."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from lading.errors import Conflict, NotFound
from lading.shim.client import Shim, StepFailed
from lading.shim.protocol import Streams

from .conftest import Client, Yard, streams_of

pytestmark = pytest.mark.root

ALL = Streams(stdin=True, stdout=True, stderr=True)

WATCHES = ("anon_inode:[eventfd]", "anon_inode:inotify")
"""What a shim watches a container's memory by, on cgroup v1 and v2."""


async def running(yard: Yard, *args: str) -> Shim:
    shim = await yard.create(*(args or ("sleep", "1000")))
    await shim.start()
    return shim


async def execute(yard: Yard, shim: Shim, exec_id: str, *args: str, tty: bool = False) -> Client:
    client, theirs = yard.pair()
    await shim.exec(exec_id, yard.process(*args, tty=tty), sock=theirs, streams=ALL)
    return client


async def test_output_goes_to_the_client_only(yard: Yard) -> None:
    shim = await running(yard)
    client = await execute(yard, shim, "e", "sh", "-c", "echo out; echo err >&2; exit 9")
    assert await shim.exec_wait("e") == 9
    assert streams_of(await client.rest()) == {1: b"out\n", 2: b"err\n"}
    assert await yard.log() == []


async def test_input_and_its_end(yard: Yard) -> None:
    shim = await running(yard)
    client = await execute(yard, shim, "e", "sh", "-c", "cat; echo over")
    await client.send(b"in\n")
    client.half_close()
    assert streams_of(await client.rest()) == {1: b"in\nover\n"}
    assert await shim.exec_wait("e") == 0


async def test_many_at_once(yard: Yard) -> None:
    shim = await running(yard)
    clients = await asyncio.gather(
        *(execute(yard, shim, f"e{n}", "sh", "-c", f"echo {n}; exit {n}") for n in range(6))
    )
    for number, client in enumerate(clients):
        assert streams_of(await client.rest()) == {1: b"%d\n" % number}
        assert await shim.exec_wait(f"e{number}") == number


async def test_a_detached_process_has_dev_null(yard: Yard) -> None:
    shim = await running(yard)
    script = "readlink /proc/self/fd/0 /proc/self/fd/1 > /tmp/out; test -c /dev/stdin && exit 8"
    pid = await shim.exec("e", yard.process("sh", "-c", script))
    assert pid > 0
    assert await shim.exec_wait("e") == 8


async def test_signals_and_ids(yard: Yard) -> None:
    shim = await running(yard)
    pid = await shim.exec("e", yard.process("sleep", "1000"))
    assert shim.execs["e"].pid == pid
    with pytest.raises(Conflict, match="already running"):
        await shim.exec("e", yard.process("true"))
    await shim.exec_signal("e", signal.SIGTERM)
    assert await shim.exec_wait("e") == 143
    assert await shim.exec_wait("e") == 143
    with pytest.raises(NotFound):
        await shim.exec_signal("e", signal.SIGTERM)
    with pytest.raises(NotFound):
        await shim.exec_wait("other")


async def test_a_terminal_of_its_own(yard: Yard) -> None:
    shim = await running(yard)
    script = "echo up; read x; stty size; tty"
    client = await execute(yard, shim, "e", "sh", "-c", script, tty=True)
    await client.until(b"up\r\n")
    await shim.exec_resize("e", 12, 34)
    await client.send(b"\n")
    output = await client.rest()
    assert b"12 34\r\n/dev/pts/0\r\n" in output
    assert await shim.exec_wait("e") == 0


async def test_what_cannot_be_executed(yard: Yard) -> None:
    shim = await running(yard)
    client, theirs = yard.pair()
    with pytest.raises(StepFailed) as caught:
        await shim.exec("e", yard.process("nosuch"), sock=theirs, streams=ALL)
    assert caught.value.errno == 2
    assert await client.rest() == b""
    client = await execute(yard, shim, "e", "echo", "again")
    assert streams_of(await client.rest()) == {1: b"again\n"}


async def test_a_large_environment_is_passed(yard: Yard) -> None:
    shim = await running(yard)
    process = yard.process("sh", "-c", "env | wc -c")
    process.env += [f"V{number}={'x' * 90_000}" for number in range(10)]
    client, theirs = yard.pair()
    await shim.exec("e", process, sock=theirs, streams=ALL)
    assert int(streams_of(await client.rest())[1]) > 900_000


async def test_a_child_that_keeps_the_output_does_not_keep_the_client(yard: Yard) -> None:
    shim = await running(yard)
    client = await execute(yard, shim, "e", "sh", "-c", "sleep 1000 & echo hi")
    assert streams_of(await client.rest()) == {1: b"hi\n"}
    assert await shim.exec_wait("e") == 0
    assert len(await shim.pids()) == 2


async def test_they_end_with_the_container(yard: Yard) -> None:
    shim = await running(yard)
    client = await execute(yard, shim, "e", "sleep", "1000")
    await shim.signal(signal.SIGKILL)
    assert (await shim.wait()).exit_code == 137
    assert await shim.exec_wait("e") == 137
    await client.rest()


async def test_the_shim_keeps_nothing_of_them(yard: Yard) -> None:
    shim = await running(yard)

    def kept() -> tuple[int, list[str]]:
        children = f"/proc/{shim.shim_pid}/task/{shim.shim_pid}/children"
        descriptors = len(os.listdir(f"/proc/{shim.shim_pid}/fd"))
        return descriptors, Path(children).read_text(encoding="ascii").split()

    def watches() -> bool:
        place = f"/proc/{shim.shim_pid}/fd"
        for name in os.listdir(place):
            with suppress(FileNotFoundError):  # closed meanwhile
                if os.readlink(f"{place}/{name}") in WATCHES:
                    return True
        return False

    async with asyncio.timeout(20):
        # The creator is about to end, and the watch on memory about to begin.
        while len(kept()[1]) > 1 or not watches():
            await asyncio.sleep(0)
        before = kept()
        assert before[1] == [str(shim.pid)]
        for number in range(5):
            client = await execute(yard, shim, f"e{number}", "true")
            await shim.exec_wait(f"e{number}")
            await client.rest()
        while kept() > before:
            await asyncio.sleep(0)
