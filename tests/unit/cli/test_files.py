"""Files on their way: cp both ways, build contexts, and archives that mean harm."""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lading.cli.buildcontext import entries, open_context
from lading.cli.copying import GO_DIRECTORY, GO_SYMLINK, place, split_argument
from lading.cli.failures import CliError
from lading.cli.tarpack import Packer, pack, tree
from lading.cli.tarunpack import StreamReader, unpack
from lading.ignore import IgnoreRules

from .conftest import FakeDaemon, Request, Result, Wire

Run = Callable[..., Result]


def archive(*members: tuple[str, dict[str, Any]]) -> bytes:
    """Make a tar archive of members: each a name and the fields of its TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, fields in members:
            info = tarfile.TarInfo(name)
            content = fields.pop("content", b"")
            for field, value in fields.items():
                setattr(info, field, value)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def unpacked(data: bytes, root: Path) -> None:
    pieces = iter([data[i : i + 700] for i in range(0, len(data), 700)])
    unpack(StreamReader(pieces), str(root), lambda name: name)


def test_an_archive_is_unpacked(tmp_path: Path) -> None:
    data = archive(
        ("d", {"type": tarfile.DIRTYPE, "mode": 0o750, "mtime": 1000}),
        ("d/file", {"content": b"x" * 2000, "mode": 0o640, "mtime": 2000}),
        ("d/link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("d/hard", {"type": tarfile.LNKTYPE, "linkname": "d/file"}),
        ("d/pipe", {"type": tarfile.FIFOTYPE, "mode": 0o600}),
    )
    unpacked(data, tmp_path)
    file = tmp_path / "d" / "file"
    assert file.read_bytes() == b"x" * 2000
    assert (file.stat().st_mode & 0o777, file.stat().st_mtime) == (0o640, 2000)
    assert (tmp_path / "d").stat().st_mtime == 1000
    assert os.readlink(tmp_path / "d" / "link") == "/etc/passwd"
    assert (tmp_path / "d" / "hard").samefile(file)
    assert (tmp_path / "d" / "pipe").is_fifo()
    unpacked(data, tmp_path)


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", {"content": b"x"})],
        [("a/../../evil", {"content": b"x"})],
        [("a", {"type": tarfile.SYMTYPE, "linkname": ".."}), ("a/evil", {"content": b"x"})],
        [("a", {"type": tarfile.SYMTYPE, "linkname": "."}), ("a", {"type": tarfile.DIRTYPE})],
        [("a", {"type": tarfile.LNKTYPE, "linkname": "../../etc/passwd"})],
        [("a", {"type": tarfile.DIRTYPE, "mode": 0o755}), ("a", {"content": b"x"})],
    ],
)
def test_archives_that_mean_harm(tmp_path: Path, members: list[tuple[str, dict[str, Any]]]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(CliError):
        unpacked(archive(*[(name, dict(fields)) for name, fields in members]), root)
    assert not (tmp_path / "evil").exists()


def test_absolute_names_stay_inside(tmp_path: Path) -> None:
    unpacked(archive(("/lading-test-evil", {"content": b"x"})), tmp_path)
    assert (tmp_path / "lading-test-evil").read_bytes() == b"x"


def test_a_cut_off_archive(tmp_path: Path) -> None:
    data = archive(("file", {"content": b"x" * 5000}))
    with pytest.raises(CliError, match="malformed"):
        unpacked(data[:2000], tmp_path)


def test_packing_and_unpacking(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "file").write_bytes(b"y" * 700)
    (source / ("n" * 120)).write_text("long")
    (source / "é").write_text("name")
    os.link(source / "sub" / "file", source / "twin")
    (source / "link").symlink_to("sub")
    os.mkfifo(source / "pipe")
    target = tmp_path / "target"
    target.mkdir()
    unpacked(b"".join(pack(tree(str(source), "copy"), Packer())), target)
    copy = target / "copy"
    assert sorted(p.name for p in copy.iterdir()) == sorted(p.name for p in source.iterdir())
    assert (copy / "sub" / "file").read_bytes() == b"y" * 700
    assert (copy / "twin").samefile(copy / "sub" / "file")
    assert os.readlink(copy / "link") == "sub"


def test_which_side_is_the_containers() -> None:
    assert split_argument("web:/a") == ("web", "/a")
    assert split_argument("/a:b") == ("", "/a:b")
    assert split_argument("./a:b") == ("", "./a:b")
    assert split_argument("a") == ("", "a")
    assert split_argument("-") == ("", "-")


@pytest.mark.parametrize(
    ("source", "source_is_directory", "path", "exists", "is_directory", "arrives"),
    [
        ("a/f", False, "/d", True, True, ("/d", "f")),
        ("a/f", False, "/d/new", False, False, ("/d", "new")),
        ("a/f", False, "/d/old", True, False, ("/d", "old")),
        ("a/d", True, "/d", True, True, ("/d", "d")),
        ("a/d/", True, "/d", True, True, ("/d", "d")),
        ("a/d", True, "/d/new", False, False, ("/d", "new")),
        ("a/d/.", True, "/d", True, True, ("/d", "")),
        ("a/d/.", True, "/d/new", False, False, ("/d", "new")),
        ("a/d", True, "/d/old", True, False, "cannot copy directory"),
        ("a/f", False, "/new/", False, False, "no such directory"),
    ],
)
def test_where_a_copy_arrives(
    source: str,
    source_is_directory: bool,
    path: str,
    exists: bool,
    is_directory: bool,
    arrives: tuple[str, str] | str,
) -> None:
    def decide() -> tuple[str, str]:
        made = place(
            source,
            source_is_directory=source_is_directory,
            path=path,
            exists=exists,
            is_directory=is_directory,
        )
        return made.directory, made.name

    if isinstance(arrives, str):
        with pytest.raises(CliError, match=arrives):
            decide()
    else:
        assert decide() == arrives


def stat(name: str, mode: int, target: str = "") -> dict[str, str]:
    described = {"name": name, "size": 1, "mode": mode, "mtime": "", "linkTarget": target}
    encoded = base64.b64encode(json.dumps(described).encode()).decode()
    return {"X-Docker-Container-Path-Stat": encoded}


class Files:
    """The files of the fake daemon's container, by path."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self.known: dict[str, dict[str, str]] = {}
        self.content = b""
        daemon.on("HEAD", "/containers/c/archive", self.head)
        daemon.on("GET", "/containers/c/archive", self.get)
        daemon.on("PUT", "/containers/c/archive", lambda _r, wire: wire.answer(200))

    def head(self, request: Request, wire: Wire) -> None:
        known = self.known.get(request.query["path"])
        wire.answer(200 if known else 404, None, known)

    def get(self, request: Request, wire: Wire) -> None:
        known = self.known.get(request.query["path"])
        if known:
            wire.answer(200, self.content, known)
        else:
            wire.answer(404, {"message": f"Could not find the file {request.query['path']}"})


