"""Waits, restart policies, health's judgement, lists, logs, ps columns, stats."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lading.engine import stats, times, top
from lading.engine.health import Schedule, judge, next_pause, probe_command
from lading.engine.listing import Listing
from lading.engine.logs import frame, padded
from lading.engine.model import (
    EndpointSettings,
    Health,
    Healthcheck,
    HealthcheckResult,
    HealthStatus,
    MountPoint,
    MountRecord,
    PortBinding,
    RestartPolicy,
    State,
    Status,
)
from lading.engine.registry import Entry, Registry
from lading.engine.restarts import RestartManager, starts_with_daemon
from lading.engine.store import ContainerStore
from lading.engine.waits import Condition, WaitResult, Waits, condition_of
from lading.errors import InvalidParameter, LadingError, NotFound

from .fakes import record


async def test_a_wait_for_a_stopped_container_is_over() -> None:
    state = State(status=Status.EXITED, exit_code=3, error="e")
    future = Waits().add(Condition.NOT_RUNNING, state)
    assert future.result() == WaitResult(3, "e")


async def test_waits_end_with_their_condition() -> None:
    waits, state = Waits(), State(status=Status.RUNNING)
    futures = {condition: waits.add(condition, state) for condition in Condition}
    waits.exited(WaitResult(1), final=False)
    assert [condition for condition, future in futures.items() if future.done()] == ["next-exit"]
    waits.exited(WaitResult(2), final=True)
    assert futures[Condition.NOT_RUNNING].result() == WaitResult(2)
    assert not futures[Condition.REMOVED].done()
    waits.removed(WaitResult(2))
    assert futures[Condition.REMOVED].done()


async def test_a_cancelled_wait_is_no_trouble() -> None:
    waits = Waits()
    waits.add(Condition.NEXT_EXIT, State()).cancel()
    waits.exited(WaitResult(0), final=True)


def test_wait_conditions() -> None:
    assert condition_of("") is Condition.NOT_RUNNING
    with pytest.raises(InvalidParameter, match=r'^invalid condition: "foo"$'):
        condition_of("foo")


def test_restart_delays_double_to_a_minute_and_begin_anew() -> None:
    manager = RestartManager(RestartPolicy(name="always"))
    delays = [manager.next_delay(0, 0.0, manually_stopped=False) for _ in range(12)]
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == 60.0
    assert manager.next_delay(0, 10.0, manually_stopped=False) == 0.1


@pytest.mark.parametrize(
    ("policy", "exit_code", "manually", "wanted"),
    [
        ("no", 1, False, False),
        ("", 1, False, False),
        ("always", 0, False, True),
        ("always", 0, True, True),
        ("unless-stopped", 0, False, True),
        ("unless-stopped", 0, True, False),
        ("on-failure", 0, False, False),
        ("on-failure", 1, False, True),
    ],
)
def test_restart_policies(policy: str, exit_code: int, manually: bool, wanted: bool) -> None:
    chosen = RestartPolicy(name=policy)
    manager = RestartManager(chosen)
    delay = manager.next_delay(exit_code, 0.0, manually_stopped=manually)
    assert (delay is not None) is wanted
    if not (policy == "always" and manually):
        assert starts_with_daemon(chosen, manually_stopped=manually, exit_code=exit_code) is wanted


def test_on_failure_counts_until_it_is_reset() -> None:
    policy = RestartPolicy(name="on-failure", maximum_retry_count=1)
    manager = RestartManager(policy)
    assert manager.next_delay(1, 0.0, manually_stopped=False) is not None
    assert manager.next_delay(1, 0.0, manually_stopped=False) is None
    manager.reset(policy)
    assert manager.next_delay(1, 0.0, manually_stopped=False) is not None
    manager.cancel()
    assert manager.next_delay(1, 0.0, manually_stopped=False) is None


SCHEDULE = Schedule(interval=30, timeout=30, start_period=10, start_interval=1, retries=2)


def result(code: int, after: float = 100.0) -> HealthcheckResult:
    at = times.written(int(after * 10**9))
    return HealthcheckResult(at, at, code, "")


def test_health_turns_with_enough_failures_and_back_with_one_success() -> None:
    health = Health()
    judge(health, result(1), SCHEDULE, 0)
    assert (health.status, health.failing_streak) == (HealthStatus.STARTING, 1)
    judge(health, result(1), SCHEDULE, 0)
    assert health.status is HealthStatus.UNHEALTHY
    judge(health, result(0), SCHEDULE, 0)
    assert (health.status, health.failing_streak) == (HealthStatus.HEALTHY, 0)


def test_failures_in_the_start_period_do_not_count() -> None:
    health = Health()
    for _ in range(5):
        judge(health, result(1, after=5.0), SCHEDULE, 0)
    assert (health.status, health.failing_streak) == (HealthStatus.STARTING, 0)
    judge(health, result(0, after=5.0), SCHEDULE, 0)
    judge(health, result(1, after=6.0), SCHEDULE, 0)
    assert health.failing_streak == 1


def test_health_keeps_five_results() -> None:
    health = Health()
    for code in range(7):
        judge(health, result(code), SCHEDULE, 0)
    assert [each.exit_code for each in health.log] == [2, 3, 4, 5, 6]


def test_probes_are_quicker_in_the_start_period() -> None:
    now = time.time_ns()
    assert next_pause(Health(), SCHEDULE, now) == 1
    assert next_pause(Health(), SCHEDULE, now - 11 * 10**9) == 30
    assert next_pause(Health(status=HealthStatus.HEALTHY), SCHEDULE, now) == 30


@pytest.mark.parametrize(
    ("test", "command"),
    [
        (None, None),
        ([], None),
        (["NONE"], None),
        (["CMD", "true", "x"], ["true", "x"]),
        (["CMD-SHELL", "exit 1"], ["/bin/sh", "-c", "exit 1"]),
        (["FOO", "x"], None),
    ],
)
def test_probe_commands(test: list[str] | None, command: list[str] | None) -> None:
    made = record()
    made.config.healthcheck = Healthcheck(test=test)
    assert probe_command(made) == command


def listed(
    registry: Registry, filters: dict[str, list[str]], *, everything: bool = True
) -> list[str]:
    listing = Listing(registry, filters, lambda ref: {f"sha256:{ref}"})
    return [each.name for each in listing.select(registry, everything=everything)]


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    web, database, old = (
        record("web", number=3), record("database", number=2), record("old", number=1),
    )  # fmt: skip
    web.state = State(status=Status.RUNNING, health=Health(status=HealthStatus.HEALTHY))
    web.config.labels = {"tier": "front"}
    web.host_config.port_bindings = {"80/tcp": [PortBinding()]}
    web.network_settings.networks = {"bridge": EndpointSettings(network_id="feed")}
    web.image_id = "sha256:nginx"
    database.state = State(status=Status.PAUSED)
    database.mounts = [MountRecord(point=MountPoint(name="data", destination="/var/lib"))]
    database.config.exposed_ports = {"5432/tcp": {}}
    old.state = State(status=Status.EXITED, exit_code=3)
    old.has_been_started = True
    for each in (database, web, old):
        made.reserve(each.name, each.id)
        made.add(Entry(each))
    return made


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["web", "database", "old"]),
        ({"status": ["paused", "exited"]}, ["database", "old"]),
        ({"exited": ["3"]}, ["old"]),
        ({"exited": ["0"]}, []),
        ({"name": ["^/w"]}, ["web"]),
        ({"name": ["a"]}, ["database"]),
        ({"id": ["01ab"]}, ["old"]),
        ({"label": ["tier"]}, ["web"]),
        ({"label": ["tier=back"]}, []),
        ({"health": ["healthy"]}, ["web"]),
        ({"health": ["none"]}, ["database", "old"]),
        ({"ancestor": ["nginx"]}, ["web"]),
        ({"before": ["web"]}, ["database", "old"]),
        ({"since": ["database"]}, ["web"]),
        ({"network": ["bridge"]}, ["web"]),
        ({"network": ["feed"]}, ["web"]),
        ({"volume": ["data"]}, ["database"]),
        ({"volume": ["/var/lib"]}, ["database"]),
        ({"publish": ["80"]}, ["web"]),
        ({"publish": ["70-90/tcp"]}, ["web"]),
        ({"expose": ["5432"]}, ["database"]),
    ],
)
def test_filters(registry: Registry, filters: dict[str, list[str]], names: list[str]) -> None:
    assert listed(registry, filters) == names


def test_lists_show_running_ones_unless_told(registry: Registry) -> None:
    assert listed(registry, {}, everything=False) == ["web", "database"]
    listing = Listing(registry, {}, lambda _: set())
    assert [each.name for each in listing.select(registry, everything=False, limit=3)] == [
        "web", "database", "old",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "error", "words"),
    [
        ({"foo": ["x"]}, InvalidParameter, "invalid filter 'foo'"),
        ({"status": ["x"]}, InvalidParameter, r"invalid value for state \(x\): must be one of"),
        ({"exited": ["x"]}, InvalidParameter, "invalid filter 'exited=x'"),
        ({"health": ["x"]}, InvalidParameter, r"invalid value for health \(x\)"),
        ({"publish": ["x"]}, InvalidParameter, 'invalid port specification: "x"'),
        ({"before": ["x"]}, NotFound, "No such container: x"),
    ],
)
def test_bad_filters(
    registry: Registry, filters: dict[str, list[str]], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        listed(registry, filters)


def test_frames_and_times_of_the_log() -> None:
    assert frame("stderr", b"hi") == b"\x02\0\0\0\0\0\0\x02hi"
    assert padded("2024-01-01T00:00:00.5Z") == "2024-01-01T00:00:00.500000000Z"
    assert padded("2024-01-01T00:00:00Z") == "2024-01-01T00:00:00.000000000Z"


def test_ps_full_form() -> None:
    found = top.processes([os.getpid()], "")
    assert found.titles == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert found.rows[0][1:3] == [str(os.getpid()), str(os.getppid())]
    assert "pytest" in found.rows[0][-1] or "python" in found.rows[0][-1]


def test_ps_other_forms() -> None:
    assert top.processes([], "aux").titles[:4] == ["USER", "PID", "%CPU", "%MEM"]
    assert top.processes([], "-o pid,comm").titles == ["PID", "COMMAND"]
    assert top.processes([os.getpid()], "-eo pid=ID").rows == [[str(os.getpid())]]
    assert top.processes([2**22 + 1], "").rows == []
    for bad in ("-o nosuch", "--frob", "-Z"):
        with pytest.raises(InvalidParameter, match="ps arguments"):
            top.processes([], bad)


async def test_stats_of_a_stopped_container_are_zero() -> None:
    entry = Entry(record())
    samples: AsyncIterator[dict[str, object]] = stats.samples(
        entry, "/lading/none", stream=False, one_shot=False
    )
    found = [sample async for sample in samples]
    assert len(found) == 1
    assert found[0]["name"] == "/box"
    assert found[0]["read"] == "0001-01-01T00:00:00Z"
    assert found[0]["memory_stats"] == {}


def test_stats_read_the_system() -> None:
    assert stats.system_cpu() > 0
    assert "lo" not in stats.interfaces(os.getpid())


def test_the_store_forgets_halves_and_keeps_the_unreadable(tmp_path: Path) -> None:
    store = ContainerStore(tmp_path / "containers")
    store.open()
    good = record()
    store.add(good)
    half = store.home("half")
    half.mkdir()
    bad = store.home("bad")
    bad.mkdir()
    (bad / "container.json").write_text("{")
    assert list(store.load()) == [good]
    assert not half.exists()
    assert bad.exists()
    store.delete(good.id)
    assert not store.home(good.id).exists()


async def test_what_was_noted_counts_at_once_and_becomes_the_record(tmp_path: Path) -> None:
    store = ContainerStore(tmp_path / "containers")
    store.open()
    kept = record()
    store.add(kept)
    home = store.home(kept.id)
    before = (home / "container.json").read_bytes()
    kept.state.exit_code = 7
    store.note(kept)
    assert (home / "container.json").read_bytes() == before
    assert next(store.load()).state.exit_code == 7
    await store.settled()
    assert not (home / "latest.json").exists()
    assert (home / "container.json").read_bytes() != before
    assert next(store.load()).state.exit_code == 7


async def test_a_record_that_cannot_be_saved_leaves_the_note_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ContainerStore(tmp_path / "containers")
    store.open()
    kept = record()
    store.add(kept)
    kept.state.exit_code = 7
    store.note(kept)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("lading.engine.store.write_atomically", full)
        kept.state.exit_code = 8
        with pytest.raises(LadingError, match="no space left"):
            store.save(kept)
    assert next(store.load()).state.exit_code == 7
    await store.settled()
    assert next(store.load()).state.exit_code == 7


async def test_half_a_note_does_not_count_and_a_saved_record_counts_more(tmp_path: Path) -> None:
    store = ContainerStore(tmp_path / "containers")
    store.open()
    kept = record()
    store.add(kept)
    (store.home(kept.id) / "latest.json").write_text("{")
    assert next(store.load()) == kept
    assert not (store.home(kept.id) / "latest.json").exists()
    kept.state.exit_code = 7
    store.note(kept)
    kept.state.exit_code = 8
    store.save(kept)
    assert next(store.load()).state.exit_code == 8
    store.note(kept)
    store.delete(kept.id)
    await store.settled()
    assert not list(store.load())
