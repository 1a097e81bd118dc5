"""Execs and health probes."""

from __future__ import annotations

import asyncio
import errno

import pytest

from lading.engine.logs import frame
from lading.engine.model import ExecConfig, ExecStartConfig, Healthcheck, HealthStatus, State
from lading.errors import Conflict, InvalidParameter, LadingError, NotFound
from lading.shim.client import StepFailed

from .fakes import Rig, health, record


async def exec_died(rig: Rig) -> None:
    """Wait until the end of an exec was told."""
    async for event in rig.events.subscribe(filters={"event": ["exec_die"]}, since_nano=0):
        if event.action == "exec_die":
            return


async def test_an_exec_from_creation_to_its_end(rig: Rig) -> None:
    entry = rig.add(record())
    await rig.lifecycle.start(entry)
    rig.happened()
    exec_id = rig.execs.create("box", ExecConfig(cmd=["echo", "hi"], attach_stdout=True))
    found = rig.execs.get(exec_id)
    assert (found.running, found.exit_code, found.pid) == (False, None, 0)
    session = await rig.execs.start(exec_id, ExecStartConfig())
    assert session is not None
    assert session.multiplexed
    assert found.running
    assert found.pid > 0
    assert entry.record.exec_ids == [exec_id]
    sock, streams = rig.shim.attached[-1]
    assert (streams.stdin, streams.stdout) == (False, True)
    sock.send(b"out")
    sock.close()
    assert await session.read() == b"out"
    assert await session.read() == b""
    session.close()
    rig.shim.exec_codes[exec_id].set_result(3)
    await exec_died(rig)
    assert (found.running, found.exit_code) == (False, 3)
    assert entry.record.exec_ids == []
    assert rig.happened() == ["exec_create: echo hi", "exec_start: echo hi", "exec_die"]


async def test_a_client_that_detaches_need_not_wait_for_the_process(rig: Rig) -> None:
    await rig.lifecycle.start(rig.add(record()))
    exec_id = rig.execs.create("box", ExecConfig(cmd=["cat"], tty=True, attach_stdout=True))
    session = await rig.execs.start(exec_id, ExecStartConfig())
    assert session is not None
    rig.shim.exec_attached[exec_id].ended.set_result(True)
    found = rig.execs.get(exec_id)
    await found.ended.wait()
    assert found.running
    assert rig.happened()[-1] == "exec_detach"
    session.close()
    rig.shim.attached[-1][0].close()


async def test_a_detached_exec_has_no_session(rig: Rig) -> None:
    await rig.lifecycle.start(rig.add(record()))
    exec_id = rig.execs.create("box", ExecConfig(cmd=["true"]))
    assert await rig.execs.start(exec_id, ExecStartConfig(detach=True)) is None
    with pytest.raises(Conflict, match=f"^exec command {exec_id} is already running$"):
        await rig.execs.start(exec_id, ExecStartConfig(detach=True))


@pytest.mark.parametrize(("number", "code"), [(errno.ENOENT, 127), (errno.EACCES, 126)])
async def test_a_command_that_cannot_be_executed(rig: Rig, number: int, code: int) -> None:
    await rig.lifecycle.start(rig.add(record()))
    rig.shim.exec_error = StepFailed('exec: "nosuch": no', step="Exec", errno=number)
    exec_id = rig.execs.create("box", ExecConfig(cmd=["nosuch"]))
    with pytest.raises(LadingError) as raised:
        await rig.execs.start(exec_id, ExecStartConfig())
    assert raised.value.status == 400
    assert raised.value.message == (
        "OCI runtime exec failed: exec failed: unable to start container process: "
        'exec: "nosuch": no'
    )
    found = rig.execs.get(exec_id)
    assert (found.running, found.exit_code, found.pid) == (False, code, 0)