def test_cp_from_a_container(daemon: FakeDaemon, lading: Run, tmp_path: Path) -> None:
    files = Files(daemon)
    files.known["/etc/conf"] = stat("conf", GO_DIRECTORY | 0o755)
    files.content = archive(
        ("conf", {"type": tarfile.DIRTYPE, "mode": 0o755}), ("conf/a", {"content": b"A"})
    )
    assert lading("cp", "c:/etc/conf", str(tmp_path / "new")).status == 0
    assert (tmp_path / "new" / "a").read_bytes() == b"A"
    assert lading("cp", "c:/etc/conf", str(tmp_path)).status == 0
    assert (tmp_path / "conf" / "a").read_bytes() == b"A"
    result = lading("cp", "c:/nope", str(tmp_path))
    assert (result.status, "Could not find the file /nope" in result.err) == (1, True)
    assert "does not exist" in lading("cp", "c:/etc/conf", str(tmp_path / "x" / "y")).err
    assert "between containers" in lading("cp", "a:/x", "b:/x").err
    assert "at least one container" in lading("cp", "a", "b").err


def test_cp_to_a_container(daemon: FakeDaemon, lading: Run, tmp_path: Path) -> None:
    files = Files(daemon)
    files.known["/srv"] = stat("srv", GO_DIRECTORY | 0o755)
    files.known["/link"] = stat("link", GO_SYMLINK | 0o777, "srv")
    (tmp_path / "f").write_bytes(b"F")

    def names() -> tuple[str, list[str]]:
        sent = daemon.of("PUT", "/containers/c/archive")[-1]
        with tarfile.open(fileobj=io.BytesIO(sent.body)) as tar:
            return sent.query["path"], tar.getnames()

    assert lading("cp", str(tmp_path / "f"), "c:/link").status == 0
    assert names() == ("/srv", ["f"])
    assert lading("cp", "-a", str(tmp_path / "f"), "c:srv/new").status == 0
    assert names() == ("/srv", ["new"])
    assert daemon.requests[-1].query["copyUIDGID"] == "true"
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "g").write_bytes(b"G")
    assert lading("cp", str(tmp_path / "d"), "c:/srv").status == 0
    assert names() == ("/srv", ["d", "d/g"])
    assert lading("cp", f"{tmp_path}/d/.", "c:/srv").status == 0
    assert names() == ("/srv", ["g"])
    result = lading("cp", str(tmp_path / "nope"), "c:/srv")
    assert result.err == f"lstat {tmp_path}/nope: no such file or directory\n"
    assert "must be a directory" in lading("cp", "-", "c:/nope").err


