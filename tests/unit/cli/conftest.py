from __future__ import annotations

import json
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from lading.cli.main import main

DATA = Path(__file__).parent / "data"

IMAGES: list[dict[str, Any]] = [
    {
        "Id": "sha256:" + "1" * 64,
        "RepoTags": ["localhost:5000/a:1", "localhost:5000/a:2"],
        "RepoDigests": ["localhost:5000/a@sha256:" + "d" * 64],
        "Created": 0,
        "Size": 1_984_257,
        "SharedSize": -1,
        "Containers": -1,
    },
    {"Id": "sha256:" + "2" * 64, "RepoTags": [], "RepoDigests": [], "Created": 0, "Size": 10},
]


class Request:
    """A request as the fake daemon got it."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        parts = urlsplit(path)
        version, _, rest = parts.path[1:].partition("/")
        self.version = version if version.startswith("v1.") else ""
        self.method = method
        self.path = f"/{rest}" if self.version else parts.path
        self.query = {k: v[-1] for k, v in parse_qs(parts.query).items()}
        self.queries = parse_qs(parts.query)
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """What a handler answers with: once, in pieces, or as a raw two-way stream."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self._handler = handler

    def answer(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        payload = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        self._handler.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self._handler.send_header(name, value)
        self._handler.send_header("Content-Length", str(len(payload)))
        self._handler.end_headers()
        if self._handler.command != "HEAD":
            self._handler.wfile.write(payload)

    def stream(self, pieces: Iterator[bytes] | list[bytes], kind: str = "application/json") -> None:
        self._handler.send_response(200)
        self._handler.send_header("Content-Type", kind)
        self._handler.send_header("Transfer-Encoding", "chunked")
        self._handler.end_headers()
        for piece in pieces:
            self._handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self._handler.wfile.flush()
        self._handler.wfile.write(b"0\r\n\r\n")

    def hijack(self) -> Any:
        """Upgrade the connection and give its socket."""
        self._handler.wfile.write(
            b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
            b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        )
        self._handler.wfile.flush()
        self._handler.close_connection = True
        return self._handler.connection


Answer = Callable[[Request, Wire], None]


class FakeDaemon:
    """An HTTP server on a unix socket that answers as a test tells it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests: list[Request] = []
        self.answers: dict[tuple[str, str], Answer] = {}
        self.api_version = "1.51"
        daemon = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def handle_any(self) -> None:
                request = Request(self.command, self.path, dict(self.headers), self._body())
                daemon.requests.append(request)
                daemon.reply(request, Wire(self))

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") == "chunked":
                    body = b""
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                    return body
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """A client that left in the middle is part of what is tested."""

        self.server = Server(str(path), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def on(self, method: str, path: str, answer: Any = None, status: int = 200) -> None:
        """Answer a request: with JSON, or with what a function of request and wire does."""
        if callable(answer):
            self.answers[method, path] = answer
        else:
            self.answers[method, path] = lambda _request, wire: wire.answer(status, answer)

    def reply(self, request: Request, wire: Wire) -> None:
        if request.path == "/_ping":
            wire.answer(200, b"OK", {"Api-Version": self.api_version})
        elif answer := self.answers.get((request.method, request.path)):
            answer(request, wire)
        else:
            wire.answer(404, {"message": f"page not found: {request.path}"})

    def of(self, method: str, path: str) -> list[Request]:
        """Give the requests of one kind."""
        return [r for r in self.requests if (r.method, r.path) == (method, path)]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDaemon]:
    fake = FakeDaemon(tmp_path / "lading-test.sock")
    monkeypatch.setenv("LADING_HOST", f"unix://{fake.path}")
    monkeypatch.setenv("LADING_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("DOCKER_API_VERSION", raising=False)
    yield fake
    fake.close()


class Result:
    """What a command did: its status and what it wrote."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err


@pytest.fixture
def lading(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a command line in this process."""

    def run(*words: str) -> Result:
        capfd.readouterr()
        status = main(list(words))
        captured = capfd.readouterr()
        return Result(status, captured.out, captured.err)

    return run


@pytest.fixture
def stdin() -> Iterator[Callable[[bytes], None]]:
    """Make descriptor 0 a pipe that holds the given bytes and then ends."""
    saved = os.dup(0)

    def feed(data: bytes) -> None:
        read_end, write_end = os.pipe()
        os.write(write_end, data)
        os.close(write_end)
        os.dup2(read_end, 0)
        os.close(read_end)

    yield feed
    os.dup2(saved, 0)
    os.close(saved)
