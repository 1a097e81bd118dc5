"""The daemon comes and goes, and so does the spawner; containers stay."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lading.oci import spec as oci_spec
from lading.shim.client import Gone, Shim, Spawner
from lading.shim.protocol import ExitStatus, Streams

from .conftest import Yard, gone, streams_of

pytestmark = pytest.mark.root

DAEMON = """
import asyncio, sys
from pathlib import Path
from lading.shim.spawner import fork_spawner
handle = fork_spawner()
from lading.shim.client import Spawner
from lading.shim.protocol import LogConfig, SpawnRequest

async def main(container_id, bundle, log, start):
    spawner = await Spawner.start(handle)
    request = SpawnRequest(
        container_id=container_id, bundle=bundle, open_stdin=True, stdin_once=True,
        log=LogConfig(path=log),
    )
    shim = await spawner.spawn(request)
    await shim.ready()
    if start == "start":
        await shim.start()
    print(shim.pid, shim.shim_pid, spawner.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


async def other_daemon(yard: Yard, *args: str, start: bool = True) -> tuple[list[int], int]:
    """Have another process run a container: the pids of PID 1, shim and spawner, and its own."""
    bundle = yard.bundle()
    bundle.mkdir(parents=True)
    (bundle / "config.json").write_bytes(oci_spec.encode(yard.spec(*args)))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        DAEMON,
        yard.container_id(),
        str(bundle),
        str(yard.log_path()),
        "start" if start else "leave",
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    pids = [int(word) for word in (await process.stdout.readline()).split()]
    assert len(pids) == 3
    process.kill()
    await process.wait()
    return pids, process.pid


async def found(yard: Yard) -> Shim:
    shim = await Shim.reconnect(yard.bundle())
    assert isinstance(shim, Shim)
    yard.shims.append(shim)
    return shim


async def test_a_killed_daemons_containers_run_on_and_are_found(yard: Yard) -> None:
    (pid, shim_pid, spawner_pid), _ = await other_daemon(yard, "sh", "-c", "cat; exit 5")
    await gone(spawner_pid)
    shim = await found(yard)
    assert (shim.pid, shim.shim_pid) == (pid, shim_pid)
    assert shim.started
    assert shim.container_id == yard.container_id()
    client = await yard.attach(shim)
    await client.send(b"still here\n")
    client.half_close()
    assert streams_of(await client.rest()) == {1: b"still here\n"}
    assert (await shim.wait()).exit_code == 5
    await shim.quit()
    assert [entry.log for entry in await yard.log()] == ["still here\n"]


async def test_what_was_not_started_goes_with_its_daemon(yard: Yard) -> None:
    (pid, shim_pid, _), _ = await other_daemon(yard, "true", start=False)
    await gone(shim_pid)
    await gone(pid)
    assert await Shim.reconnect(yard.bundle()) == Gone(yard.bundle())
    assert sorted(path.name for path in yard.bundle().iterdir()) == ["config.json"]


async def test_an_end_that_nobody_saw_is_found(yard: Yard) -> None:
    shim = await yard.create("sh", "-c", "read x; exit 4", stdin=True)
    client = await yard.attach(shim)
    await shim.start()
    shim_pid = shim.shim_pid
    await shim.close()
    await client.send(b"\n")
    await client.rest()
    await gone(shim_pid)
    status = await Shim.reconnect(yard.bundle())
    assert isinstance(status, ExitStatus)
    assert status.exit_code == 4
    yard.shims.remove(shim)


async def test_execs_and_a_pause_are_found_again(yard: Yard) -> None:
    first = await yard.create("sleep", "1000")
    await first.start()
    client, theirs = yard.pair()
    streams = Streams(stdin=True, stdout=True)
    process = yard.process("sh", "-c", "read x; echo $x; exit 6")
    pid = await first.exec("e", process, sock=theirs, streams=streams)
    await first.pause()
    await first.close()
    second = await found(yard)
    assert second.paused
    assert second.execs["e"].pid == pid
    await second.resume()
    await client.send(b"go\n")
    assert await second.exec_wait("e") == 6
    assert streams_of(await client.rest()) == {1: b"go\n"}


async def test_two_daemons_hear_of_the_same_end(yard: Yard) -> None:
    first = await yard.create("sleep", "1000")
    await first.start()
    second = await found(yard)
    await second.signal(signal.SIGTERM)
    await second.signal(signal.SIGKILL)
    assert await first.wait() == await second.wait()


async def test_a_reconnected_daemon_can_attach_beside_the_first(yard: Yard) -> None:
    first = await yard.create("cat", stdin=True, stdin_once=False)
    await first.start()
    second = await found(yard)
    one, two = await yard.attach(first), await yard.attach(second)
    await one.send(b"x\n")
    await one.until(b"x\n")
    await two.until(b"x\n")


async def test_nothing_is_found_where_nothing_was(tmp_path: Path) -> None:
    assert await Shim.reconnect(tmp_path) == Gone(tmp_path)


async def test_a_killed_spawner_is_replaced_and_its_shims_live_on(yard: Yard) -> None:
    first = await yard.create("sleep", "1000", name="c0")
    await first.start()
    old = yard.spawner.pid
    os.kill(old, signal.SIGKILL)
    await gone(old)
    second = await yard.create("sh", "-c", "exit 3", name="c1")
    await second.start()
    assert (await second.wait()).exit_code == 3
    assert yard.spawner.pid != old
    assert await first.pids() == [first.pid]


async def test_a_spawner_killed_amid_requests_loses_none(yard: Yard) -> None:
    os.kill(yard.spawner.pid, signal.SIGSTOP)
    names = [f"c{number}" for number in range(3)]
    starting = [asyncio.create_task(yard.create("sleep", "1000", name=name)) for name in names]
    await asyncio.sleep(0)
    os.kill(yard.spawner.pid, signal.SIGKILL)
    for shim in await asyncio.gather(*starting):
        await shim.start()
        assert await shim.pids() == [shim.pid]


async def waiting(spawner_pid: int) -> list[int]:
    """Wait until the spawner has a shim and its creator in waiting, and give their pids."""

    def children(pid: int) -> list[int]:
        path = Path(f"/proc/{pid}/task/{pid}/children")
        return [int(word) for word in path.read_text(encoding="ascii").split()]

    async with asyncio.timeout(20):
        while not (shims := children(spawner_pid)) or not (creators := children(shims[0])):
            await asyncio.sleep(0.001)
    return shims + creators


async def test_a_spawner_ends_with_its_connection_and_takes_the_waiting_along() -> None:
    spawner = await Spawner.start()
    pid = spawner.pid
    pids = await waiting(pid)
    await spawner.close()
    assert not os.path.exists(f"/proc/{pid}")
    for other in pids:
        await gone(other)


async def test_a_killed_spawner_leaves_nobody_waiting(yard: Yard) -> None:
    pids = await waiting(yard.spawner.pid)
    os.kill(yard.spawner.pid, signal.SIGKILL)
    for pid in pids:
        await gone(pid)


async def test_a_waiting_shim_that_was_killed_is_made_up_for(yard: Yard) -> None:
    for victim in (0, 1):  # the shim; its creator
        pids = await waiting(yard.spawner.pid)
        os.kill(pids[victim], signal.SIGKILL)
        await gone(pids[victim])
        shim = await yard.create("sh", "-c", "exit 3", name=f"c{victim}")
        await shim.start()
        assert (await shim.wait()).exit_code == 3
        await shim.quit()


async def test_a_stranger_at_the_socket_does_no_harm(yard: Yard) -> None:
    shim = await yard.create("sleep", "1000")
    await shim.start()
    stranger = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    directory = os.open(yard.bundle(), os.O_PATH)
    try:
        stranger.connect(f"/proc/self/fd/{directory}/shim.sock")
    finally:
        os.close(directory)
    stranger.send(b"Jnonsense")
    stranger.settimeout(10)
    while stranger.recv(65536):
        pass
    stranger.close()
    assert (yard.bundle() / "shim.sock").stat().st_mode & 0o777 == 0o700
    assert await shim.pids() == [shim.pid]
