from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from lading.api import service
from lading.api.listeners import Address
from lading.api.locks import DirectoryLock
from lading.api.options import DaemonOptions
from lading.api.service import Daemon, serve, settings_of
from lading.engine.events import EventBus
from lading.errors import LadingError
from lading.shim.spawner import SpawnerHandle

from .conftest import until

NO_SPAWNER = cast(SpawnerHandle, None)


class IdleEngine:
    """An engine without containers that notes its start and its end."""

    made: list[IdleEngine] = []  # noqa: RUF012 - emptied by the fixture
    refusal: LadingError | None = None

    def __init__(self, settings: Any, _spawner: object) -> None:
        self.settings = settings
        self.events = EventBus()
        self.started = self.stopped = False
        self.made.append(self)

    async def start(self) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.started = True

    async def stop(self) -> None:
        self.stopped = True


@pytest.fixture(autouse=True)
def _idle_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(service, "Engine", IdleEngine)
    monkeypatch.setattr(service, "settle_memory", lambda: None)
    monkeypatch.setattr("lading.api.logs.set_up", lambda _level: None)
    IdleEngine.made.clear()
    yield
    IdleEngine.refusal = None


@pytest.fixture
def chosen(tmp_path: Path) -> DaemonOptions:
    return DaemonOptions(
        data_root=str(tmp_path / "root"),
        exec_root=str(tmp_path / "run"),
        hosts=[f"unix://{tmp_path}/lading-test.sock"],
        config_file=tmp_path / "daemon.json",
    )


def daemon(chosen: DaemonOptions) -> Daemon:
    Path(chosen.data_root).mkdir()
    addresses = [Address.parse(host) for host in chosen.hosts]
    return Daemon(chosen, settings_of(chosen), addresses, NO_SPAWNER)


async def test_a_daemons_life(chosen: DaemonOptions, tmp_path: Path) -> None:
    running = asyncio.create_task(daemon(chosen).run())
    path = tmp_path / "lading-test.sock"
    await until(path.exists)
    engine = IdleEngine.made[0]
    assert engine.started
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as client,
        client.get("http://lading/_ping") as answer,
    ):
        assert await answer.read() == b"OK"

    chosen.config_file.write_text('{"labels": ["a=b"], "debug": true, "data-root": "/other"}')
    reloads = engine.events.subscribe()
    os.kill(os.getpid(), signal.SIGHUP)
    event = await asyncio.wait_for(anext(reloads), 5)
    assert (event.type, event.action) == ("daemon", "reload")
    assert engine.settings.labels == ("a=b",)
    assert engine.settings.debug

    chosen.config_file.write_text("{")
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(running, 5)
    assert engine.settings.labels == ("a=b",)
    assert engine.stopped
    assert not path.exists()


async def test_an_engine_that_does_not_start_leaves_no_socket(
    chosen: DaemonOptions, tmp_path: Path
) -> None:
    IdleEngine.refusal = LadingError("no overlay here")
    with pytest.raises(LadingError, match="no overlay here"):
        await daemon(chosen).run()
    assert not IdleEngine.made[0].stopped
    assert sorted(os.listdir(tmp_path)) == ["root"]


def test_a_root_serves_one_daemon_at_a_time(chosen: DaemonOptions, tmp_path: Path) -> None:
    holder = DirectoryLock(tmp_path / "root" / "lading.pid")
    holder.acquire("")
    with pytest.raises(LadingError) as refusal:
        serve(chosen, NO_SPAWNER)
    assert refusal.value.message == (
        f"another daemon (process {os.getpid()}) already uses {tmp_path}/root; "
        "stop it, or give this one another --root"
    )
    assert IdleEngine.made == []
    holder.release()


def test_a_pidfile_that_cannot_be_written(chosen: DaemonOptions, tmp_path: Path) -> None:
    chosen.pidfile = str(tmp_path / "nowhere" / "pid")
    with pytest.raises(LadingError, match=r"cannot write the pidfile .*: No such file"):
        serve(chosen, NO_SPAWNER)
