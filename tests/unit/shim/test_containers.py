"""Containers under a shim: output, exit status, signals, failures, what is left behind."""

from __future__ import annotations

import asyncio
import os
import signal

import msgspec
import pytest

from lading.errors import Conflict, InvalidParameter, LadingError
from lading.kernel.process import start_time
from lading.oci.spec import LinuxMemory, LinuxPids, LinuxResources
from lading.shim.client import Gone, Shim, ShimLost, StepFailed, abandon
from lading.shim.protocol import ExitStatus, LogConfig, SpawnRequest

from .conftest import Yard, gone, streams_of

pytestmark = pytest.mark.root


async def test_both_streams_are_multiplexed_and_logged(yard: Yard) -> None:
    code, output = await yard.run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert code == 3
    assert streams_of(output) == {1: b"out\n", 2: b"err\n"}
    assert {(entry.stream, entry.log) for entry in await yard.log()} == {
        ("stdout", "out\n"),
        ("stderr", "err\n"),
    }


async def test_the_end_is_told_and_written_down(yard: Yard) -> None:
    shim = await yard.create("sh", "-c", "exit 7")
    await shim.start()
    status = await shim.wait()
    written = msgspec.json.decode((yard.bundle() / "exit.json").read_bytes(), type=ExitStatus)
    assert status == written
    assert (status.exit_code, status.oom_killed, status.error) == (7, False, "")
    assert len(status.finished_at) == len("2026-01-01T00:00:00.000000000Z")
    await shim.quit()
    assert await shim.wait() == status
    assert not (yard.bundle() / "state.json").exists()
    assert not (yard.bundle() / "shim.sock").exists()


async def test_the_start_is_written_down_step_by_step(yard: Yard) -> None:
    shim = await yard.create("true")
    await shim.start()
    await shim.wait()
    steps = msgspec.json.decode((yard.bundle() / "steps.json").read_bytes())
    names = [step["step"] for step in steps["steps"]]
    order = ["CreateCgroup", "Clone", "BindRoot", "PivotRoot", "LoadSeccomp"]
    assert [name for name in names if name in order] == order
    assert all(step["ns"] > 0 and step["description"] for step in steps["steps"])
    assert sum(step["ns"] for step in steps["steps"]) < steps["total_ns"]


async def test_signals_reach_the_first_process(yard: Yard) -> None:
    shim = await yard.create(
        "sh", "-c", "trap 'echo got; exit 5' USR1; echo up; read x", stdin=True
    )
    client = await yard.attach(shim)
    await shim.start()
    await client.until(b"up\n")
    await shim.signal(signal.SIGUSR1)
    assert (await shim.wait()).exit_code == 5
    assert b"got\n" in await client.rest()


async def test_a_fatal_signal_is_128_and_its_number(yard: Yard) -> None:
    shim = await yard.create("sleep", "100")
    await shim.start()
    await shim.signal(signal.SIGKILL)
    assert (await shim.wait()).exit_code == 137


async def test_everyone_gets_a_signal_that_is_for_all(yard: Yard) -> None:
    shim = await yard.create("sh", "-c", "sleep 100 & wait; echo over")
    client = await yard.attach(shim, stdin=False)
    await shim.start()
    async with asyncio.timeout(10):
        while len(await shim.pids()) < 2:
            await asyncio.sleep(0)
    await shim.signal(signal.SIGTERM, everyone=True)
    assert (await shim.wait()).exit_code == 0
    assert b"over" in await client.rest()


async def test_the_program_inherits_no_signal_setting_and_no_descriptor(yard: Yard) -> None:
    _, output = await yard.run(
        "sh", "-c", "grep -E 'SigIgn|SigBlk' /proc/self/status; ls -1 /proc/self/fd; echo .; ls /"
    )
    lines = streams_of(output)[1].decode().split()
    assert lines[1] == lines[3] == "0" * 16
    assert lines[4 : lines.index(".")] == ["0", "1", "2", "3"]  # 3 is that of ls itself


