"""Signals, stop, pause, rename, update and removal, with Docker's rules and words."""

from __future__ import annotations

import asyncio

import pytest

from lading.engine.model import (
    MountDetail,
    MountPoint,
    MountRecord,
    RestartPolicy,
    Status,
    UpdateConfig,
)
from lading.engine.rename import rename
from lading.engine.update import Updates
from lading.engine.waits import Condition
from lading.errors import Conflict, InvalidParameter, LadingError, NotFound, NotModified

from .fakes import Rig, record, status


async def test_stop_sends_the_stop_signal_and_is_told_after_the_end(rig: Rig) -> None:
    made = record()
    made.config.stop_signal = "SIGUSR1"
    entry = rig.add(made)
    await rig.lifecycle.start(entry)
    rig.shim.deadly = {10}
    rig.happened()
    await rig.control.stop(entry, None, "")
    assert rig.shim.signals == [10]
    assert rig.happened() == ["kill", "disconnect", "die", "stop"]
    assert entry.record.manually_stopped


async def test_stop_kills_what_does_not_end_in_time(rig: Rig) -> None:
    entry = rig.add(record())
    await rig.lifecycle.start(entry)
    rig.shim.deadly = {9}
    rig.happened()
    await rig.control.stop(entry, 0, "")
    assert rig.shim.signals == [15, 9]
    assert rig.happened() == ["kill", "kill", "disconnect", "die", "stop"]
    assert entry.state.exit_code == 137


async def test_stop_with_a_signal_of_the_callers(rig: Rig) -> None:
    entry = rig.add(record())
    await rig.lifecycle.start(entry)
    rig.shim.deadly = {2}
    await rig.control.stop(entry, None, "SIGINT")
    assert rig.shim.signals == [2]


async def test_stop_of_a_stopped_container_changes_nothing(rig: Rig) -> None:
    with pytest.raises(NotModified):
        await rig.control.stop(rig.add(record()), None, "")


async def test_stop_thaws_a_paused_container(rig: Rig) -> None:
    entry = rig.add(record())
    await rig.lifecycle.start(entry)
    await rig.control.pause(entry)
    rig.shim.deadly = {9}
    rig.happened()
    await rig.control.stop(entry, 0, "")
    assert rig.happened() == ["kill", "unpause", "kill", "disconnect", "die", "stop"]
    assert status(entry) is Status.EXITED


async def test_kill_waits_for_the_end(rig: Rig) -> None:
    entry = rig.add(record(restart_policy=RestartPolicy(name="always")))
    await rig.lifecycle.start(entry)
    await rig.control.kill(entry, "box", "")
    assert status(entry) is Status.EXITED
    assert rig.shim.signals == [9]


async def test_a_harmless_signal_leaves_the_restart_policy_if_a_stop_signal_is_set(
    rig: Rig,
) -> None:
    made = record(restart_policy=RestartPolicy(name="always"))
    made.config.stop_signal = "SIGTERM"
    entry = rig.add(made)
    await rig.lifecycle.start(entry)
    await rig.control.kill(entry, "box", "HUP")
    assert not entry.record.manually_stopped
    next_exit = entry.waits.add(Condition.NEXT_EXIT, entry.state)
    rig.shim.end(1)
    await next_exit
    assert status(entry) is Status.RESTARTING
    rig.lifecycle.cancel_restart(entry)


@pytest.mark.parametrize(
    ("signal", "reason"),
    [("FOO", "invalid signal: FOO"), ("65", "the linux daemon does not support signal 65")],
)
async def test_kill_refuses_signals_that_are_none(rig: Rig, signal: str, reason: str) -> None:
    entry = rig.add(record())
    with pytest.raises(InvalidParameter, match=f"^cannot kill container: box: {reason}$"):
        await rig.control.kill(entry, "box", signal)


async def test_kill_needs_a_running_container(rig: Rig) -> None:
    entry = rig.add(record())
    words = f"cannot kill container: box: container {entry.id} is not running"
    for signal in ("", "HUP"):
        with pytest.raises(Conflict, match=f"^{words}$"):
            await rig.control.kill(entry, "box", signal)


async def test_pause_and_unpause(rig: Rig) -> None:
    entry = rig.add(record())
    with pytest.raises(Conflict, match="is not running"):
        await rig.control.pause(entry)
    with pytest.raises(LadingError, match="is not paused"):
        await rig.control.unpause(entry)
    await rig.lifecycle.start(entry)
    await rig.control.pause(entry)
    assert entry.state.shown()["Running"] is True
    assert entry.state.shown()["Paused"] is True
    with pytest.raises(Conflict, match="is already paused"):
        await rig.control.pause(entry)
    await rig.control.unpause(entry)
    assert rig.shim.calls[-2:] == ["pause", "resume"]
    assert rig.happened()[-2:] == ["pause", "unpause"]


async def test_restart_stops_and_starts_also_auto_removed_ones(rig: Rig) -> None:
    entry = rig.add(record(auto_remove=True))
    await rig.lifecycle.start(entry)
    rig.happened()
    await rig.control.restart(entry, None, "")
    assert rig.happened() == [
        "kill", "disconnect", "die", "stop", "connect", "start", "restart",
    ]  # fmt: skip
    assert status(entry) is Status.RUNNING
    assert len(rig.registry) == 1


async def test_restart_of_a_stopped_container_starts_it(rig: Rig) -> None:
    entry = rig.add(record())
    rig.happened()
    await rig.control.restart(entry, None, "")
    assert rig.happened() == ["connect", "start", "restart"]


