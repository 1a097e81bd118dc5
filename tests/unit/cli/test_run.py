"""`run`, `start`, `attach` and `exec` against a fake daemon: streams and exit statuses."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.cli.commands.run import start_status
from lading.cli.streams import Demultiplexer
from lading.cli.terminal import DetachFilter, parse_detach_keys

from .conftest import FakeDaemon, Request, Result, Wire

ID = "c" * 64


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


class Container:
    """A container of the fake daemon: what it writes, and how it ends."""

    def __init__(self, daemon: FakeDaemon, *, output: bytes = b"", status: int = 0) -> None:
        self.daemon = daemon
        self.output = output
        self.status = status
        self.started = threading.Event()
        self.ended = threading.Event()
        self.read = b""
        self.reads_stdin = False
        self.signals: list[str] = []
        self.order: list[str] = []
        daemon.on("POST", "/containers/create", self.create)
        daemon.on("POST", f"/containers/{ID}/attach", self.attach)
        daemon.on("POST", f"/containers/{ID}/wait", self.wait)
        daemon.on("POST", f"/containers/{ID}/start", self.start)
        daemon.on("POST", f"/containers/{ID}/kill", self.kill)

    def create(self, _request: Request, wire: Wire) -> None:
        self.order.append("create")
        wire.answer(201, {"Id": ID, "Warnings": ["be careful"]})

    def attach(self, _request: Request, wire: Wire) -> None:
        self.order.append("attach")
        sock = wire.hijack()
        self.started.wait(10)
        if self.reads_stdin:
            while data := sock.recv(1000):
                self.read += data
        sock.sendall(self.output)
        if self.signals is not None and self.output.endswith(b"ready"):
            self.ended.wait(10)
        self.ended.set()

    def wait(self, _request: Request, wire: Wire) -> None:
        self.order.append("wait")

        def body() -> Any:
            self.ended.wait(10)
            yield b'{"StatusCode":%d}\n' % self.status

        wire.stream(body())

    def start(self, _request: Request, wire: Wire) -> None:
        self.order.append("start")
        self.started.set()
        wire.answer(204)

    def kill(self, request: Request, wire: Wire) -> None:
        self.signals.append(request.query["signal"])
        wire.answer(204)
        self.ended.set()


Run = Callable[..., Result]
Feed = Callable[[bytes], None]


def test_output_and_status_are_the_containers(daemon: FakeDaemon, lading: Run) -> None:
    output = frame(1, b"out\n") + frame(2, b"err\n") + frame(1, b"more\n")
    container = Container(daemon, output=output, status=7)
    result = lading("run", "i", "x")
    assert (result.status, result.out) == (7, "out\nmore\n")
    assert result.err == "WARNING: be careful\nerr\n"
    assert container.order == ["create", "attach", "wait", "start"]
    attached = daemon.of("POST", f"/containers/{ID}/attach")[0].query
    assert attached == {"stream": "1", "stdout": "1", "stderr": "1"}
    assert daemon.of("POST", f"/containers/{ID}/wait")[0].query == {"condition": "next-exit"}


def test_rm_waits_for_the_removal(daemon: FakeDaemon, lading: Run) -> None:
    Container(daemon)
    assert lading("run", "--rm", "i").status == 0
    assert daemon.of("POST", "/containers/create")[0].json["HostConfig"]["AutoRemove"]
    assert daemon.of("POST", f"/containers/{ID}/wait")[0].query == {"condition": "removed"}


def test_stdin_goes_in_and_its_end_is_seen(daemon: FakeDaemon, lading: Run, stdin: Feed) -> None:
    container = Container(daemon, output=frame(1, b"done"))
    container.reads_stdin = True
    stdin(b"hello")
    assert lading("run", "-i", "i").out == "done"
    assert container.read == b"hello"


def test_detached(daemon: FakeDaemon, lading: Run) -> None:
    container = Container(daemon)
    result = lading("run", "-d", "--name", "web", "i")
    assert (result.status, result.out) == (0, f"{ID}\n")
    assert container.order == ["create", "start"]
    body = daemon.of("POST", "/containers/create")[0].json
    assert not {"AttachStdin", "AttachStdout"} & {k for k, v in body.items() if v}


def test_signals_are_passed_on(daemon: FakeDaemon, lading: Run) -> None:
    container = Container(daemon, output=frame(1, b"ready"), status=143)

    def send_when_ready() -> None:
        container.started.wait(10)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=send_when_ready)
    thread.start()
    assert lading("run", "i").status == 143
    thread.join()
    assert container.signals == [str(int(signal.SIGTERM))]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ('exec: "x": executable file not found in $PATH', 127),
        ("exec /x: no such file or directory", 127),
        ('exec: "/x": permission denied', 126),
        ("exec /etc: is a directory", 126),
        ("driver failed programming external connectivity", 125),
    ],
)
def test_a_start_that_fails(daemon: FakeDaemon, lading: Run, message: str, status: int) -> None:
    container = Container(daemon)
    container.ended.set()
    daemon.on("POST", f"/containers/{ID}/start", {"message": message}, status=400)
    result = lading("run", "--rm", "i", "x")
    assert result.status == status == start_status(message)
    assert f"lading: Error response from daemon: {message}\n" in result.err
    assert result.err.endswith("Run 'lading run --help' for more information\n")


def test_a_create_that_fails(daemon: FakeDaemon, lading: Run) -> None:
    daemon.on("POST", "/containers/create", {"message": "invalid"}, status=400)
    assert lading("run", "i").status == 125
    result = lading("create", "i")
    assert (result.status, result.err) == (1, "Error response from daemon: invalid\n")


def test_a_missing_image_is_pulled(daemon: FakeDaemon, lading: Run) -> None:
    container = Container(daemon, output=frame(1, b"hi\n"))
    tries: list[int] = []

    def create(request: Request, wire: Wire) -> None:
        tries.append(1)
        if len(tries) == 1:
            wire.answer(404, {"message": "No such image: i:latest"})
        else:
            container.create(request, wire)

    daemon.on("POST", "/containers/create", create)
    daemon.on("POST", "/images/create", lambda _r, wire: wire.stream([b'{"status":"Pulled"}\n']))
    result = lading("run", "--platform", "linux/amd64", "i")
    assert (result.status, result.out) == (0, "hi\n")
    assert result.err.startswith("Unable to find image 'i:latest' locally\nPulled\n")
    pulled = daemon.of("POST", "/images/create")[0]
    assert pulled.query == {"fromImage": "i", "tag": "latest", "platform": "linux/amd64"}
    assert lading("run", "--pull", "never", "nope").status in (0, 125)


def test_a_pull_that_fails(daemon: FakeDaemon, lading: Run) -> None:
    daemon.on("POST", "/containers/create", {"message": "No such image: i:latest"}, status=404)
    daemon.on("POST", "/images/create", {"message": "no registry"}, status=500)
    result = lading("run", "-q", "i")
    assert (result.status, result.err.splitlines()[0]) == (
        125,
        "lading: Error response from daemon: no registry",
    )
    result = lading("run", "--pull=never", "i")
    assert len(daemon.of("POST", "/images/create")) == 1
    assert result.status == 125


def test_a_terminal_is_needed_for_tty(daemon: FakeDaemon, lading: Run, stdin: Feed) -> None:
    Container(daemon)
    stdin(b"")
    result = lading("run", "-it", "i")
    assert (result.status, result.err) == (1, "the input device is not a TTY\n")
    assert daemon.requests == []


def test_explain_run_tells_after_the_end(daemon: FakeDaemon, lading: Run) -> None:
    Container(daemon, output=frame(1, b"hi\n"), status=3)
    steps = [
        {
            "step": "MountOverlay",
            "description": "mount the layers on /",
            "ns": 400_000,
            "side": "shim",
        },
        {"step": "Exec", "description": "execute true", "ns": 100_000, "side": "container"},
    ]
    daemon.on("GET", f"/containers/{ID}/lading/steps", steps)
    daemon.on("DELETE", f"/containers/{ID}", lambda _r, wire: wire.answer(204))
    result = lading("explain", "run", "--rm", "i")
    assert (result.status, result.out) == (3, "hi\n")
    assert "started in 2 steps, 0.500 ms (shim 0.400 ms, container 0.100 ms)" in result.err
    assert "MountOverlay" in result.err
    assert "AutoRemove" not in str(daemon.of("POST", "/containers/create")[0].json) or (
        daemon.of("POST", "/containers/create")[0].json["HostConfig"]["AutoRemove"] is False
    )
    assert len(daemon.of("DELETE", f"/containers/{ID}")) == 1
    shown = lading("explain", ID, "--format", "json")
    assert shown.status == 1
    assert lading("explain", "--format", "{{.step}}", ID).out == "MountOverlay\nExec\n"
    told: dict[str, Any] = {
        "steps": [{**step, "where": "runtime"} for step in steps],
        "total_ns": 9_000_000,
    }
    told["warnings"] = ["no hugetlb controller"]
    daemon.on("GET", f"/containers/{ID}/lading/steps", told)
    story = lading("explain", ID).out
    assert "started in 2 steps, 9.000 ms" in story
    assert story.endswith("\nWARNING: no hugetlb controller\n")
    daemon.on("GET", f"/containers/{ID}/lading/steps", [])
    assert "nothing to tell" in lading("explain", ID).err


def details(**state: Any) -> dict[str, Any]:
    return {
        "Id": ID,
        "State": {"Running": True, **state},
        "Config": {"Tty": False, "OpenStdin": False},
        "HostConfig": {"AutoRemove": False},
    }


def test_start_and_attach(daemon: FakeDaemon, lading: Run) -> None:
    container = Container(daemon, output=frame(1, b"again\n"), status=4)
    daemon.on("GET", "/containers/web/json", details())
    result = lading("start", "-a", "web")
    assert (result.status, result.out) == (4, "again\n")
    assert container.order == ["attach", "wait", "start"]
    container.ended.clear()
    result = lading("attach", "--no-stdin", "web")
    assert (result.status, result.out) == (4, "again\n")
    daemon.on("GET", "/containers/web/json", details(Running=False))
    assert "cannot attach to a stopped container" in lading("attach", "web").err
    daemon.on("GET", "/containers/web/json", details(Paused=True))
    assert "cannot attach to a paused container" in lading("attach", "web").err


def test_exec(daemon: FakeDaemon, lading: Run, stdin: Feed) -> None:
    received: list[bytes] = []

    def start(_request: Request, wire: Wire) -> None:
        sock = wire.hijack()
        while data := sock.recv(1000):
            received.append(data)
        sock.sendall(frame(1, b"out") + frame(2, b"err"))

    daemon.on("POST", "/containers/web/exec", {"Id": "e1"}, status=201)
    daemon.on("POST", "/exec/e1/start", start)
    daemon.on("GET", "/exec/e1/json", {"ExitCode": 126})
    stdin(b"typed")
    result = lading("exec", "-i", "-u", "0", "-e", "A=1", "web", "ls", "-l")
    assert (result.status, result.out, result.err) == (126, "out", "err")
    assert b"".join(received) == b"typed"
    assert daemon.of("POST", "/containers/web/exec")[0].json == {
        "User": "0",
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Env": ["A=1"],
        "Cmd": ["ls", "-l"],
    }
    daemon.on("POST", "/exec/e1/start", lambda _r, wire: wire.answer(200))
    assert lading("exec", "-d", "web", "ls").status == 0
    assert daemon.of("POST", "/exec/e1/start")[1].json == {"Detach": True, "Tty": False}


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50))), st.integers(1, 20))
def test_frames_however_they_are_cut(frames: list[tuple[int, bytes]], size: int) -> None:
    whole = b"".join(frame(stream, data) for stream, data in frames)
    found = {1: b"", 2: b""}

    def sink(stream: int, data: bytes) -> None:
        found[stream] += data

    demultiplexer = Demultiplexer(sink)
    for start in range(0, len(whole), size):
        demultiplexer.feed(whole[start : start + size])
    for stream in (1, 2):
        assert found[stream] == b"".join(data for number, data in frames if number == stream)


def test_a_stream_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="unrecognized stream: 72"):
        Demultiplexer(lambda _s, _d: None).feed(b"HTTP/1.1 500")


def test_detach_keys() -> None:
    assert parse_detach_keys("ctrl-p,ctrl-q") == b"\x10\x11"
    assert parse_detach_keys("a,ctrl-@,ctrl-[") == b"a\x00\x1b"
    for wrong in ("foo", "ctrl-", "ctrl-1", ""):
        with pytest.raises(ValueError, match="Unknown character"):
            parse_detach_keys(wrong)


@given(st.binary(), st.integers(1, 5))
def test_what_is_typed_passes_up_to_the_keys(typed: bytes, size: int) -> None:
    keys = b"\x10\x11"
    typed += b"."
    whole = DetachFilter(keys)
    passed = b"".join(
        whole.feed(typed[i : i + size]) for i in range(0, len(typed), size) if not whole.found
    )
    assert whole.found == (keys in typed)
    assert passed == typed.partition(keys)[0]
