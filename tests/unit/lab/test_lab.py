from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import hoststate, images, netns, pythons, slots, trees
from lab.http import ping
from lab.netns import Uplink
from lab.reference import RELEASES, Reference
from lab.shell import LabError, alive, end, require, run, wait_until
from lab.terminal import on_terminal
from lab.trees import Tree


def test_a_tree_is_known_by_what_it_is_made_of() -> None:
    tree = Tree("bookworm", ("a", "b"))
    assert tree.key == Tree("bookworm", ("a", "b")).key
    assert len({tree.key, Tree("trixie", ("a", "b")).key, Tree("bookworm", ("a",)).key}) == 3


@pytest.mark.parametrize(
    "source",
    [
        "deb http://mirror.test/debian bookworm main\n",
        "deb [signed-by=/x] https://mirror.test/debian/ bookworm main\n",
        "Types: deb\nURIs: http://mirror.test/debian\nSuites: bookworm\n",
    ],
)
def test_the_mirror_is_the_host_s(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "other.list").write_text("deb http://x.test/else y main\n")
    (tmp_path / "sources.list").write_text(source)
    monkeypatch.setattr(trees, "_APT", tmp_path)
    assert trees.mirror().partition("://")[2] == "mirror.test/debian"


def test_without_a_mirror_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "_APT", tmp_path)
    with pytest.raises(LabError, match="name no Debian mirror"):
        trees.mirror()


def test_a_failed_tree_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "CACHE", tmp_path)
    tried: list[Path] = []

    def failing(_tree: Tree, target: Path) -> str:
        target.mkdir()
        tried.append(target)
        return "E: no space left"

    monkeypatch.setattr(trees, "_mmdebstrap", failing)
    monkeypatch.setattr(trees, "require", lambda *_programs: None)
    with pytest.raises(LabError, match="could not be made: E: no space left"):
        trees.ensure(Tree("bookworm", ("a",)))
    assert len(tried) == 2
    assert list((tmp_path / "trees").iterdir()) == []


def test_the_same_busybox_image_is_made_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives: list[bytes] = []
    for name in ("one", "two"):
        monkeypatch.setattr(images, "CACHE", tmp_path / name)
        archives.append(images.busybox().read_bytes())
    assert archives[0] == archives[1]
    with tarfile.open(fileobj=io.BytesIO(archives[0])) as archive:
        member = archive.extractfile("manifest.json")
        assert member is not None
        (manifest,) = json.loads(member.read())
        assert manifest["RepoTags"] == ["busybox:latest"]
        assert set(manifest["Layers"]) < set(archive.getnames())


def test_links_are_added_and_logs_are_not(tmp_path: Path) -> None:
    (tmp_path / "var/log/nginx").mkdir(parents=True)
    (tmp_path / "var/log/dpkg.log").write_text("x")
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "1").touch()
    data = b"".join(images._tree_tar(tmp_path, {"var/log/nginx/access.log": "/dev/stdout"}))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getmember("var/log/nginx/access.log").linkname == "/dev/stdout"
        names = set(archive.getnames())
    assert {"./var/log/nginx", "./proc"} <= names
    assert not {"./var/log/dpkg.log", "./proc/1"} & names


def test_slots_are_given_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "RUN", tmp_path)
    held: list[int] = []
    monkeypatch.setattr(slots, "_held", held)
    assert [slots.claim("t"), slots.claim("t"), slots.claim("u")] == ["t0", "t1", "u0"]
    os.close(held.pop(0))
    assert slots.claim("t") == "t0"
    for _ in range(2):
        with slots.claimed("t") as name:
            assert name == "t2"
    for _ in range(6):
        slots.claim("t")
    with pytest.raises(LabError, match="wait until one has ended"):
        slots.claim("t")
    for descriptor in held:
        os.close(descriptor)


def test_what_is_new_is_left_behind() -> None:
    before = {"mount": frozenset({"/", "/a"}), "setting": frozenset({"x=0"})}
    after = {"mount": frozenset({"/", "/b"}), "setting": frozenset({"x=1"})}
    assert hoststate.left_behind(before, after) == [
        "mount left behind: /b",
        "setting left behind: x=1",
    ]


def test_an_interrupted_runs_forwarding_is_no_change_of_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, saved = tmp_path / "now", tmp_path / "saved"
    monkeypatch.setattr(netns, "_FORWARD", now)
    monkeypatch.setattr(netns, "_SAVED", saved)
    now.write_text("1\n")
    saved.write_text("0\n")
    before = hoststate.snapshot()["setting"]
    now.write_text("0\n")
    saved.unlink()
    assert before == hoststate.snapshot()["setting"] == {"net.ipv4.ip_forward=0"}


def test_this_python_is_among_the_installed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"python3.{sys.version_info.minor}"
    found: Callable[[], dict[str, str]] = pythons.installed
    monkeypatch.setattr(pythons, "_candidates", lambda: iter([sys.executable, "/no/" + name]))
    assert found() == {f"py3{sys.version_info.minor}": sys.executable}
    monkeypatch.setattr(pythons, "_candidates", lambda: iter([]))
    with pytest.raises(LabError, match="no Python"):
        pythons.tox_steps()


def test_names_of_engines_fit_the_kernel() -> None:
    with pytest.raises(LabError, match="longer than ten characters"):
        Uplink("elevenchars")
    for release in RELEASES:
        assert len(Reference(release, "scn9").uplink.interface) <= 15


def test_an_unknown_release_names_those_that_are() -> None:
    with pytest.raises(LabError, match=r"no reference engine 1\.0: choose one of 20\.10, 26\.1"):
        Reference("1.0")


def test_a_program_that_fails_says_why() -> None:
    assert run("echo", "x") == "x\n"
    with pytest.raises(LabError, match=r"sh -c echo no >&2; exit 3: no"):
        run("sh", "-c", "echo no >&2; exit 3")
    with pytest.raises(LabError, match="lading-test-none is not installed"):
        run("lading-test-none")
    with pytest.raises(LabError, match="lading-test-none not installed"):
        require("sh", "lading-test-none")


def test_waiting_ends() -> None:
    with pytest.raises(LabError, match="the moon did not come within 0 s"):
        wait_until(lambda: False, 0, "the moon")


def test_a_process_is_ended_even_if_it_does_not_want_to() -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 1; done"
    with subprocess.Popen(
        ["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert alive(process.pid)
        end(process.pid, 0.1)
        assert not alive(process.pid)


def test_a_command_has_a_terminal() -> None:
    code, output = on_terminal(["sh", "-c", "test -t 0 && test -t 1 && echo yes; exit 4"])
    assert (code, output) == (4, "yes\n")


def test_nobody_answers_where_nobody_listens(tmp_path: Path) -> None:
    assert not ping(tmp_path / "none.sock")
