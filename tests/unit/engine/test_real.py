"""The engine on the real stack: containers of busybox, in a network namespace of our own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tarfile
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from lading.engine.engine import Engine
from lading.engine.failures import CannotStart
from lading.engine.model import (
    AttachOptions,
    Container,
    ContainerConfig,
    ExecConfig,
    ExecStartConfig,
    Healthcheck,
    HostConfig,
    LogOptions,
    Status,
    UpdateConfig,
)
from lading.engine.settings import Settings
from lading.errors import LadingError
from lading.kernel.cgroups import at
from lading.kernel.mountinfo import mountinfo
from lading.kernel.namespaces import CloneFlag, unshare

BUSYBOX = next((path for path in ("/usr/bin/busybox", "/bin/busybox") if Path(path).exists()), None)
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(BUSYBOX is None, reason="needs Debian's busybox-static"),
]

Work = Callable[[Engine], Awaitable[None]]
PARENT = f"lading-test-engine-{os.getpid()}"


def image_tar() -> BytesIO:
    """Make a root file system of busybox and the files of a small distribution."""
    assert BUSYBOX is not None
    raw = BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name in ("bin", "etc", "tmp", "root", "home", "home/mary"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        tar.add(BUSYBOX, "bin/busybox")
        for name in ("sh", "sleep", "true", "cat", "id", "echo", "env", "hostname", "ls", "kill"):
            info = tarfile.TarInfo(f"bin/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
        for name, text in (
            ("etc/passwd", "root:x:0:0::/root:/bin/sh\nmary:x:1000:1000::/home/mary:/bin/sh\n"),
            ("etc/group", "root:x:0:\nmary:x:1000:\nteam:x:50:mary\n"),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, BytesIO(text.encode()))
    raw.seek(0)
    return raw


@asynccontextmanager
async def running(root: Path, **settings: Any) -> AsyncIterator[Engine]:
    """Run an engine on `root` without a default bridge, with the image `box`."""
    chosen = {"bridge": "none", "cgroup_parent": PARENT, **settings}
    engine = Engine(Settings(root=root / "root", run=root / "run", **chosen))
    await engine.start()
    try:
        if not engine.images.list():
            await engine.images.import_image(image_tar(), repository="box")
        yield engine
    finally:
        await engine.stop()


def isolated(root: Path, work: Work, **settings: Any) -> None:
    """Do `work` with an engine, in a child that has a network of its own."""

    async def with_engine() -> None:
        async with running(root, **settings) as engine:
            await work(engine)

    in_own_network(root, with_engine)


def in_own_network(root: Path, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` in a child that has a network of its own; what it raises fails the test."""
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            unshare(CloneFlag.NEWNET)
            asyncio.run(within(work))
            status = 0
        except BaseException:  # noqa: BLE001 - the parent reports whatever it was
            os.write(send, traceback.format_exc().encode()[-60000:])
        finally:
            os._exit(status)
    os.close(send)
    with os.fdopen(receive) as stream:
        report = stream.read()
    _, code = os.waitpid(pid, 0)
    if code:
        pytest.fail(f"exit status {code}\n{report}")
    assert not [mount for mount in mountinfo() if str(root) in mount.mount_point]
    at(f"/{PARENT}").delete()


async def within(work: Callable[[], Awaitable[None]]) -> None:
    """Do `work`; a test that hangs is to fail."""
    async with asyncio.timeout(30):
        await work()


@pytest.fixture
def root() -> Any:
    """A short directory: the path of a shim's socket has 108 bytes at most."""
    path = Path(f"/tmp/lading-test-{os.getpid()}")
    path.mkdir()
    yield path
    shutil.rmtree(path)


async def made(engine: Engine, *command: str, **options: Any) -> Container:
    """Create a container without a network; `host_…` are for its HostConfig."""
    host = {key[5:]: value for key, value in options.items() if key.startswith("host_")}
    config = {key: value for key, value in options.items() if not key.startswith("host_")}
    created = await engine.containers.create(
        config.pop("name", None),
        ContainerConfig(image="box", cmd=list(command), **config),
        HostConfig(**{"network_mode": "none", **host}),
    )
    return engine.containers.get(created.id)