async def test_the_shim_is_out_of_the_daemons_way(yard: Yard) -> None:
    shim = await yard.create("sleep", "100")
    await shim.start()
    pid = shim.shim_pid
    assert os.getsid(pid) == pid != os.getsid(0)
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        assert file.read().startswith(b"lading-shim lading-test-")
    with open(f"/proc/{pid}/comm", encoding="ascii") as comm:
        assert comm.read().strip() == "lading-shim"
    targets = {os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)}
    assert targets == {"/dev/null"}
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE):
        os.kill(pid, number)
    assert await shim.pids()


async def test_no_such_program_names_the_step_and_the_errno(yard: Yard) -> None:
    with pytest.raises(StepFailed) as caught:
        await _start(yard, "nosuch")
    assert caught.value.errno == 2
    assert caught.value.step
    assert '"nosuch"' in caught.value.message


async def test_a_failing_step_leaves_nothing(yard: Yard) -> None:
    spec = yard.spec("true")
    spec.mounts.append(type(spec.mounts[0])(destination="/x", type="nosuchfs", source="x"))
    with pytest.raises(StepFailed) as caught:
        await yard.create(spec=spec)
    assert "Mount" in caught.value.step
    assert not (yard.bundle() / "state.json").exists()
    shim = await yard.create("true")  # and it can be done again
    await shim.start()
    assert (await shim.wait()).exit_code == 0


async def test_a_bundle_without_a_config_is_refused(yard: Yard) -> None:
    yard.bundle().mkdir(parents=True)
    request = SpawnRequest(container_id=yard.container_id(), bundle=str(yard.bundle()))
    with pytest.raises(LadingError, match=r"config\.json"):
        await yard.spawner.spawn(request)


async def test_a_bad_config_is_the_callers_fault(yard: Yard) -> None:
    spec = yard.spec("true")
    spec.hostname = "x"
    assert spec.linux is not None
    spec.linux.namespaces = [n for n in spec.linux.namespaces if n.type != "uts"]
    with pytest.raises(InvalidParameter):
        await yard.create(spec=spec)


async def test_a_created_container_can_be_given_up(yard: Yard) -> None:
    shim = await yard.create("true")
    pid = shim.pid
    await shim.quit()
    await gone(pid)
    assert not (yard.bundle() / "exit.json").exists()
    assert isinstance(await Shim.reconnect(yard.bundle()), Gone)


async def test_what_is_not_running_is_not_served(yard: Yard) -> None:
    shim = await yard.create("sleep", "100")
    with pytest.raises(Conflict, match="created"):
        await shim.signal(signal.SIGTERM)
    await shim.start()
    with pytest.raises(Conflict, match="running"):
        await shim.start()
    with pytest.raises(Conflict, match="running"):
        await shim.quit()
    with pytest.raises(Conflict, match="no terminal"):
        await shim.resize(10, 10)


async def test_memory_that_runs_out_is_told(yard: Yard) -> None:
    spec = yard.spec("sh", "-c", "x=$(yes | head -c 100000000); echo survived")
    assert spec.linux is not None
    spec.linux.resources = LinuxResources(memory=LinuxMemory(limit=16 << 20, swap=16 << 20))
    shim = await yard.create(spec=spec)
    told: list[bool] = []
    shim.on_oom = lambda: told.append(True)
    await shim.start()
    status = await shim.wait()
    assert status.oom_killed
    assert told


async def test_pause_resume_update_stats(yard: Yard) -> None:
    shim = await yard.create("sh", "-c", "while read line; do echo got $line; done", stdin=True)
    client = await yard.attach(shim)
    await shim.start()
    await shim.pause()
    with pytest.raises(Conflict, match="paused"):
        await shim.exec("e", yard.process("true"))
    await client.send(b"one\n")
    await shim.resume()
    await client.until(b"got one\n")
    assert await shim.update(LinuxResources(pids=LinuxPids(limit=77))) == []
    stats = await shim.stats()
    assert stats.pids is not None
    assert stats.pids.limit == 77
    assert await shim.pids() == [shim.pid]


