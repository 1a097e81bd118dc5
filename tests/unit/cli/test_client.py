from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lading.cli.client import autostart
from lading.cli.client.api import Client, query
from lading.cli.client.http import Connection
from lading.cli.client.sockets import DEFAULT_HOST, choose, parse_address
from lading.cli.failures import ApiError, CliError, NoDaemon

from .conftest import FakeDaemon, Request, Wire


@pytest.fixture
def client(daemon: FakeDaemon) -> Client:
    return Client(parse_address(f"unix://{daemon.path}"))


def test_requests_and_answers(daemon: FakeDaemon, client: Client) -> None:
    daemon.on("GET", "/info", {"ID": "x"})
    daemon.on("POST", "/containers/create", {"Id": "é"}, status=201)
    daemon.on("DELETE", "/volumes/v", lambda _r, wire: wire.answer(204))
    assert client.get("/info") == {"ID": "x"}
    assert client.post("/containers/create", {"name": "a b"}, body={"Image": "é"}) == {"Id": "é"}
    assert client.delete("/volumes/v") is None
    assert [r.version for r in daemon.requests] == ["v1.51"] * 3
    assert daemon.requests[1].query == {"name": "a b"}
    assert daemon.requests[1].json == {"Image": "é"}


def test_refusals_are_in_the_daemons_words(daemon: FakeDaemon, client: Client) -> None:
    daemon.on("GET", "/a", {"message": "no such thing"}, status=404)
    daemon.on("GET", "/b", lambda _r, wire: wire.answer(500, b"broken"))
    with pytest.raises(ApiError) as caught:
        client.get("/a")
    assert str(caught.value) == "Error response from daemon: no such thing"
    assert caught.value.http_status == 404
    with pytest.raises(ApiError, match="broken"):
        client.get("/b")


def test_an_older_daemon_gets_its_own_version(daemon: FakeDaemon, client: Client) -> None:
    def answer(request: Request, wire: Wire) -> None:
        if request.version == "v1.41":
            wire.answer(200, {"ID": "old"})
        else:
            text = "client version 1.51 is too new. Maximum supported API version is 1.41"
            wire.answer(400, {"message": text})

    daemon.on("GET", "/info", answer)
    assert client.get("/info") == {"ID": "old"}
    assert client.get("/info") == {"ID": "old"}
    assert [r.version for r in daemon.requests] == ["v1.51", "v1.41", "v1.41"]


def test_what_cannot_be_sent_twice_asks_first(daemon: FakeDaemon, client: Client) -> None:
    daemon.api_version = "1.44"
    daemon.on(
        "POST", "/images/load", lambda r, wire: wire.stream([b'{"stream":"%d"}\n' % len(r.body)])
    )
    pieces = [b"x" * 70000, b"", b"y"]
    response = client.request("POST", "/images/load", stream=pieces)
    assert list(response.values()) == [{"stream": "70001"}]
    assert [(r.method, r.path) for r in daemon.requests] == [
        ("HEAD", "/_ping"),
        ("POST", "/images/load"),
    ]
    assert daemon.requests[1].version == "v1.44"


def test_a_version_that_is_asked_for(
    daemon: FakeDaemon, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_API_VERSION", "1.40")
    daemon.on("GET", "/info", {})
    Client(client.address).get("/info")
    assert daemon.requests[0].version == "v1.40"


def test_values_come_as_they_are_sent(daemon: FakeDaemon, client: Client) -> None:
    more = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield b'{"a":1}\n{"a"'
        more.wait(10)
        yield b":2}\n"
        yield b'{"a":3}'

    daemon.on("GET", "/events", lambda _r, wire: wire.stream(pieces()))
    values = client.request("GET", "/events").values()
    assert next(values) == {"a": 1}
    more.set()
    assert list(values) == [{"a": 2}, {"a": 3}]


def test_connections_are_used_again(daemon: FakeDaemon, client: Client) -> None:
    daemon.on("GET", "/info", {})
    client.get("/info")
    first = client._idle
    client.get("/info")
    assert client._idle is first


def test_a_connection_that_ended_meanwhile_is_replaced(daemon: FakeDaemon, client: Client) -> None:
    daemon.on("GET", "/info", {"ID": "x"})
    client.get("/info")
    assert client._idle
    client._idle.sock.shutdown(socket.SHUT_RDWR)
    assert client.get("/info") == {"ID": "x"}


def test_hijacked_connections(daemon: FakeDaemon, client: Client) -> None:
    def echo(_request: Request, wire: Wire) -> None:
        sock = wire.hijack()
        sock.sendall(b"hello ")
        sock.sendall(sock.recv(100).upper())
        sock.close()

    daemon.on("POST", "/containers/c/attach", echo)
    hijacked = client.hijack("/containers/c/attach", {"stream": True})
    hijacked.sock.sendall(b"you")
    received = hijacked.early
    while data := hijacked.sock.recv(100):
        received += data
    assert received == b"hello YOU"
    assert daemon.of("POST", "/containers/c/attach")[0].query == {"stream": "1"}


def test_hijacking_can_be_refused(daemon: FakeDaemon, client: Client) -> None:
    daemon.on("POST", "/containers/c/attach", {"message": "no"}, status=409)
    with pytest.raises(ApiError, match="no"):
        client.hijack("/containers/c/attach")


def raw(answer: bytes) -> Connection:
    ours, theirs = socket.socketpair()
    theirs.sendall(answer)
    theirs.close()
    return Connection(ours)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "closed the connection"),
        (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "in the middle of its answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "in the middle of its answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "in the middle"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{", "not JSON"),
    ],
)
def test_answers_that_are_none(answer: bytes, message: str) -> None:
    connection = raw(answer)
    with pytest.raises(CliError, match=message):
        connection.response("GET").json()
    connection.close()