async def output_of(engine: Engine, *command: str, **options: Any) -> str:
    """Run a command to its end and give what it wrote."""
    record = await made(engine, *command, tty=False, **options)
    await engine.containers.start(record.id)
    await engine.containers.wait(record.id)
    chunks = await engine.containers.logs(record.id, LogOptions(stdout=True, stderr=True))
    text = plain(b"".join([chunk async for chunk in chunks]))
    await engine.containers.remove(record.id)
    return text


def plain(frames: bytes) -> str:
    """Take the headers out of a multiplexed stream."""
    found = b""
    while frames:
        size = int.from_bytes(frames[4:8], "big")
        found += frames[8 : 8 + size]
        frames = frames[8 + size :]
    return found.decode()


async def everything(session: Any) -> bytes:
    """Read a session to its end."""
    found = b""
    while chunk := await session.read():
        found += chunk
    session.close()
    return found


def test_run_to_the_end_and_nothing_is_left(root: Path) -> None:
    async def work(engine: Engine) -> None:
        record = await made(engine, "sh", "-c", "echo out; echo err >&2; exit 3")
        waiting = engine.containers.wait(record.id, "next-exit")
        await engine.containers.start(record.id)
        assert (await waiting).status_code == 3
        await engine.containers.remove(record.id)
        assert [path.name for path in (root / "run" / "containers").glob("[!.]*")] == []
        assert list((root / "root" / "containers").iterdir()) == []
        assert not at(f"/{PARENT}/{record.id}").exists()

    isolated(root, work)


def test_what_a_process_sees(root: Path) -> None:
    async def work(engine: Engine) -> None:
        assert await output_of(engine, "hostname", hostname="ship") == "ship\n"
        assert await output_of(engine, "id", "-u", user="mary") == "1000\n"
        assert "50(team)" in await output_of(engine, "id", user="mary")
        assert "HOME=/home/mary" in await output_of(engine, "env", user="mary")
        assert await output_of(engine, "sh", "-c", "pwd", working_dir="/new/place") == (
            "/new/place\n"
        )
        assert await output_of(engine, "sh", "-c", "echo $$") == "1\n"
        hosts = await output_of(engine, "cat", "/etc/hosts", "/etc/hostname", hostname="ship")
        assert "127.0.0.1\tlocalhost" in hosts
        assert hosts.endswith("ship\n")

    isolated(root, work)


def test_commands_that_cannot_be_run(root: Path) -> None:
    async def work(engine: Engine) -> None:
        for command, code, words in (
            ("nosuch", 127, 'exec: "nosuch": executable file not found in $PATH'),
            ("/nosuch", 127, 'exec: "/nosuch": stat /nosuch: no such file or directory'),
            ("/etc/passwd", 126, 'exec: "/etc/passwd": permission denied'),
        ):
            record = await made(engine, command)
            with pytest.raises(CannotStart) as raised:
                await engine.containers.start(record.id)
            assert raised.value.status == 400
            assert raised.value.message == (
                "failed to create task for container: failed to create shim task: OCI runtime "
                "create failed: runc create failed: unable to start container process: error "
                f"during container init: {words}"
            )
            assert record.state.exit_code == code
            assert record.state.status is Status.CREATED
            await engine.containers.remove(record.id)
        record = await made(engine, "true", host_sysctls={"foo.bar": "1"})
        with pytest.raises(CannotStart, match="runc create failed: sysctl") as raised:
            await engine.containers.start(record.id)
        assert (raised.value.status, record.state.exit_code) == (500, 128)
        record = await made(engine, "true", user="nosuch")
        with pytest.raises(LadingError, match="unable to find user nosuch"):
            await engine.containers.start(record.id)

    isolated(root, work)


