"""A container's states: start, end, restart, and what is told of it."""

from __future__ import annotations

import asyncio
import errno

import pytest

from lading.engine.attach import Attacher
from lading.engine.model import NEVER, AttachOptions, RestartPolicy, Status
from lading.engine.waits import Condition, WaitResult
from lading.errors import Conflict, InvalidParameter, LadingError, NotModified, Unavailable
from lading.shim.client import StepFailed

from .fakes import Rig, record, status


async def test_start_makes_it_running_and_tells_in_docker_order(rig: Rig) -> None:
    entry = rig.add(record())
    await rig.lifecycle.start(entry)
    assert status(entry) is Status.RUNNING
    assert entry.state.pid == rig.shim.pid
    assert entry.state.started_at != NEVER
    assert rig.happened() == ["create", "connect", "start"]
    assert rig.shim.calls == ["start"]
    assert rig.saved(entry).state.status is Status.RUNNING


async def test_end_is_recorded_told_and_cleaned_up(rig: Rig) -> None:
    entry = rig.add(record())
    await rig.lifecycle.start(entry)
    waiting = entry.waits.add(Condition.NOT_RUNNING, entry.state)
    rig.happened()
    rig.shim.end(3)
    assert await waiting == WaitResult(3)
    async with entry.lock:
        pass
    assert rig.happened() == ["disconnect", "die"]
    assert status(entry) is Status.EXITED
    assert (entry.state.exit_code, entry.state.pid) == (3, 0)
    assert entry.shim is None
    assert rig.shim.calls[-1] == "quit"
    assert rig.bundles.removed == [entry.id]
    assert rig.saved(entry).state.exit_code == 3


async def test_oom_is_told_before_the_end(rig: Rig) -> None:
    entry = rig.add(record())
    await rig.lifecycle.start(entry)
    rig.happened()
    waiting = entry.waits.add(Condition.NEXT_EXIT, entry.state)
    rig.shim.end(137, oom=True)
    await waiting
    assert rig.happened() == ["oom", "disconnect", "die"]
    assert entry.state.oom_killed


async def test_a_container_may_go_on_after_an_oom_kill(rig: Rig) -> None:
    entry = rig.add(record())
    await rig.lifecycle.start(entry)
    rig.happened()
    assert rig.shim.on_oom is not None
    rig.shim.on_oom()
    assert rig.happened() == ["oom"]
    assert entry.state.oom_killed
    waiting = entry.waits.add(Condition.NEXT_EXIT, entry.state)
    rig.shim.end(0)
    await waiting
    assert rig.happened() == ["disconnect", "die"]
    assert entry.state.oom_killed


async def test_start_of_a_running_container_changes_nothing(rig: Rig) -> None:
    entry = rig.add(record())
    await rig.lifecycle.start(entry)
    with pytest.raises(NotModified):
        await rig.lifecycle.start(entry)
    assert len(rig.spawner.shims) == 1


async def test_start_of_a_paused_or_removed_container_is_a_conflict(rig: Rig) -> None:
    entry = rig.add(record())
    await rig.lifecycle.start(entry)
    await rig.control.pause(entry)
    with pytest.raises(Conflict, match="cannot start a paused container, try unpause instead"):
        await rig.lifecycle.start(entry)
    other = rig.add(record("other", number=2))
    other.removing = True
    with pytest.raises(Conflict, match="marked for removal"):
        await rig.lifecycle.start(other)


@pytest.mark.parametrize(
    ("number", "code", "answer"),
    [
        (errno.ENOENT, 127, 400),
        (errno.EACCES, 126, 400),
        (errno.ENOTDIR, 127, 400),
        (errno.EINVAL, 128, 500),
    ],
)
async def test_a_command_that_cannot_be_executed(
    rig: Rig, number: int, code: int, answer: int
) -> None:
    entry = rig.add(record())
    rig.spawner.start_error = StepFailed('exec: "nosuch": no', step="Exec", errno=number)
    with pytest.raises(LadingError) as raised:
        await rig.lifecycle.start(entry)
    assert raised.value.status == answer
    assert raised.value.message.startswith("failed to create task for container: ")
    assert 'exec: "nosuch": no' in raised.value.message
    assert status(entry) is Status.CREATED
    assert entry.state.exit_code == code
    assert entry.state.error == raised.value.message
    assert rig.networking.connected == set()
    assert rig.bundles.removed == [entry.id]
    assert "quit" in rig.shim.calls
    assert rig.saved(entry).state.error == raised.value.message


async def test_a_network_that_refuses_undoes_the_start(rig: Rig) -> None:
    entry = rig.add(record())
    rig.networking.error = InvalidParameter("no such network")
    with pytest.raises(InvalidParameter, match="no such network"):
        await rig.lifecycle.start(entry)
    assert entry.state.exit_code == 128
    assert rig.bundles.removed == [entry.id]
    rig.networking.error = None
    await rig.lifecycle.start(entry)
    assert entry.state.error == ""


async def test_a_failed_start_of_an_auto_removed_container_removes_it(rig: Rig) -> None:
    entry = rig.add(record(auto_remove=True))
    rig.spawner.ready_error = StepFailed("no", step="MountOverlay", errno=errno.EINVAL)
    with pytest.raises(LadingError):
        await rig.lifecycle.start(entry)
    assert rig.happened() == ["create", "disconnect", "destroy"]
    assert len(rig.registry) == 0


