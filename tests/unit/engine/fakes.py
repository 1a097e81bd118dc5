"""A container's surroundings for tests of the state rules: no root, no processes, no mounts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lading.engine.announce import announce
from lading.engine.background import Background
from lading.engine.control import Control
from lading.engine.events import Event, EventBus, EventType
from lading.engine.execs import Execs
from lading.engine.health import HealthChecks
from lading.engine.lifecycle import Lifecycle
from lading.engine.model import Container, ContainerConfig, HealthStatus, HostConfig, Status
from lading.engine.registry import Entry, Registry
from lading.engine.removal import Removal
from lading.engine.store import ContainerStore
from lading.engine.users import Accounts
from lading.errors import Conflict, LadingError
from lading.shim.protocol import ExitStatus, SpawnRequest, Streams


def record(name: str = "box", *, number: int = 1, **host: Any) -> Container:
    """Make a container's record as a creation leaves it."""
    container_id = f"{number:02d}" + "ab" * 31
    return Container(
        id=container_id,
        name=name,
        created=f"2024-01-01T00:00:{number:02d}Z",
        path="sleep",
        args=["60"],
        image_id="sha256:" + "0" * 64,
        config=ContainerConfig(image="busybox", cmd=["sleep", "60"], hostname=container_id[:12]),
        host_config=HostConfig(**host),
    )


def status(entry: Entry) -> Status:
    """Give a container's status as it is now."""
    return entry.state.status


def health(entry: Entry) -> HealthStatus:
    """Give what the health check says now."""
    assert entry.state.health is not None
    return entry.state.health.status


class FakeAttachment:
    def __init__(self) -> None:
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def wait(self) -> bool:
        return await self.ended


class FakeShim:
    """A shim whose container ends when a test, or a deadly signal, says so."""

    def __init__(self, spawner: FakeSpawner, bundle: str) -> None:
        self.spawner = spawner
        self.bundle = Path(bundle)
        self.pid = 4242
        self.started = False
        self.paused = False
        self.signals: list[int] = []
        self.deadly = {9, 15}
        self.calls: list[str] = []
        self.attached: list[tuple[socket.socket, Streams]] = []
        self.attachment: FakeAttachment | None = None
        self.on_oom: Callable[[], None] | None = None
        self.exec_codes: dict[str, asyncio.Future[int]] = {}
        self.exec_attached: dict[str, FakeAttachment] = {}
        self.exec_error: LadingError | None = None
        self.resources: Any = None
        self._ended: asyncio.Future[ExitStatus] = asyncio.get_running_loop().create_future()

    async def ready(self) -> None:
        self.calls.append("ready")
        if self.spawner.ready_error is not None:
            raise self.spawner.ready_error

    async def start(self) -> None:
        self.calls.append("start")
        for error in (self.spawner.ready_error, self.spawner.start_error):
            if error is not None:
                for sock, _ in self.attached:  # a shim whose container failed ends
                    sock.close()
                raise error
        self.started = True

    async def signal(self, signo: int, *, everyone: bool = False) -> None:
        if self._ended.done():
            raise Conflict("the process has ended")
        self.signals.append(signo)
        if signo in self.deadly and not (self.paused and signo != 9):
            self.end(128 + signo)

    def end(self, exit_code: int = 0, *, oom: bool = False) -> None:
        self._ended.set_result(
            ExitStatus(exit_code=exit_code, oom_killed=oom, finished_at="2999-01-01T00:00:00Z")
        )

    async def wait(self) -> ExitStatus:
        return await asyncio.shield(self._ended)

    async def attach(self, sock: socket.socket, streams: Streams) -> FakeAttachment:
        self.calls.append("attach")
        self.attached.append((sock, streams))
        self.attachment = FakeAttachment()
        return self.attachment

    async def exec(
        self,
        exec_id: str,
        process: Any,
        *,
        sock: socket.socket | None = None,
        streams: Streams | None = None,
    ) -> int:
        if self.exec_error is not None:
            raise self.exec_error
        self.exec_codes[exec_id] = asyncio.get_running_loop().create_future()
        if sock is not None:
            self.attached.append((sock, streams or Streams()))
            self.exec_attached[exec_id] = FakeAttachment()
        return 4300 + len(self.exec_codes)

    def exec_attachment(self, exec_id: str) -> FakeAttachment | None:
        return self.exec_attached.get(exec_id)

    async def exec_wait(self, exec_id: str) -> int:
        return await asyncio.shield(self.exec_codes[exec_id])

    async def exec_signal(self, exec_id: str, signo: int) -> None:
        self.exec_codes[exec_id].set_result(128 + signo)

    async def pause(self) -> None:
        self.calls.append("pause")
        self.paused = True

    async def resume(self) -> None:
        self.calls.append("resume")
        self.paused = False

    async def update(self, resources: Any) -> list[str]:
        self.calls.append("update")
        self.resources = resources
        return []

    async def quit(self) -> None:
        self.calls.append("quit")


