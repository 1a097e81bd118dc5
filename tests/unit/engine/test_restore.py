"""What a starting daemon makes of what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lading.engine import restore as module
from lading.engine.model import MountPoint, MountRecord, RestartPolicy, Status
from lading.engine.restore import LOST, Restore
from lading.engine.waits import Condition
from lading.shim.client import Gone
from lading.shim.protocol import ExitStatus

from .fakes import FakeShim, FakeSpawner, Rig, record


class FakeRwLayers:
    """Layers by container id."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.removed: list[str] = []

    def rw_layers(self) -> list[Any]:
        return [type("Rw", (), {"container_id": each})() for each in self.ids]

    def remove_rw(self, container_id: str) -> None:
        self.removed.append(container_id)


class FakeVolumeStore:
    """Keeps the names that were removed."""

    removed: ClassVar[list[str]] = []

    def remove(self, name: str) -> None:
        self.removed.append(name)


class Found:
    """Stands for `Shim`: what is found of each container."""

    answers: ClassVar[dict[str, Any]] = {}

    @classmethod
    async def reconnect(cls, bundle: Path) -> Any:
        return cls.answers[bundle.name]


class TakenOver(FakeShim, Found):
    """A shim that was found again."""

    def __init__(self, *, started: bool = True, paused: bool = False) -> None:
        super().__init__(FakeSpawner(), "/nonexistent")
        self.started, self.paused = started, paused


@pytest.fixture
def world(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A rig whose bundles are directories, and whose shims are found by `Found`."""

    async def abandon(bundle: Path) -> ExitStatus:
        return ExitStatus(exit_code=137)

    monkeypatch.setattr(module, "Shim", Found)
    monkeypatch.setattr(module, "abandon", abandon)
    Found.answers = {}
    bundles: Any = rig.bundles
    bundles.settings = type("Settings", (), {"bundles": tmp_path / "run"})()
    bundles.path = lambda container_id: tmp_path / "run" / container_id
    return rig


async def restart(world: Rig, layers: FakeRwLayers | None = None) -> tuple[Restore, dict[str, int]]:
    """Begin a daemon's life on the records and bundles that there are."""
    parts: dict[str, Any] = {
        "layers": layers or FakeRwLayers(),
        "bundles": world.bundles,
        "volumes": FakeVolumeStore(),
    }
    restoring = Restore(
        registry=world.registry, store=world.store, lifecycle=world.lifecycle, **parts
    )
    running = await restoring.take_over()
    await restoring.settle()
    return restoring, running


def left(
    world: Rig,
    found: Any,
    *,
    status: Status = Status.RUNNING,
    mounts: Sequence[MountRecord] = (),
    **host: Any,
) -> str:
    """Leave a record and a bundle behind, as a killed daemon does; gives the id."""
    made = record(**host)
    made.mounts += mounts
    made.state.status = status
    made.has_been_started = True
    world.store.add(made)
    if found is not None:
        bundles: Any = world.bundles
        bundles.path(made.id).mkdir(parents=True)
        Found.answers[made.id] = found
    return made.id


async def test_running_containers_are_taken_over(world: Rig) -> None:
    shim = TakenOver()
    container_id = left(world, shim)
    _, running = await restart(world)
    entry = world.registry.find("box")
    assert running == {container_id: shim.pid}
    assert (entry.state.status, entry.state.pid) == (Status.RUNNING, shim.pid)
    waiting = entry.waits.add(Condition.NEXT_EXIT, entry.state)
    shim.end(4)
    assert (await waiting).status_code == 4


async def test_paused_ones_stay_paused(world: Rig) -> None:
    left(world, TakenOver(paused=True), status=Status.PAUSED)
    await restart(world)
    assert world.registry.find("box").state.status is Status.PAUSED


async def test_the_start_that_was_not_recorded(world: Rig) -> None:
    left(world, TakenOver(), status=Status.CREATED)
    await restart(world)
    assert world.registry.find("box").state.status is Status.RUNNING


async def test_ends_that_nobody_saw(world: Rig) -> None:
    left(world, ExitStatus(exit_code=7, finished_at="2999-01-01T00:00:00Z"))
    await restart(world)
    state = world.registry.find("box").state
    assert (state.status, state.exit_code) == (Status.EXITED, 7)
    assert state.finished_at == "2999-01-01T00:00:00Z"
    assert "die" in world.happened()


async def test_an_end_is_followed_by_the_restart_policy(world: Rig) -> None:
    left(world, ExitStatus(exit_code=7), restart_policy=RestartPolicy(name="always"))
    await restart(world)
    entry = world.registry.find("box")
    assert entry.state.status is Status.RESTARTING
    assert entry.restarter is not None
    await entry.restarter
    assert len(world.spawner.shims) == 1


async def test_a_shim_that_was_killed(world: Rig) -> None:
    left(world, Gone(Path("/nonexistent")))
    await restart(world)
    assert world.registry.find("box").state.exit_code == 137


async def test_a_machine_that_was_restarted(world: Rig) -> None:
    left(world, None)
    await restart(world)
    state = world.registry.find("box").state
    assert (state.status, state.exit_code) == (Status.EXITED, LOST)


async def test_a_container_that_was_created_and_not_started_is_undone(world: Rig) -> None:
    shim = TakenOver(started=False)
    left(world, shim, status=Status.CREATED)
    await restart(world)
    assert shim.calls == ["quit"]
    assert world.registry.find("box").state.status is Status.CREATED


@pytest.mark.parametrize(
    ("policy", "manually", "starts"),
    [("always", True, True), ("unless-stopped", True, False), ("unless-stopped", False, True)],
)
async def test_stopped_ones_start_by_their_policy(
    world: Rig, policy: str, manually: bool, starts: bool
) -> None:
    made = record(restart_policy=RestartPolicy(name=policy))
    made.state.status = Status.EXITED
    made.has_been_started = True
    made.manually_stopped = manually
    world.store.add(made)
    seen = world.events.subscribe(filters={"event": ["start"]})
    await restart(world)
    if starts:
        assert (await anext(aiter(seen))).action == "start"
    assert bool(world.spawner.shims) is starts


def _image_mount(layer: str) -> MountRecord:
    return MountRecord(point=MountPoint(type="image", source=f"/overlay2/{layer}/merged"))


async def test_rests_are_cleared_away(world: Rig, tmp_path: Path) -> None:
    layers = FakeRwLayers()
    kept = left(world, None, status=Status.EXITED, mounts=[_image_mount("a" * 64)])
    layers.ids = [kept, "a" * 64, "f" * 64]
    stale = tmp_path / "run" / ("e" * 64)
    stale.mkdir(parents=True)
    await restart(world, layers)
    assert layers.removed == ["f" * 64]
    assert not stale.exists()


async def test_volumes_of_halves_go_with_them(world: Rig) -> None:
    FakeVolumeStore.removed.clear()
    kept = record()
    kept.mounts = [MountRecord(point=MountPoint(type="volume", name="used"))]
    world.store.tie_volumes("half", ["fresh", "used"])
    world.store.add(kept)
    world.store.tie_volumes(kept.id, ["kept"])
    await restart(world)
    assert FakeVolumeStore.removed == ["fresh"]
    assert [path.name for path in world.store.home(kept.id).iterdir()] == ["container.json"]


async def test_two_records_of_one_name_are_both_kept(world: Rig) -> None:
    for number in (1, 2):
        world.store.add(record("box", number=number))
    await restart(world)
    assert len(world.registry) == 2
