"""What mounts were put on leaves no trace in a layer, and what a command wrote does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lading.build.destination import View
from lading.engine.mountstubs import remove_stubs


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _left(tmp_path: Path, *targets: str) -> list[str]:
    """Give what is left in the layer; the merged tree stands for itself."""
    with (
        _opened(tmp_path / "upper") as upper,
        _opened(tmp_path / "merged") as merged,
        _opened(tmp_path / "image") as below,
    ):
        remove_stubs(upper, View(merged), View(below), targets)
    root = tmp_path / "upper"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def _made(tmp_path: Path) -> Path:
    for name in ("upper", "merged", "image"):
        (tmp_path / name).mkdir()
    return tmp_path / "upper"


def test_empty_mount_points_go_with_what_was_made_for_them(tmp_path: Path) -> None:
    upper = _made(tmp_path)
    (upper / "a/b/c").mkdir(parents=True)
    (upper / "run/secrets").mkdir(parents=True)
    (upper / "run/secrets/token").touch()
    assert _left(tmp_path, "/a/b/c", "/run/secrets/token", "/nosuch/place") == []


def test_what_the_command_wrote_stays(tmp_path: Path) -> None:
    upper = _made(tmp_path)
    (upper / "a/b").mkdir(parents=True)
    (upper / "a/kept").write_text("x")
    (upper / "file").write_text("not empty")
    assert _left(tmp_path, "/a/b", "/file") == ["a", "a/kept", "file"]


def test_the_images_own_are_only_undone_when_they_are_the_same(tmp_path: Path) -> None:
    upper = _made(tmp_path)
    for name in ("same", "changed"):
        (tmp_path / "image" / name).mkdir()
        (upper / name / "mount").mkdir(parents=True)
    (upper / "changed").chmod(0o700)
    assert _left(tmp_path, "/same/mount", "/changed/mount") == ["changed"]


def test_links_are_followed_as_the_container_saw_them(tmp_path: Path) -> None:
    upper = _made(tmp_path)
    os.symlink("/run", tmp_path / "merged" / "link")
    (upper / "run/x").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    os.symlink(tmp_path, upper / "out")
    assert _left(tmp_path, "/link/x", "/out/outside") == ["out"]
    assert (tmp_path / "outside").is_dir()