class FakeSpawner:
    def __init__(self) -> None:
        self.shims: list[FakeShim] = []
        self.ready_error: LadingError | None = None
        self.start_error: LadingError | None = None

    async def spawn(self, request: SpawnRequest) -> FakeShim:
        shim = FakeShim(self, request.bundle)
        self.shims.append(shim)
        return shim


@dataclass
class FakeBundles:
    made: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def make(self, record: Container) -> SpawnRequest:
        self.made.append(record.id)
        return SpawnRequest(container_id=record.id, bundle=f"/nonexistent/{record.id}")

    def remove(self, record: Container) -> None:
        self.removed.append(record.id)


@dataclass
class FakeMounting:
    released: list[str] = field(default_factory=list)

    def hold(self, record: Container) -> None:
        pass

    def release(self, record: Container) -> None:
        self.released.append(record.id)


@dataclass
class FakeNetworking:
    events: EventBus
    connected: set[str] = field(default_factory=set)
    error: LadingError | None = None

    def prepare(self, record: Container) -> None:
        pass

    def connect(self, record: Container, pid: int) -> None:
        if self.error is not None:
            raise self.error
        self.connected.add(record.id)

    def tell_connected(self, record: Container) -> None:
        if record.id in self.connected:
            self.events.publish(EventType.NETWORK, "connect", "net", {"container": record.id})

    def disconnect(self, record: Container) -> None:
        if record.id in self.connected:
            self.connected.discard(record.id)
            self.events.publish(EventType.NETWORK, "disconnect", "net", {"container": record.id})


class FakeLayers:
    def __init__(self) -> None:
        self.removed: list[str] = []
        self.error: LadingError | None = None

    def remove_rw(self, container_id: str) -> None:
        if self.error is not None:
            raise self.error
        self.removed.append(container_id)

    def rw(self, container_id: str) -> str:
        return container_id

    def size(self, rw: str) -> int:
        return 100


class FakeVolumes:
    def __init__(self) -> None:
        self.removed: list[str] = []

    async def remove(self, name: str) -> None:
        self.removed.append(name)


class FakeAccounts:
    def of_running(self, pid: int) -> Accounts:
        return Accounts.parse("root:x:0:0::/root:/bin/sh\nmary:x:7:8::/home/mary:/bin/sh\n", "")


class Rig:
    """The parts of an engine that a container's life needs, on fakes."""

    def __init__(self, directory: Path) -> None:
        self.events = EventBus()
        self.subscription = self.events.subscribe()
        self.store = ContainerStore(directory / "containers")
        self.store.open()
        self.registry = Registry()
        self.background = Background()
        self.spawner = FakeSpawner()
        self.bundles = FakeBundles()
        self.networking = FakeNetworking(self.events)
        self.layers = FakeLayers()
        self.volumes = FakeVolumes()
        accounts: Any = FakeAccounts()
        self.execs = Execs(self.registry, self.events, accounts, self.background)
        self.health = HealthChecks(self.execs.probe, self.events, self.background, self.store.save)
        parts: dict[str, Any] = {
            "bundles": self.bundles,
            "networking": self.networking,
            "mounting": FakeMounting(),
            "spawner": self.spawner,
        }
        layers: Any = self.layers
        volumes: Any = self.volumes
        self.removal = Removal(self.registry, self.store, layers, volumes, self.execs, self.events)
        self.lifecycle = Lifecycle(
            store=self.store,
            events=self.events,
            health=self.health,
            background=self.background,
            auto_remove=self.removal.auto_remove,
            **parts,
        )
        self.control = Control(self.lifecycle, self.health, self.events, self.store, 10)

    def add(self, made: Container) -> Entry:
        """Put a created container into the registry and on disk."""
        self.registry.reserve(made.name, made.id)
        entry = Entry(made)
        self.registry.add(entry)
        self.store.add(made)
        announce(self.events, made, "create")
        return entry

    @property
    def shim(self) -> FakeShim:
        """The latest shim."""
        return self.spawner.shims[-1]

    def happened(self) -> list[str]:
        """Give the actions of all events so far, in their order, and forget them."""
        queue = self.subscription._queue
        found: list[Event] = list(queue)
        queue.clear()
        return [event.action for event in found]

    def saved(self, entry: Entry) -> Container:
        """Read a container's record from disk."""
        return next(each for each in self.store.load() if each.id == entry.id)
