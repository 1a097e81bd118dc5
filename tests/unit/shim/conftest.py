"""Shared means of the shim's tests: a busybox root, a spawner, containers, attached clients."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lading.errors import LadingError
from lading.kernel import cgroups
from lading.oci import defaults
from lading.oci import spec as oci_spec
from lading.oci.spec import Process, Spec
from lading.shim.client import Shim, Spawner
from lading.shim.logfile import LogEntry, read
from lading.shim.protocol import LogConfig, SpawnRequest, Streams
from lading.shim.spawner import fork_spawner
from lading.shim.streams import Demultiplexer

BUSYBOX = Path("/bin/busybox")
APPLETS = "sh cat echo grep head ls mount ps sleep kill true stty tty yes seq dd tail wc env"
CGROUP_PARENT = f"/lading-test-shim-{os.getpid()}"
"""Of this run alone: it is removed at the end of each test."""
PATIENCE = 20.0
"""Seconds after which a test that waits for something has failed."""


@pytest.fixture(scope="session", autouse=True)
def _no_cgroup_stays() -> Iterator[None]:
    """Remove the run's cgroup at its very end, with what a test that failed left in it."""
    yield
    parent = cgroups.at(CGROUP_PARENT)
    parent.kill()
    with suppress(LadingError, OSError):
        parent.delete()


@dataclass
class Client:
    """The other end of an attachment."""

    sock: socket.socket
    got: bytes = b""

    async def until(self, text: bytes) -> bytes:
        """Read until `text` has come."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            while text not in self.got:
                data = await loop.sock_recv(self.sock, 65536)
                assert data, f"ended before {text!r}: {self.got[-300:]!r}"
                self.got += data
        return self.got

    async def some(self, length: int) -> None:
        """Read until `length` bytes have come."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            while len(self.got) < length:
                self.got += await loop.sock_recv(self.sock, 65536)

    async def rest(self) -> bytes:
        """Read to the end."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionResetError):
                while data := await loop.sock_recv(self.sock, 65536):
                    self.got += data
        return self.got

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            await asyncio.get_running_loop().sock_sendall(self.sock, data)

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()


def streams_of(data: bytes) -> dict[int, bytes]:
    """Take a multiplexed stream apart; a piece that is left over is an error."""
    found: dict[int, bytes] = {}
    length = 0
    for number, payload in Demultiplexer().feed(data):
        found[number] = found.get(number, b"") + payload
        length += 8 + len(payload)
    assert length == len(data)
    return found


@dataclass
class Yard:
    """Makes bundles, runs containers on them through a spawner, and takes everything away."""

    base: Path
    spawner: Spawner
    shims: list[Shim] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    spawner_pids: list[int] = field(default_factory=list)

    @property
    def rootfs(self) -> Path:
        return self.base / "rootfs"

    def make_root(self) -> None:
        for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "root"):
            (self.rootfs / name).mkdir(parents=True)
        shutil.copy(BUSYBOX, self.rootfs / "bin/busybox")
        for applet in APPLETS.split():
            (self.rootfs / "bin" / applet).symlink_to("busybox")

    def bundle(self, name: str = "c") -> Path:
        return self.base / "containers" / name

    def log_path(self, name: str = "c") -> Path:
        return self.base / f"{name}-json.log"

    def container_id(self, name: str = "c") -> str:
        return f"lading-test-{name}-{os.getpid()}-{self.base.name}"

    def spec(self, *args: str, tty: bool = False, name: str = "c") -> Spec:
        """Give Docker's defaults, in a cgroup of the tests."""
        spec = defaults.spec(str(self.rootfs))
        assert spec.process is not None
        assert spec.linux is not None
        spec.process.terminal = tty
        spec.process.args = list(args)
        spec.linux.cgroups_path = f"{CGROUP_PARENT}/{self.container_id(name)}"
        return spec

    def process(self, *args: str, tty: bool = False) -> Process:
        """Give a process for exec."""
        process = self.spec(*args, tty=tty).process
        assert process is not None
        return process

    async def create(
        self,
        *args: str,
        tty: bool = False,
        name: str = "c",
        spec: Spec | None = None,
        log: LogConfig | None = None,
        stdin: bool = False,
        stdin_once: bool = True,
    ) -> Shim:
        """Bring up a container until it waits for its start."""
        bundle = self.bundle(name)
        bundle.mkdir(parents=True, exist_ok=True)
        spec = spec or self.spec(*args, tty=tty, name=name)
        (bundle / "config.json").write_bytes(oci_spec.encode(spec))
        request = SpawnRequest(
            container_id=self.container_id(name),
            bundle=str(bundle),
            open_stdin=stdin,
            stdin_once=stdin_once,
            log=log or LogConfig(path=str(self.log_path(name))),
        )
        shim = await self.spawner.spawn(request)
        self.shims.append(shim)
        await shim.ready()
        return shim

    async def attach(self, shim: Shim, **streams: object) -> Client:
        """Attach a client to everything, unless told otherwise."""
        wanted = Streams(**{"stdin": True, "stdout": True, "stderr": True, **streams})  # type: ignore[arg-type]
        client, theirs = self.pair()
        await shim.attach(theirs, wanted)
        return client

    def pair(self) -> tuple[Client, socket.socket]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        client = Client(ours)
        self.clients.append(client)
        return client, theirs

    async def run(self, *args: str, tty: bool = False) -> tuple[int, bytes]:
        """Run a container to its end: its exit code and what it wrote."""
        shim = await self.create(*args, tty=tty)
        client = await self.attach(shim)
        await shim.start()
        output = await client.rest()
        status = await shim.wait()
        await shim.quit()
        return status.exit_code, output

    async def log(self, name: str = "c") -> list[LogEntry]:
        """Read the whole log."""
        return [entry async for batch in read(self.log_path(name)) for entry in batch]

    async def close(self) -> None:
        """End what a test left, however it ended."""
        for client in self.clients:
            client.close()
        for shim in self.shims:
            with suppress(LadingError, asyncio.CancelledError):
                if shim.started:
                    with suppress(LadingError):
                        await shim.signal(signal.SIGKILL)
                    await shim.wait()
                await shim.quit()
            with suppress(LadingError, asyncio.CancelledError):
                await shim.close()
        await self.spawner.close()


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    """A place to run containers; checks afterwards that nothing of them is left."""
    if not BUSYBOX.exists():
        pytest.skip("a static /bin/busybox is needed")
    spawner = await Spawner.start(fork_spawner())
    made = Yard(tmp_path, spawner)
    made.make_root()
    yield made
    try:
        await _check_nothing_is_left(made)
    finally:
        with suppress(OSError):
            cgroups.at(CGROUP_PARENT).delete()


async def _check_nothing_is_left(made: Yard) -> None:
    pids = [pid for shim in made.shims for pid in (shim.shim_pid, shim.pid) if pid]
    await made.close()
    for pid in pids:
        await gone(pid)
    for path in (made.base / "containers").glob("*"):
        assert not cgroups.at(f"{CGROUP_PARENT}/{made.container_id(path.name)}").exists()
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        assert str(made.base) not in file.read()


async def gone(pid: int) -> None:
    """Wait until a process has ended, whoever's child it is."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pidfd, ended.set)
    try:
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def run_python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a program of its own, e.g. a daemon that is to be killed."""
    return subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, timeout=60, check=False
    )
