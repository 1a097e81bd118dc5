"""An engine in memory, for what the API itself has to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from typing import Any

from lading.engine.containers import Created, WaitResult
from lading.engine.events import EventBus
from lading.engine.execs import Exec
from lading.engine.model import (
    AttachOptions,
    Container,
    ContainerConfig,
    ExecConfig,
    HostConfig,
    LogOptions,
    State,
    Status,
)
from lading.errors import NotFound

IMAGE_ID = "sha256:" + "1" * 64


def container(name: str = "box", **changes: Any) -> Container:
    """Return a container that runs, unless `state` says otherwise."""
    given: dict[str, Any] = {
        "id": "c0ffee" + "0" * 58,
        "name": name,
        "created": "2026-01-02T03:04:05.678901234Z",
        "path": "sleep",
        "args": ["60"],
        "image_id": IMAGE_ID,
        "config": ContainerConfig(image="busybox", cmd=["sleep", "60"]),
        "host_config": HostConfig(network_mode="bridge"),
        "state": State(status=Status.RUNNING, pid=42, started_at="2026-01-02T03:04:06Z"),
    }
    return Container(**(given | changes))


@dataclass
class FakeSession:
    """Streams that echo what is written to them, upper-cased, until stdin is closed."""

    multiplexed: bool = False
    output: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    written: bytearray = field(default_factory=bytearray)
    detach_on: bytes = b"\x10\x11"
    stdin_closed: bool = False
    closed: bool = False

    async def read(self) -> bytes:
        return await self.output.get()

    async def write(self, data: bytes) -> bool:
        if data.endswith(self.detach_on):
            self.output.put_nowait(b"")
            return False
        self.written += data
        self.output.put_nowait(data.upper())
        return True

    async def close_stdin(self) -> None:
        self.stdin_closed = True
        self.output.put_nowait(b"")

    def close(self) -> None:
        self.closed = True
        self.output.put_nowait(b"")


@dataclass
class FakeContainers:
    known: dict[str, Container] = field(default_factory=dict)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)
    session: FakeSession = field(default_factory=FakeSession)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    log: list[bytes] = field(default_factory=list)
    log_follows: asyncio.Event | None = None
    log_closed: bool = False

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        failure = self.failures.get(call[0])
        if failure is not None:
            raise failure

    async def create(
        self, name: str | None, config: ContainerConfig, *rest: Any, **more: Any
    ) -> Created:
        self._note("create", name, config, *rest, more)
        return Created("f" * 64, [])

    def get(self, ref: str) -> Container:
        self._note("get", ref)
        if ref not in self.known:
            raise NotFound(f"No such container: {ref}")
        return self.known[ref]

    def list(self, **options: Any) -> list[Container]:
        self._note("list", options)
        return list(self.known.values())

    async def start(self, ref: str) -> None:
        self._note("start", ref)

    async def stop(self, ref: str, *, seconds: int | None = None, signal: str = "") -> None:
        self._note("stop", ref, seconds, signal)

    def wait(self, ref: str, condition: str = "not-running") -> Awaitable[WaitResult]:
        self._note("wait", ref, condition)

        async def until_ended() -> WaitResult:
            await self.ended.wait()
            return WaitResult(3)

        return until_ended()

    async def remove(self, ref: str, **options: bool) -> None:
        self._note("remove", ref, options)

    async def attach(self, ref: str, options: AttachOptions) -> FakeSession:
        self._note("attach", ref, options)
        return self.session

    async def logs(self, ref: str, options: LogOptions) -> AsyncIterator[bytes]:
        self._note("logs", ref, options)
        return self._lines()

    async def _lines(self) -> AsyncIterator[bytes]:
        try:
            for line in self.log:
                yield line
            if self.log_follows is not None:
                await self.log_follows.wait()
        finally:
            self.log_closed = True

    async def put_archive(self, ref: str, path: str, source: Any, **options: bool) -> None:
        content = await asyncio.to_thread(source.read)
        self._note("put_archive", ref, path, content, options)


@dataclass
class FakeExecs:
    known: dict[str, Exec] = field(default_factory=dict)
    session: FakeSession = field(default_factory=FakeSession)
    failure: Exception | None = None

    def create(self, ref: str, config: ExecConfig) -> str:
        self.known["e1"] = Exec("e1", ref, config)
        return "e1"

    def get(self, exec_id: str) -> Exec:
        if exec_id not in self.known:
            raise NotFound(f"No such exec instance: {exec_id}")
        return self.known[exec_id]

    async def start(self, exec_id: str, options: Any) -> FakeSession | None:
        if self.failure is not None:
            raise self.failure
        return None if options.detach else self.session


class FakeEngine:
    """What the routes use of an engine."""

    def __init__(self) -> None:
        self.events = EventBus()
        self.containers = FakeContainers()
        self.execs = FakeExecs()
