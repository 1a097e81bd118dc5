"""What builds take from the network: files, archives, Dockerfiles and git repositories."""

from __future__ import annotations

import gzip
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lading.build.fetch import GitAddress, fetch, remote_context
from lading.errors import InvalidParameter, LadingError, NotFound
from tests.unit.build.trees import copied, member, pack

_BODIES = {
    "/file.txt": b"body",
    "/a.tgz": gzip.compress(pack(member("in", b"1"))),
    "/": b"root",
    "/Dockerfile": b"FROM web\n",
    "/context.tgz": gzip.compress(pack(member("Dockerfile", b"FROM ctx\n"), member("x", b"X"))),
}
_SHA = "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path not in _BODIES:
            self.send_error(404, "Not Found")
            return
        self.send_response(200)
        if query:
            self.send_header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
        self.send_header("Content-Length", str(len(_BODIES[path])))
        self.end_headers()
        self.wfile.write(_BODIES[path])

    def log_message(self, *_: object) -> None:
        pass


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with _serving(_Handler) as address:
        yield address


async def test_a_file_and_its_time(web: str, tmp_path: Path) -> None:
    for query, mtime in (("", 0), ("?m", 1445412480)):
        url = f"{web}/file.txt{query}"
        item = await fetch(url, tmp_path, checksum=f"sha256:{_SHA}")
        layer = copied("ADD u /d/", None, tmp_path, inline={"u": item})
        info, content = layer["d/file.txt"]
        assert (info.mode, info.mtime, content) == (0o600, mtime, b"body")
        assert list(copied("ADD u /n", None, tmp_path, inline={"u": item}, chown="3:4")) == ["n"]


async def test_an_archive_stays_one_unless_asked(web: str, tmp_path: Path) -> None:
    item = await fetch(f"{web}/a.tgz", tmp_path)
    assert list(copied("ADD u /d/", None, tmp_path, inline={"u": item})) == ["d", "d/a.tgz"]
    unpacked = copied("ADD u /d/", None, tmp_path, inline={"u": item}, unpack=True)
    assert list(unpacked) == ["d", "d/in"]


async def test_what_fails(web: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=f"^ADD failed: failed to GET {web}/no with status 404 Not"):
        await fetch(f"{web}/no", tmp_path)
    with pytest.raises(InvalidParameter, match="digest mismatch"):
        await fetch(f"{web}/file.txt", tmp_path, checksum="sha256:" + "0" * 64)
    with pytest.raises(LadingError, match="connection refused"):
        await fetch("http://127.0.0.1:9/x", tmp_path)
    with pytest.raises(InvalidParameter, match="invalid URL"):
        await fetch("http://", tmp_path)
    nameless = await fetch(f"{web}/", tmp_path)
    with pytest.raises(InvalidParameter, match="cannot determine filename for source u"):
        copied("ADD u /d/", None, tmp_path, inline={"u": nameless})
    assert list(copied("ADD u /d", None, tmp_path, inline={"u": nameless})) == ["d"]
    assert os.listdir(tmp_path) == []


async def test_contexts(web: str, tmp_path: Path) -> None:
    alone = await remote_context(f"{web}/Dockerfile", tmp_path)
    assert alone.dockerfile == "FROM web\n"
    assert alone.tree.children(alone.tree.root) == {}
    whole = await remote_context(f"{web}/context.tgz", tmp_path, secrets={"a": b"b"})
    assert whole.dockerfile == "FROM ctx\n"
    assert list(copied("COPY x /y", whole.tree, tmp_path)) == ["y"]
    assert whole.secrets == {"a": b"b"}
    with pytest.raises(NotFound, match=r"^error downloading remote context .*status 404"):
        await remote_context(f"{web}/no", tmp_path)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x/y.git", GitAddress("https://x/y.git")),
        ("https://x/y.git#v1:sub", GitAddress("https://x/y.git", "v1", "sub")),
        ("github.com/a/b#:sub", GitAddress("https://github.com/a/b", "HEAD", "sub")),
        ("git@x:a.git", GitAddress("git@x:a.git")),
        ("https://x/y.tar", None),
    ],
)
def test_git_addresses(url: str, expected: GitAddress | None) -> None:
    assert GitAddress.parse(url) == expected


def test_a_reference_is_no_option() -> None:
    with pytest.raises(InvalidParameter, match="begins with a hyphen"):
        GitAddress.parse("https://x/y.git#--upload-pack=x")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "repository"
    (place / "sub").mkdir(parents=True)
    (place / "Dockerfile").write_text("FROM git\n")
    (place / "sub/Dockerfile").write_text("FROM sub\n")
    who = ["-c", "user.name=lading-test", "-c", "user.email=lading-test@invalid"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", place, *words], check=True)
    monkeypatch.setattr("lading.build.fetch._ENVIRONMENT", {"GIT_ALLOW_PROTOCOL": "file"})
    monkeypatch.setattr("lading.build.fetch._GIT_PREFIXES", ("file://",))
    return place


async def test_a_repository(repository: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    url = f"file://{repository}"
    context = await remote_context(url, work)
    assert context.dockerfile == "FROM git\n"
    assert sorted(context.tree.children(context.tree.root)) == [b"Dockerfile", b"sub"]
    assert (await remote_context(f"{url}#:sub", work)).dockerfile == "FROM sub\n"
    for wrong in (f"{url}#nosuch", f"{url}#:nosuch"):
        with pytest.raises(InvalidParameter):
            await remote_context(wrong, work)
    item = await fetch(url, work, keep_git=True)
    layer = copied("ADD r /d", None, work, inline={"r": item})
    assert {"d/.git", "d/sub/Dockerfile"} <= set(layer)
    assert os.listdir(work) == []


async def test_a_repository_that_is_but_files_behind_a_server(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lading.build.fetch._ENVIRONMENT", {"GIT_ALLOW_PROTOCOL": "http"})
    (repository / ".git").rename(tmp_path / "served.git")
    subprocess.run(["git", "-C", tmp_path / "served.git", "update-server-info"], check=True)
    work = tmp_path / "work"
    work.mkdir()
    with _serving(partial(_Files, directory=str(tmp_path))) as address:
        context = await remote_context(f"{address}/served.git", work)
    assert context.dockerfile == "FROM git\n"