def make_tree(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ("", ["Dockerfile", "a", "a/x.log", "a/y", "b", "b/z"]),
        ("*.log\nb", ["Dockerfile", "a", "a/x.log", "a/y"]),
        ("**/*.log", ["Dockerfile", "a", "a/y", "b", "b/z"]),
        ("*\n!a/y", ["Dockerfile", "a", "a/y"]),
        ("a\n!a/y", ["Dockerfile", "a", "a/y", "b", "b/z"]),
    ],
)
def test_what_belongs_to_a_context(tmp_path: Path, rules: str, kept: list[str]) -> None:
    make_tree(tmp_path, "Dockerfile", "a/x.log", "a/y", "b/z")
    found = entries(str(tmp_path), IgnoreRules.parse(rules), ("Dockerfile",))
    assert [name for _, name in found] == kept


def contents(stream: Iterator[bytes] | None) -> dict[str, bytes]:
    assert stream
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        found = {}
        for member in tar:
            file = tar.extractfile(member)
            found[member.name] = file.read() if file else b""
            assert (member.uid, member.gid) == (0, 0) or "ockerfile" in member.name
        return found


def test_contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "ctx"
    make_tree(root, "Dockerfile", "other/Dockerfile", "x")
    (tmp_path / "Outside").write_text("FROM outside")
    monkeypatch.chdir(tmp_path)
    context = open_context("ctx", "", iter(()))
    assert context.dockerfile == "Dockerfile"
    assert set(contents(context.stream)) == {"Dockerfile", "other", "other/Dockerfile", "x"}
    assert open_context("ctx", "ctx/other/Dockerfile", iter(())).dockerfile == "other/Dockerfile"
    context = open_context("ctx", "Outside", iter(()))
    assert contents(context.stream)[context.dockerfile] == b"FROM outside"
    context = open_context("ctx", "-", iter([b"FROM ", b"stdin"]))
    assert contents(context.stream)[context.dockerfile] == b"FROM stdin"
    context = open_context("-", "", iter([b"FROM alone"]))
    assert contents(context.stream) == {"Dockerfile": b"FROM alone"}
    whole = archive(("Dockerfile", {"content": b"FROM tar"}))
    context = open_context("-", "", iter([whole[:100], whole[100:]]))
    assert contents(context.stream) == {"Dockerfile": b"FROM tar"}
    assert open_context("https://example.com/x.git", "", iter(())).remote.startswith("https")


@pytest.mark.parametrize(
    ("place_", "dockerfile", "message"),
    [
        ("nope", "", 'path "nope" not found'),
        ("ctx/x", "", "context must be a directory"),
        ("ctx", "nope", "unable to evaluate symlinks in Dockerfile path"),
        ("-", "-", "can't use stdin for both"),
        ("bad", "", "unable to prepare context: .dockerignore"),
    ],
)
def test_contexts_that_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place_: str, dockerfile: str, message: str
) -> None:
    make_tree(tmp_path, "ctx/x", "bad/Dockerfile")
    (tmp_path / "bad" / ".dockerignore").write_text("[a")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CliError) as caught:
        open_context(place_, dockerfile, iter(()))
    assert message in caught.value.message


def test_build(daemon: FakeDaemon, lading: Run, tmp_path: Path, monkeypatch: Any) -> None:
    make_tree(tmp_path, "ctx/Dockerfile")
    monkeypatch.setenv("FROM_HERE", "2")
    messages = [
        {"stream": "Step 1/1 : FROM x\n"},
        {"aux": {"ID": "sha256:1"}},
        {"stream": "Successfully built 1\n"},
    ]
    lines = [json.dumps(message).encode() + b"\n" for message in messages]
    daemon.on("POST", "/build", lambda _r, wire: wire.stream(lines))
    words = ["build", "-t", "a", "--build-arg", "A=1", "--build-arg", "FROM_HERE", "--no-cache"]
    result = lading(*words, "--iidfile", str(tmp_path / "id"), str(tmp_path / "ctx"))
    assert result.status == 0
    assert result.out.endswith("Step 1/1 : FROM x\nSuccessfully built 1\n")
    assert (tmp_path / "id").read_text() == "sha256:1"
    sent = daemon.of("POST", "/build")[0]
    assert json.loads(sent.query["buildargs"]) == {"A": "1", "FROM_HERE": "2"}
    assert (sent.query["t"], sent.query["nocache"], sent.query["rm"]) == ("a", "1", "1")
    assert set(contents(iter([sent.body]))) == {"Dockerfile"}
    assert lading("build", "-q", str(tmp_path / "ctx")).out == "sha256:1\n"
    failed = json.dumps(
        {"errorDetail": {"code": 3, "message": "RUN failed"}, "error": "x"}
    ).encode()
    daemon.on("POST", "/build", lambda _r, wire: wire.stream([lines[0], failed]))
    result = lading("build", "-q", str(tmp_path / "ctx"))
    assert (result.status, result.out) == (3, "")
    assert result.err == "Step 1/1 : FROM x\nRUN failed\n"