async def test_remove_needs_a_stopped_container_or_force(rig: Rig) -> None:
    entry = rig.add(record())
    await rig.lifecycle.start(entry)
    with pytest.raises(Conflict) as raised:
        await rig.removal.remove(entry, "box", rig.control, force=False, volumes=False)
    assert raised.value.message == (
        'cannot remove container "box": container is running: stop the container before '
        "removing or force remove"
    )
    rig.happened()
    await rig.removal.remove(entry, "box", rig.control, force=True, volumes=False)
    assert rig.happened() == ["kill", "disconnect", "die", "destroy"]
    with pytest.raises(NotFound):
        rig.registry.find("box")
    rig.add(record(number=2))


async def test_remove_says_what_a_paused_container_needs(rig: Rig) -> None:
    entry = rig.add(record())
    await rig.lifecycle.start(entry)
    await rig.control.pause(entry)
    with pytest.raises(Conflict, match="container is paused and must be unpaused first"):
        await rig.removal.remove(entry, "box", rig.control, force=False, volumes=False)


async def test_remove_takes_anonymous_volumes_only_when_asked(rig: Rig) -> None:
    mounts = [
        MountRecord(
            point=MountPoint(type="volume", name="anon"), detail=MountDetail(anonymous=True)
        ),
        MountRecord(point=MountPoint(type="volume", name="named")),
    ]
    first, second = record(), record("second", number=2)
    first.mounts = second.mounts = mounts
    await rig.removal.remove(rig.add(first), "x", rig.control, force=False, volumes=False)
    assert rig.volumes.removed == []
    await rig.removal.remove(rig.add(second), "x", rig.control, force=False, volumes=True)
    assert rig.volumes.removed == ["anon"]


async def test_a_layer_that_cannot_be_removed_leaves_a_dead_container(rig: Rig) -> None:
    entry = rig.add(record())
    rig.layers.error = LadingError("device busy")
    with pytest.raises(LadingError, match="unable to remove filesystem"):
        await rig.removal.remove(entry, "box", rig.control, force=False, volumes=False)
    assert status(entry) is Status.DEAD
    assert rig.saved(entry).state.status is Status.DEAD
    rig.layers.error = None
    await rig.removal.remove(entry, "box", rig.control, force=False, volumes=False)
    assert len(rig.registry) == 0


async def test_removals_at_once_remove_once(rig: Rig) -> None:
    entry = rig.add(record())
    results = await asyncio.gather(
        *(
            rig.removal.remove(entry, "box", rig.control, force=True, volumes=False)
            for _ in range(3)
        ),
        return_exceptions=True,
    )
    assert sum(result is None for result in results) == 1
    assert all(result is None or isinstance(result, Conflict) for result in results)


async def test_prune_takes_stopped_containers_that_pass(rig: Rig) -> None:
    running = rig.add(record("running"))
    await rig.lifecycle.start(running)
    kept, gone = record("kept", number=2), record("gone", number=3)
    gone.config.labels = {"a": "b"}
    rig.add(kept)
    rig.add(gone)
    assert await rig.removal.prune({"label": ["a=b"]}, rig.control) == ([gone.id], 100)
    assert {entry.record.name for entry in rig.registry} == {"running", "kept"}
    with pytest.raises(InvalidParameter, match="invalid filter 'foo'"):
        await rig.removal.prune({"foo": ["x"]}, rig.control)


class _Networks:
    def __init__(self, rig: Rig) -> None:
        self.events = rig.events
        self.store = rig.store

    def rename(self, made: object, old: str) -> None:
        pass


async def test_rename(rig: Rig) -> None:
    entry, other = rig.add(record()), rig.add(record("other", number=2))
    networking: object = _Networks(rig)
    for name, error, words in (
        ("", InvalidParameter, "Neither old nor new names may be empty"),
        ("box", InvalidParameter, "Renaming a container with the same name as its current name"),
        ("a!b", InvalidParameter, r"Error when allocating new name: Invalid container name \(/a!b"),
        (
            "other",
            Conflict,
            'Error when allocating new name: Conflict. The container name "/other"',
        ),
    ):
        with pytest.raises(error, match=words):
            await rename(entry, name, rig.registry, networking)  # type: ignore[arg-type]
    await rename(entry, "/fresh", rig.registry, networking)  # type: ignore[arg-type]
    assert rig.registry.find("fresh") is entry
    with pytest.raises(NotFound):
        rig.registry.find("box")
    assert rig.registry.find("other") is other


async def test_update_changes_limits_of_the_running_container(rig: Rig) -> None:
    entry = rig.add(record(memory=64 << 20, memory_swap=128 << 20))
    await rig.lifecycle.start(entry)
    updates = Updates(rig.store, rig.events)
    with pytest.raises(Conflict, match="should be smaller than already set memoryswap limit"):
        await updates.update(entry, UpdateConfig(memory=256 << 20))
    assert not rig.shim.calls[2:]
    policy = RestartPolicy(name="always")
    await updates.update(entry, UpdateConfig(memory=100 << 20, pids_limit=5, restart_policy=policy))
    assert rig.shim.resources.memory.limit == 100 << 20
    assert rig.shim.resources.pids.limit == 5
    saved = rig.saved(entry).host_config
    assert (saved.memory, saved.pids_limit, saved.restart_policy) == (100 << 20, 5, policy)


async def test_update_keeps_auto_remove_and_restart_apart(rig: Rig) -> None:
    entry = rig.add(record(auto_remove=True))
    with pytest.raises(Conflict, match="because AutoRemove is enabled"):
        await Updates(rig.store, rig.events).update(
            entry, UpdateConfig(restart_policy=RestartPolicy(name="always"))
        )
