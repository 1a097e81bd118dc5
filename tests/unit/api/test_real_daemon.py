"""`ladingd` as a process, on the real stack, asked by docker-py and by bare sockets."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, NotFound

from lading.api.demultiplex import Demultiplexer
from lading.kernel.cgroups import at
from lading.kernel.mountinfo import mountinfo, under
from lading.kernel.namespaces import CloneFlag, unshare

BUSYBOX = next((path for path in ("/usr/bin/busybox", "/bin/busybox") if Path(path).exists()), "")
APPLETS = ("sh", "cat", "sleep", "true", "echo", "touch", "ps")
PARENT = f"lading-test-api-{os.getpid()}"

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not BUSYBOX, reason="needs Debian's busybox-static"),
]


def root_tar() -> bytes:
    """Make a root file system of busybox."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", dereference=True) as tar:
        for name in ("bin", "tmp"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        tar.add(BUSYBOX, "bin/busybox")
        for name in APPLETS:
            info = tarfile.TarInfo(f"bin/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
    return raw.getvalue()


class Ladingd:
    """A daemon in a network namespace of its own, and its clients."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.socket = place / "lading-test.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            address = self.place / "notify"
            address.unlink(missing_ok=True)
            manager.bind(str(address))
            manager.settimeout(30)
            command = [sys.executable, "-m", "lading.api.daemon", "-H", f"unix://{self.socket}"]
            command += ["--root", f"{self.place}/root", "--run", f"{self.place}/run"]
            command += ["--bridge", "none", "--cgroup-parent", PARENT]
            with (self.place / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=os.environ | {"NOTIFY_SOCKET": str(address)},
                    preexec_fn=lambda: unshare(CloneFlag.NEWNET),  # noqa: PLW1509 - no threads
                )
            assert manager.recv(100).startswith(b"READY=1")

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it with a signal."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(30)

    def client(self) -> docker.DockerClient:
        """Connect docker-py."""
        return docker.DockerClient(base_url=f"unix://{self.socket}", timeout=20)

    def hijack(self, path: str, body: bytes = b"") -> tuple[socket.socket, bytes]:
        """Take a connection over; returns it, and what came behind the response's head."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(str(self.socket))
        head = f"POST {path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(4096)
        first, _, rest = answer.partition(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 101 UPGRADED"), first
        return connection, rest


def read_all(connection: socket.socket, begun: bytes) -> bytes:
    """Read a multiplexed stream to its end, and give what its frames carry."""
    frames = Demultiplexer()
    output = frames.payload(begun)
    while data := connection.recv(65536):
        output += frames.payload(data)
    connection.close()
    return output


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ladingd]:
    ladingd = Ladingd(tmp_path_factory.mktemp("lading-test-api"))
    ladingd.start()
    try:
        with contextlib.closing(ladingd.client()) as client:
            client.api.import_image_from_data(root_tar(), repository="box", tag="1")
            yield ladingd
            for container in client.containers.list(all=True):
                container.remove(force=True)
    finally:
        ladingd.end()
    assert not ladingd.socket.exists()
    left = at(f"/{PARENT}").pids()
    at(f"/{PARENT}").delete()
    assert not left
    assert not under(mountinfo(), str(ladingd.place))


@pytest.fixture
def client(daemon: Ladingd) -> Iterator[Any]:
    with contextlib.closing(daemon.client()) as connected:
        yield connected


def run(client: Any, *command: str, **options: Any) -> Any:
    return client.containers.run(
        "box:1", list(command), network_mode="none", detach=True, **options
    )


def test_a_command_runs(client: Any) -> None:
    output = client.containers.run("box:1", ["echo", "hello"], remove=True, network_mode="none")
    assert output == b"hello\n"
    box = run(client, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert box.wait() == {"StatusCode": 7}
    assert (box.logs(stderr=False), box.logs(stdout=False)) == (b"out\n", b"err\n")


def test_a_command_that_is_not_there(client: Any) -> None:
    with pytest.raises(APIError) as refusal:
        run(client, "nosuch", name="lading-test-nosuch")
    assert refusal.value.response.status_code == 400
    assert 'exec: "nosuch": executable file not found in $PATH' in refusal.value.explanation
    assert client.containers.get("lading-test-nosuch").attrs["State"]["ExitCode"] == 127


def test_input_ends_and_output_comes_to_its_end(daemon: Ladingd, client: Any) -> None:
    created = client.api.create_container_from_config(
        {"Image": "box:1", "Cmd": ["cat"], "OpenStdin": True, "StdinOnce": True,
         "HostConfig": {"NetworkMode": "none"}}
    )  # fmt: skip
    box = client.containers.get(created["Id"])
    path = f"/v1.51/containers/{box.id}/attach?stream=1&stdin=1&stdout=1&stderr=1"
    connection, begun = daemon.hijack(path)
    box.start()
    sent = os.urandom(300_000)
    connection.sendall(sent)
    connection.shutdown(socket.SHUT_WR)
    assert read_all(connection, begun) == sent
    assert box.wait() == {"StatusCode": 0}


def test_exec(daemon: Ladingd, client: Any) -> None:
    box = run(client, "sleep", "60")
    assert box.exec_run(["sh", "-c", "echo in $$; exit 4"]) == (4, b"in 2\n")
    prepared = client.api.exec_create(box.id, ["nosuch"])["Id"]
    connection, begun = daemon.hijack(f"/exec/{prepared}/start", b"{}")
    assert b'exec: "nosuch": executable file not found' in read_all(connection, begun)
    assert client.api.exec_inspect(prepared)["ExitCode"] == 127
    box.kill()
    with pytest.raises(APIError, match="is not running"):
        box.exec_run("true")


def test_a_terminal(daemon: Ladingd, client: Any) -> None:
    box = client.containers.create("box:1", ["sh"], tty=True, stdin_open=True, network_mode="none")
    path = f"/containers/{box.id}/attach?stream=1&stdin=1&stdout=1&detachKeys=ctrl-x"
    connection, begun = daemon.hijack(path)
    box.start()
    box.resize(24, 80)
    connection.sendall(b"echo $((6*7))\n")
    output = begun
    while b"42\r\n" not in output:
        output += connection.recv(4096)
    connection.sendall(b"\x18")
    while connection.recv(4096):
        pass
    connection.close()
    box.reload()
    assert box.status == "running"
    box.remove(force=True)


def test_logs_are_followed_to_the_end(client: Any) -> None:
    box = run(client, "sh", "-c", "for i in 1 2 3; do echo $i; done; read x; echo end",
              stdin_open=True)  # fmt: skip
    lines = box.logs(stream=True, follow=True)
    assert [next(lines) for _ in range(3)] == [b"1\n", b"2\n", b"3\n"]
    box.kill("KILL")
    assert list(lines) == []


def test_events_come_in_order(client: Any) -> None:
    since = time.time()
    box = run(client, "true", labels={"lading-test": "events"})
    box.wait()
    box.remove()
    told = client.events(
        since=since,
        until=time.time() + 1,
        decode=True,
        filters={"label": "lading-test=events", "type": "container"},
    )
    actions = [event["Action"] for event in told]
    assert [word for word in actions if word != "attach"] == ["create", "start", "die", "destroy"]


def test_files_go_in_and_out(client: Any) -> None:
    box = run(client, "sleep", "60")
    with pytest.raises(NotFound, match="Could not find the file /nope"):
        box.get_archive("/nope")
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        info = tarfile.TarInfo("given")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"hello"))
    assert box.put_archive("/tmp", raw.getvalue())
    chunks, stat = box.get_archive("/tmp/given")
    assert (stat["name"], stat["size"]) == ("given", 5)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        assert tar.extractfile("given").read() == b"hello"  # type: ignore[union-attr]
    assert {"Path": "/tmp/given", "Kind": 1} in box.diff()
    assert box.top()["Processes"][0][-1] == "sleep 60"
    assert box.stats(stream=False)["pids_stats"]["current"] == 1
    box.remove(force=True)


def test_images_go_out_and_in(client: Any) -> None:
    archive = b"".join(client.images.get("box:1").save(named=True))
    assert client.images.get("box:1").tag("box", "2")
    client.images.remove("box:2")
    with pytest.raises(NotFound):
        client.images.get("box:2")
    assert [image.tags for image in client.images.load(archive)] == [["box:1"]]
    with pytest.raises(docker.errors.ImageLoadError):
        client.images.load(b"no archive at all")


def test_a_killed_daemon_s_containers_go_on(daemon: Ladingd) -> None:
    with contextlib.closing(daemon.client()) as client:
        script = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done"
        box = run(client, "sh", "-c", script, name="lading-test-survivor")
        pid = box.attrs["State"]["Pid"] or client.api.inspect_container(box.id)["State"]["Pid"]
        daemon.end(signal.SIGKILL)
    os.kill(pid, 0)
    daemon.start()
    with contextlib.closing(daemon.client()) as client:
        box = client.containers.get("lading-test-survivor")
        assert (box.status, box.attrs["State"]["Pid"]) == ("running", pid)
        assert box.exec_run(["echo", "still"]).output == b"still\n"
        box.stop(timeout=10)
        assert box.wait() == {"StatusCode": 5}
        assert box.logs() == b"up\nbye\n"
        box.remove()
