"""`ladingd` as a process, on the real stack, asked by docker-py and by bare sockets."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import tarfile
import time
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.errors import APIError, NotFound

from lading.api.demultiplex import Demultiplexer
from lading.kernel.cgroups import at
from lading.kernel.mountinfo import mountinfo, under

from .ladingd import BUSYBOX, PARENT, Ladingd, root_tar

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not BUSYBOX, reason="needs Debian's busybox-static"),
]


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