async def test_leftovers_in_a_shared_pid_namespace_end_with_the_container(yard: Yard) -> None:
    spec = yard.spec("sh", "-c", "sleep 1000 & echo $!; exit 4")
    assert spec.linux is not None
    spec.linux.namespaces = [n for n in spec.linux.namespaces if n.type != "pid"]
    shim = await yard.create(spec=spec)
    client = await yard.attach(shim, stdin=False)
    await shim.start()
    assert (await shim.wait()).exit_code == 4
    left = int(streams_of(await client.rest())[1])
    await gone(left)


async def test_orphans_are_reaped_while_the_container_runs(yard: Yard) -> None:
    script = "(sleep 0.01 & echo $!); read x"
    spec = yard.spec("sh", "-c", script)
    assert spec.linux is not None
    spec.linux.namespaces = [n for n in spec.linux.namespaces if n.type != "pid"]
    shim = await yard.create(spec=spec, stdin=True)
    client = await yard.attach(shim)
    await shim.start()
    orphan = int(streams_of(await client.until(b"\n"))[1])
    async with asyncio.timeout(10):
        while os.path.exists(f"/proc/{orphan}"):
            await asyncio.sleep(0)
    assert await shim.pids() == [shim.pid]


async def test_containers_run_side_by_side(yard: Yard) -> None:
    names = [f"c{number}" for number in range(4)]

    async def whole(name: str) -> int:
        shim = await yard.create("sh", "-c", f"exit {int(name[1:]) + 10}", name=name)
        await shim.start()
        code = (await shim.wait()).exit_code
        await shim.quit()
        return code

    assert await asyncio.gather(*map(whole, names)) == [10, 11, 12, 13]


async def test_a_container_can_be_started_again_at_once(yard: Yard) -> None:
    for code in (1, 2, 3):
        assert (await yard.run("sh", "-c", f"exit {code}"))[0] == code
    assert [entry.log for entry in await yard.log()] == []


async def test_a_full_disk_costs_the_log_only(yard: Yard) -> None:
    log = LogConfig(path="/dev/full")
    shim = await yard.create("sh", "-c", "echo line; exit 6", log=log)
    client = await yard.attach(shim)
    await shim.start()
    status = await shim.wait()
    assert status.exit_code == 6
    assert status.error == "write /dev/full: No space left on device"
    assert streams_of(await client.rest()) == {1: b"line\n"}


async def test_a_killed_shim_is_noticed_and_cleaned_up_after(yard: Yard) -> None:
    shim = await yard.create("sleep", "1000")
    await shim.start()
    os.kill(shim.shim_pid, signal.SIGKILL)
    with pytest.raises(ShimLost):
        await shim.wait()
    assert start_time(shim.pid)
    found = await Shim.reconnect(yard.bundle())
    assert found == Gone(yard.bundle())
    status = await abandon(yard.bundle())
    assert status.exit_code == 137
    assert "shim" in status.error
    await gone(shim.pid)
    assert await Shim.reconnect(yard.bundle()) == status


async def test_a_shim_at_work_is_not_cleaned_up_after(yard: Yard) -> None:
    shim = await yard.create("sleep", "1000")
    await shim.start()
    with pytest.raises(Conflict, match="at work"):
        await abandon(yard.bundle())
    assert await shim.pids() == [shim.pid]


async def _start(yard: Yard, *args: str) -> None:
    shim = await yard.create(*args)
    await shim.start()


async def test_a_user_can_open_its_own_streams_again(yard: Yard) -> None:
    spec = yard.spec("sh", "-c", "echo out > /dev/stdout; echo err > /dev/stderr")
    assert spec.process is not None
    spec.process.user.uid = spec.process.user.gid = 1000
    shim = await yard.create(spec=spec)
    client = await yard.attach(shim)
    await shim.start()
    assert streams_of(await client.rest()) == {1: b"out\n", 2: b"err\n"}
    assert (await shim.wait()).exit_code == 0