async def test_auto_remove_after_the_end(rig: Rig) -> None:
    entry = rig.add(record(auto_remove=True))
    await rig.lifecycle.start(entry)
    gone = entry.waits.add(Condition.REMOVED, entry.state)
    rig.shim.end(5)
    assert await gone == WaitResult(5)
    assert rig.happened()[-2:] == ["die", "destroy"]
    assert list(rig.store.load()) == []
    assert rig.layers.removed == [entry.id]


async def test_on_failure_restarts_so_often_and_no_more(rig: Rig) -> None:
    policy = RestartPolicy(name="on-failure", maximum_retry_count=1)
    entry = rig.add(record(restart_policy=policy))
    await rig.lifecycle.start(entry)
    next_exit = entry.waits.add(Condition.NEXT_EXIT, entry.state)
    stopped = entry.waits.add(Condition.NOT_RUNNING, entry.state)
    rig.shim.end(1)
    await next_exit
    assert status(entry) is Status.RESTARTING
    assert entry.state.running
    assert not stopped.done()
    restarter = entry.restarter
    assert restarter is not None
    await restarter
    assert len(rig.spawner.shims) == 2
    assert entry.record.restart_count == 1
    rig.shim.end(1)
    assert await stopped == WaitResult(1)
    assert status(entry) is Status.EXITED


async def test_success_ends_an_on_failure_container(rig: Rig) -> None:
    entry = rig.add(record(restart_policy=RestartPolicy(name="on-failure")))
    await rig.lifecycle.start(entry)
    stopped = entry.waits.add(Condition.NOT_RUNNING, entry.state)
    rig.shim.end(0)
    await stopped
    assert entry.restarter is None


async def test_stopping_ends_a_wait_for_the_restart(rig: Rig) -> None:
    entry = rig.add(record(restart_policy=RestartPolicy(name="always")))
    await rig.lifecycle.start(entry)
    next_exit = entry.waits.add(Condition.NEXT_EXIT, entry.state)
    rig.shim.end(1)
    await next_exit
    async with entry.lock:
        pass
    rig.happened()
    await rig.control.stop(entry, None, "")
    assert status(entry) is Status.EXITED
    assert rig.happened() == ["stop"]
    assert len(rig.spawner.shims) == 1


async def test_nothing_is_restarted_while_the_daemon_stops(rig: Rig) -> None:
    entry = rig.add(record(restart_policy=RestartPolicy(name="always")))
    await rig.lifecycle.start(entry)
    rig.lifecycle.stopping = True
    await rig.control.stop(entry, 1, "")
    assert status(entry) is Status.EXITED
    assert not entry.record.manually_stopped
    with pytest.raises(Unavailable):
        await rig.lifecycle.start(entry)


async def test_clients_that_attached_before_the_start_miss_nothing(rig: Rig) -> None:
    entry = rig.add(record())
    attacher = Attacher(rig.events, rig.background)
    options = AttachOptions(stream=True, stdout=True)
    session = await attacher.attach(entry, options)
    left = await attacher.attach(entry, options)
    left.close()
    await rig.lifecycle.start(entry)
    assert rig.shim.calls == ["attach", "start"]
    sock, streams = rig.shim.attached[0]
    assert (streams.stdout, streams.stdin, streams.detach_keys) == (True, False, b"\x10\x11")
    sock.send(b"hello")
    assert await session.read() == b"hello"
    sock.close()
    assert await session.read() == b""
    session.close()


async def test_a_failed_start_hangs_up_on_those_who_wait(rig: Rig) -> None:
    entry = rig.add(record())
    session = await Attacher(rig.events, rig.background).attach(
        entry, AttachOptions(stream=True, stdout=True)
    )
    rig.spawner.ready_error = StepFailed("no", step="MountOverlay", errno=errno.EINVAL)
    with pytest.raises(LadingError):
        await rig.lifecycle.start(entry)
    assert await session.read() == b""
    session.close()


async def test_detaching_is_told(rig: Rig) -> None:
    entry = rig.add(record())
    await rig.lifecycle.start(entry)
    attacher = Attacher(rig.events, rig.background)
    session = await attacher.attach(entry, AttachOptions(stream=True, stdout=True))
    rig.happened()
    assert rig.shim.attachment is not None
    seen = rig.events.subscribe(filters={"event": ["detach"]})
    rig.shim.attachment.ended.set_result(True)
    assert (await anext(aiter(seen))).action == "detach"
    session.close()
    rig.shim.attached[-1][0].close()


async def test_attach_needs_a_state_that_has_streams(rig: Rig) -> None:
    entry = rig.add(record())
    await rig.lifecycle.start(entry)
    await rig.control.pause(entry)
    attacher = Attacher(rig.events, rig.background)
    with pytest.raises(Conflict, match="is paused, unpause the container before attach"):
        await attacher.attach(entry, AttachOptions(stream=True))


async def test_many_starts_at_once_start_it_once(rig: Rig) -> None:
    entry = rig.add(record())
    results = await asyncio.gather(
        *(rig.lifecycle.start(entry) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, NotModified) for result in results) == 4
    assert len(rig.spawner.shims) == 1