def test_volumes_and_binds(root: Path) -> None:
    async def work(engine: Engine) -> None:
        (root / "shared").mkdir()
        binds = [f"{root}/shared:/shared", "data:/data", f"{root}/shared:/ro:ro"]
        text = await output_of(
            engine,
            "sh",
            "-c",
            "echo bound > /shared/x; echo kept > /data/y; cat /ro/x; echo no > /ro/x; true",
            host_binds=binds,
        )
        assert text.startswith("bound\n")
        assert "Read-only file system" in text
        assert (root / "shared" / "x").read_text() == "bound\n"
        assert await output_of(engine, "cat", "/data/y", host_binds=["data:/data"]) == "kept\n"
        tmpfs = await output_of(
            engine, "sh", "-c", "cat /proc/mounts", host_tmpfs={"/t": "size=64k"}
        )
        assert "tmpfs /t tmpfs rw,nosuid,nodev,noexec" in tmpfs

    isolated(root, work)


def test_attach_and_input(root: Path) -> None:
    async def work(engine: Engine) -> None:
        record = await made(engine, "cat", open_stdin=True, stdin_once=True)
        session = await engine.containers.attach(
            record.id, AttachOptions(stdin=True, stdout=True, stderr=True, stream=True)
        )
        await engine.containers.start(record.id)
        waiting = engine.containers.wait(record.id)
        assert await session.write(b"hello\n")
        await session.close_stdin()
        assert plain(await everything(session)) == "hello\n"
        assert (await waiting).status_code == 0

    isolated(root, work)


def test_a_terminal_and_its_detach_keys(root: Path) -> None:
    async def work(engine: Engine) -> None:
        record = await made(engine, "sh", open_stdin=True, tty=True)
        await engine.containers.start(record.id)
        await engine.containers.resize(record.id, 30, 90)
        session = await engine.containers.attach(
            record.id, AttachOptions(stdin=True, stdout=True, stream=True)
        )
        await session.write(b"echo a$((1+1))b\n")
        seen = b""
        while b"a2b" not in seen:
            seen += await session.read()
        await session.write(b"\x10\x11")
        await everything(session)
        assert record.running
        await engine.containers.stop(record.id, seconds=0)

    isolated(root, work)


def test_exec(root: Path) -> None:
    async def work(engine: Engine) -> None:
        record = await made(engine, "sleep", "60")
        await engine.containers.start(record.id)

        async def run(*command: str, **options: Any) -> tuple[str, int | None]:
            exec_id = engine.execs.create(
                record.id,
                ExecConfig(cmd=list(command), attach_stdout=True, attach_stderr=True, **options),
            )
            ended = engine.events.subscribe(filters={"event": ["exec_die"]})
            session = await engine.execs.start(exec_id, ExecStartConfig())
            text = plain(await everything(session))
            await anext(aiter(ended))
            return text, engine.execs.get(exec_id).exit_code

        assert await run("echo", "hi") == ("hi\n", 0)
        assert (await run("sh", "-c", "exit 4"))[1] == 4
        assert (await run("id", "-u", user="mary"))[0] == "1000\n"
        assert "A=b" in (await run("env", env=["A=b"]))[0]
        exec_id = engine.execs.create(record.id, ExecConfig(cmd=["nosuch"]))
        with pytest.raises(CannotStart, match="OCI runtime exec failed: exec failed: unable"):
            await engine.execs.start(exec_id, ExecStartConfig())
        assert engine.execs.get(exec_id).exit_code == 127
        await engine.containers.kill(record.id)

    isolated(root, work)