def test_bodies_of_all_kinds() -> None:
    for answer in (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
        b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3;x=y\nbod\n1\ny\n0\nX: y\n\n",
        b"HTTP/1.0 200 OK\r\n\r\nbody",
    ):
        connection = raw(answer)
        response = connection.response("GET")
        assert response.read() == b"body"
        assert response.finished
        connection.close()


def test_addresses() -> None:
    assert parse_address("unix:///a/b").path == "/a/b"
    assert parse_address("/a/b").path == "/a/b"
    assert (parse_address("tcp://h:5").host, parse_address("tcp://h:5").port) == ("h", 5)
    assert parse_address("h").port == 2375
    assert parse_address("tcp://h", tls=True).port == 2376
    assert parse_address("tcp://[::1]:7").host == "::1"
    assert parse_address("tcp://:7/x").host == "127.0.0.1"
    for wrong in ("ftp://h", "tcp://h:x"):
        with pytest.raises(CliError):
            parse_address(wrong)


def test_which_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LADING_HOST", raising=False)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert choose("") == DEFAULT_HOST
    monkeypatch.setenv("DOCKER_HOST", "unix:///d")
    assert choose("") == "unix:///d"
    monkeypatch.setenv("LADING_HOST", "unix:///l")
    assert choose("") == "unix:///l"
    assert choose("unix:///h") == "unix:///h"


def test_nobody_is_there(tmp_path: Path) -> None:
    client = Client(parse_address(f"unix://{tmp_path}/none.sock"))
    with pytest.raises(NoDaemon) as caught:
        client.get("/info")
    assert str(caught.value) == (
        f"Cannot connect to the Lading daemon at unix://{tmp_path}/none.sock. Is ladingd running?"
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(NoDaemon, match=r"Is ladingd running\?$"):
            Client(parse_address(f"tcp://127.0.0.1:{port}")).get("/info")


def test_queries() -> None:
    values = {"a": True, "b": False, "c": "", "d": ["x", "y z"], "e": {"k": {"v": True}}, "f": 0}
    assert query(values) == "?a=1&d=x&d=y%20z&e=%7B%22k%22:%7B%22v%22:true%7D%7D&f=0"
    assert query({"a": None}) == ""


DAEMON = """#!{python}
import os, socket, sys
if {fails}:
    print("ladingd: the root directory is taken in", os.getcwd(), flush=True)
    sys.exit(1)
server = socket.socket(socket.AF_UNIX)
server.bind({path!r})
server.listen()
ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ready.sendto(b"READY=1\\nMAINPID=1", "\\0" + os.environ["NOTIFY_SOCKET"][1:])
connection, _ = server.accept()
connection.recv(1000)
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{{}}")
"""


@pytest.fixture
def no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(autostart, "LOG", str(tmp_path / "log"))
    monkeypatch.setattr(autostart, "LOCK", str(tmp_path))
    monkeypatch.setattr(autostart, "program", lambda: str(tmp_path / "ladingd"))
    return tmp_path


def write_daemon(directory: Path, *, fails: bool) -> None:
    import sys

    path = directory / "ladingd"
    made = DAEMON.format(python=sys.executable, path=str(directory / "s"), fails=fails)
    path.write_text(made)
    path.chmod(0o755)


def test_a_daemon_is_started(no_daemon: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_daemon(no_daemon, fails=False)
    client = Client(parse_address(f"unix://{no_daemon}/s"), start=autostart.start)
    assert client.get("/info") == {}
    assert "starting ladingd" in capfd.readouterr().err
    os.wait()


def test_a_daemon_that_does_not_come_up(no_daemon: Path) -> None:
    write_daemon(no_daemon, fails=True)
    client = Client(parse_address(f"unix://{no_daemon}/s"), start=autostart.start)
    with pytest.raises(
        CliError, match="ladingd did not start: ladingd: the root directory is taken in /"
    ):
        client.get("/info")
    os.wait()


def test_a_daemon_that_is_not_installed(no_daemon: Path) -> None:
    client = Client(parse_address(f"unix://{no_daemon}/s"), start=autostart.start)
    with pytest.raises(CliError, match=r"there is no .*/ladingd to start"):
        client.get("/info")