async def test_what_an_exec_needs(rig: Rig) -> None:
    entry = rig.add(record())
    with pytest.raises(NotFound, match=r"^No such container: nosuch$"):
        rig.execs.create("nosuch", ExecConfig(cmd=["true"]))
    with pytest.raises(Conflict, match=f"^container {entry.id} is not running$"):
        rig.execs.create("box", ExecConfig(cmd=["true"]))
    await rig.lifecycle.start(entry)
    with pytest.raises(InvalidParameter, match=r"^No exec command specified$"):
        rig.execs.create("box", ExecConfig())
    with pytest.raises(InvalidParameter, match="unable to find user nosuch"):
        rig.execs.create("box", ExecConfig(cmd=["true"], user="nosuch"))
    with pytest.raises(LadingError, match=r"^Invalid escape keys \(foo\) provided$"):
        rig.execs.create("box", ExecConfig(cmd=["true"], detach_keys="foo"))
    await rig.control.pause(entry)
    with pytest.raises(Conflict, match="is paused, unpause the container before exec"):
        rig.execs.create("box", ExecConfig(cmd=["true"]))
    with pytest.raises(NotFound, match=r"^No such exec instance: abc$"):
        rig.execs.get("abc")


async def test_execs_go_with_their_container(rig: Rig) -> None:
    entry = rig.add(record())
    await rig.lifecycle.start(entry)
    exec_id = rig.execs.create("box", ExecConfig(cmd=["true"]))
    await rig.removal.remove(entry, "box", rig.control, force=True, volumes=False)
    with pytest.raises(NotFound):
        rig.execs.get(exec_id)


def with_health(test: list[str], **options: int) -> Healthcheck:
    return Healthcheck(test=test, interval=10**6, retries=1, **options)


async def until_health(rig: Rig, status: HealthStatus) -> None:
    wanted = {"event": [f"health_status: {status}"]}
    async for _ in rig.events.subscribe(filters=wanted, since_nano=0):
        return


async def test_probes_make_a_container_healthy(rig: Rig) -> None:
    made = record()
    made.config.healthcheck = with_health(["CMD", "true"])
    entry = rig.add(made)
    telling = asyncio.create_task(until_health(rig, HealthStatus.HEALTHY))
    await rig.lifecycle.start(entry)
    assert entry.state.health is not None
    assert health(entry) is HealthStatus.STARTING
    feeding = asyncio.create_task(answer_probes(rig, 0))
    await telling
    feeding.cancel()
    assert entry.state.health.log[-1].output == "fine"
    assert rig.saved(entry).state.health is not None
    await rig.control.kill(entry, "box", "")
    assert health(entry) is HealthStatus.UNHEALTHY
    assert entry.probes is None


async def answer_probes(rig: Rig, code: int) -> None:
    """Play the probe's process: some output, its end, its exit code."""
    async for event in rig.events.subscribe(filters={"event": ["exec_start"]}, since_nano=0):
        exec_id = event.attributes["execID"]
        while exec_id not in rig.shim.exec_codes or not rig.shim.attached:
            await asyncio.sleep(0)
        sock, _ = rig.shim.attached.pop()
        sock.send(frame("stdout", b"fi") + frame("stderr", b"ne"))
        sock.close()
        rig.shim.exec_codes[exec_id].set_result(code)


async def test_a_probe_that_cannot_run_or_does_not_end_is_a_failure(rig: Rig) -> None:
    made = record()
    made.config.healthcheck = with_health(["CMD", "nosuch"])
    entry = rig.add(made)
    telling = asyncio.create_task(until_health(rig, HealthStatus.UNHEALTHY))
    await rig.lifecycle.start(entry)
    rig.shim.exec_error = StepFailed('exec: "nosuch": no', step="Exec", errno=errno.ENOENT)
    await telling
    assert entry.state.health is not None
    first = entry.state.health.log[0]
    assert first.exit_code == -1
    assert first.output.startswith("OCI runtime exec failed: ")


async def test_a_probe_is_killed_at_its_timeout(rig: Rig) -> None:
    made = record()
    made.config.healthcheck = with_health(["CMD", "sleep"], timeout=10**6)
    entry = rig.add(made)
    telling = asyncio.create_task(until_health(rig, HealthStatus.UNHEALTHY))
    await rig.lifecycle.start(entry)
    await telling
    assert isinstance(entry.state, State)
    assert entry.state.health is not None
    assert entry.state.health.log[0].output == "Health check exceeded timeout (1ms)"
    assert next(code.result() for code in rig.shim.exec_codes.values() if code.done()) == 137
    for sock, _ in rig.shim.attached:
        sock.close()


async def test_no_health_check_no_health(rig: Rig) -> None:
    made = record()
    made.config.healthcheck = Healthcheck(test=["NONE"])
    entry = rig.add(made)
    await rig.lifecycle.start(entry)
    assert entry.state.health is None