def test_limits_are_in_the_cgroup_and_change(root: Path) -> None:
    async def work(engine: Engine) -> None:
        record = await made(engine, "sleep", "60", host_memory=64 << 20, host_pids_limit=20)
        await engine.containers.start(record.id)
        samples = await engine.containers.stats(record.id, stream=False, one_shot=True)
        found = await anext(samples)
        assert found["memory_stats"]["limit"] == 64 << 20
        assert found["pids_stats"]["limit"] == 20
        await engine.containers.update(
            record.id, UpdateConfig(memory=96 << 20, memory_swap=-1, pids_limit=30)
        )
        stats = at(f"/{PARENT}/{record.id}").stats()
        assert stats.memory is not None
        assert stats.memory.limit == 96 << 20
        processes = await engine.containers.top(record.id)
        assert [row[-1] for row in processes.rows] == ["sleep 60"]
        await engine.containers.pause(record.id)
        await engine.containers.unpause(record.id)
        await engine.containers.remove(record.id, force=True)

    isolated(root, work)


def test_health(root: Path) -> None:
    async def work(engine: Engine) -> None:
        record = await made(
            engine,
            "sleep",
            "60",
            healthcheck=Healthcheck(test=["CMD-SHELL", "echo fine"], interval=10**7),
        )
        seen = engine.events.subscribe(filters={"event": ["health_status: healthy"]})
        await engine.containers.start(record.id)
        await anext(aiter(seen))
        assert record.state.health is not None
        assert record.state.health.log[-1].output == "fine\n"
        await engine.containers.remove(record.id, force=True)

    isolated(root, work)


def test_the_next_daemon_takes_over(root: Path) -> None:
    async def work() -> None:
        async with running(root, live_restore=True) as engine:
            record = await made(engine, "sh", "-c", "echo before; cat; exit 5", open_stdin=True)
            await engine.containers.start(record.id)
            pid = record.state.pid
        async with running(root) as engine:
            found = engine.containers.get(record.id)
            assert found is not record
            assert (found.state.status, found.state.pid) == (Status.RUNNING, pid)
            session = await engine.containers.attach(
                record.id, AttachOptions(stdin=True, stdout=True, stream=True, logs=True)
            )
            await session.write(b"after\n")
            seen = b""
            while b"after" not in seen:
                seen += await session.read()
            assert plain(seen) == "before\nafter\n"
            session.close()
            await engine.containers.stop(record.id, seconds=0)
            assert found.state.exit_code == 128 + signal.SIGKILL

    in_own_network(root, work)


def test_an_end_while_no_daemon_ran(root: Path) -> None:
    async def work() -> None:
        fifo = root / "go"
        os.mkfifo(fifo)
        async with running(root, live_restore=True) as engine:
            record = await made(engine, "sh", "-c", "cat /go; exit 7", host_binds=[f"{fifo}:/go"])
            await engine.containers.start(record.id)
        ended = root / "run" / "containers" / record.id / "exit.json"
        fifo.write_text("")
        while not ended.exists():
            await asyncio.sleep(0.01)
        async with running(root) as engine:
            found = engine.containers.get(record.id)
            assert (found.state.status, found.state.exit_code) == (Status.EXITED, 7)
            await engine.containers.remove(record.id)

    in_own_network(root, work)


def test_the_daemons_end_stops_its_containers(root: Path) -> None:
    async def work() -> None:
        async with running(root, stop_timeout=0) as engine:
            record = await made(engine, "sleep", "60")
            await engine.containers.start(record.id)
        assert record.state.status is Status.EXITED
        async with running(root) as engine:
            assert engine.containers.get(record.id).state.status is Status.EXITED

    in_own_network(root, work)


def test_a_refusing_network_leaves_nothing(root: Path) -> None:
    async def work(engine: Engine) -> None:
        record = await made(engine, "true")
        networking = engine.containers.networking

        def refuse(*_: object) -> None:
            raise LadingError("no such luck")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(networking), "connect", refuse)
            for _ in range(5):
                with pytest.raises(LadingError, match="no such luck"):
                    await engine.containers.start(record.id)
                assert not at(f"/{PARENT}/{record.id}").exists()
        await engine.containers.start(record.id)
        await engine.containers.wait(record.id)

    isolated(root, work)
