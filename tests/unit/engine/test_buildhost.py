"""What the engine does for a build: images that are pulled, containers that go or stay."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lading.build.contracts import BuildFailed, Command
from lading.engine.buildhost import BuildHost, BuildSettings
from lading.engine.model import ContainerConfig, HostConfig
from lading.errors import InvalidParameter, LadingError, NotFound
from lading.image.model import Config
from lading.image.registry.progress import Step
from lading.image.registry.settings import Credentials


@dataclass
class Session:
    frames: list[bytes]

    async def read(self) -> bytes:
        return self.frames.pop(0) if self.frames else b""

    def close(self) -> None:
        self.frames.clear()


@dataclass
class FakeContainers:
    code: int = 0
    failure: BaseException | None = None
    frames: list[bytes] = field(default_factory=list)
    made: list[tuple[ContainerConfig, HostConfig]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    async def create(self, _name: None, config: ContainerConfig, host: HostConfig) -> Any:
        self.made.append((config, host))
        return SimpleNamespace(id=f"{len(self.made):064d}")

    async def attach(self, _ref: str, _options: object) -> Session:
        return Session(list(self.frames))

    def wait(self, _ref: str, _condition: str) -> Awaitable[Any]:
        async def ended() -> Any:
            return SimpleNamespace(status_code=self.code)

        return asyncio.ensure_future(ended())

    async def start(self, _ref: str) -> None:
        if self.failure is not None:
            raise self.failure

    async def remove(self, ref: str, *, force: bool, volumes: bool) -> None:
        assert force
        assert volumes
        self.removed.append(ref)


@dataclass
class FakeTransfers:
    asked: list[tuple[str, Credentials, str]] = field(default_factory=list)
    images: set[str] = field(default_factory=set)

    def get(self, ref: str) -> Any:
        if ref not in self.images:
            raise NotFound(f"No such image: {ref}")
        return SimpleNamespace(id=ref, diff_ids=())

    async def pull(self, ref: Any, login: Credentials, report: Any, platform: str) -> Any:
        self.asked.append((ref.familiar, login, platform))
        report(Step("Pulling from x", "1"))
        self.images.add(ref.familiar)
        return SimpleNamespace(verdict="Downloaded newer image for")


LOGINS = {"here:5000": Credentials("me", "secret")}


class Bench:
    def __init__(self, place: Path, containers: FakeContainers, **settings: Any) -> None:
        self.transfers = FakeTransfers()
        self.said: list[dict[str, Any]] = []
        upper = place / "upper"
        upper.mkdir()
        self.containers = containers
        self.host = BuildHost(
            containers=cast("Any", containers),
            images=cast("Any", self.transfers),
            layers=cast("Any", SimpleNamespace(rw=lambda _: SimpleNamespace(upper=upper))),
            transfers=cast("Any", self.transfers),
            caches=cast("Any", None),
            files=place,
            memory=place,
            settings=BuildSettings(
                login=lambda host: LOGINS.get(host, Credentials()),
                shown=lambda step: {"status": step.status},
                **settings,
            ),
        )

    async def run(self) -> None:
        command = Command("sha256:1", Config(user="u"), ["sh", "-c", "x"], ["A=1"], "none")
        assert await self.host.run(command, cast("Any", None), self.said.append) is None

    @property
    def text(self) -> str:
        return "".join(one.get("stream", "") for one in self.said)


async def test_a_command_gets_the_builds_limits(tmp_path: Path) -> None:
    frames = [b"\1\0\0\0\0\0\0\3ou", b"t\2\0\0\0\0\0\0\3err"]
    bench = Bench(tmp_path, FakeContainers(frames=frames), limits=HostConfig(memory=7, shm_size=8))
    await bench.run()
    ((config, host),) = bench.containers.made
    assert (config.entrypoint, config.cmd, config.user) == (["sh"], ["-c", "x"], "u")
    assert (host.memory, host.shm_size, host.network_mode) == (7, 8, "none")
    assert bench.host.settings.limits.network_mode == ""
    assert bench.text == (
        " ---> Running in 000000000000\nout\x1b[91merr\x1b[0m"
        " ---> Removed intermediate container 000000000000\n"
    )
    assert bench.host.kept == []


async def test_a_command_that_fails_leaves_its_container(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeContainers(code=3))
    with pytest.raises(BuildFailed, match="The command 'sh -c x' returned") as caught:
        await bench.run()
    assert caught.value.code == 3
    assert bench.containers.removed == []
    await bench.host.remove_kept(bench.said.append)
    assert len(bench.containers.removed) == 1
    assert bench.text.endswith(" ---> Removed intermediate container 000000000000\n")


async def test_a_container_that_does_not_start_is_left(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeContainers(failure=LadingError("no such program")))
    with pytest.raises(LadingError, match="no such program"):
        await bench.run()
    assert len(bench.host.kept) == 1


@pytest.mark.parametrize("failure", [asyncio.CancelledError(), RuntimeError("a bug")])
async def test_what_is_cut_short_leaves_none(tmp_path: Path, failure: BaseException) -> None:
    bench = Bench(tmp_path, FakeContainers(failure=failure), remove=False)
    with pytest.raises(type(failure)):
        await bench.run()
    assert len(bench.containers.removed) == 1
    assert bench.host.kept == []


async def test_containers_stay_if_asked(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeContainers(), remove=False)
    await bench.run()
    assert bench.containers.removed == []
    assert bench.text == " ---> Running in 000000000000\n"


async def test_an_image_that_is_here_is_not_pulled(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeContainers(), platform="linux/arm64")
    bench.transfers.images.add("x")
    assert (await bench.host.find_image("x", "linux/amd64", bench.said.append)).id == "x"
    assert bench.transfers.asked == []


async def test_an_image_that_is_not_here_is_pulled(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeContainers(), platform="linux/arm64")
    await bench.host.find_image("here:5000/x", "", bench.said.append)
    await bench.host.find_image("y", "linux/amd64", bench.said.append)
    assert bench.transfers.asked == [
        ("here:5000/x:latest", LOGINS["here:5000"], "linux/arm64"),
        ("y:latest", Credentials(), "linux/amd64"),
    ]
    assert bench.said[:2] == [
        {"status": "Pulling from x"},
        {"status": "Status: Downloaded newer image for here:5000/x:latest"},
    ]


async def test_pull_asks_for_what_is_here_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeContainers(), pull=True)
    bench.transfers.images.add("x:1")
    await bench.host.find_image("x:1", "", bench.said.append)
    assert len(bench.transfers.asked) == 1


async def test_a_platform_that_is_none_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeContainers())
    with pytest.raises(InvalidParameter, match="failed to parse platform xx: "):
        await bench.host.find_image("x", "xx", bench.said.append)
