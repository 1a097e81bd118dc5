"""Paths inside a root never lead out of it, and are made where they are missing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lading.kernel.errors import KernelError
from lading.oci import rootfs


@pytest.fixture(params=["openat2", "walk"])
def root(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    """Give a root with links in it; once with openat2, once as if it were forbidden."""
    if request.param == "walk":

        def forbidden(directory: int, path: str, flags: int, *, resolve: int) -> int:
            raise KernelError(errno.ENOSYS, "open", path)

        monkeypatch.setattr(rootfs, "openat2", forbidden)
    inside = tmp_path / "root"
    (inside / "a/b").mkdir(parents=True)
    (inside / "file").write_text("")
    (inside / "absolute").symlink_to("/a/b")
    (inside / "relative").symlink_to("a/../a/b")
    (inside / "climbing").symlink_to("../../../../a")
    (inside / "dangling").symlink_to("/later/there")
    (inside / "loop").symlink_to("loop")
    (tmp_path / "a").mkdir()
    descriptor = os.open(inside, os.O_PATH)
    yield descriptor
    os.close(descriptor)


def place(root: int, descriptor: int) -> str:
    """Tell where in the root *descriptor* is, and close it."""
    path = os.readlink(f"/proc/self/fd/{descriptor}")
    os.close(descriptor)
    return path.removeprefix(os.readlink(f"/proc/self/fd/{root}")) or "/"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/a/b", "/a/b"),
        ("a//./b/", "/a/b"),
        ("absolute", "/a/b"),
        ("relative", "/a/b"),
        ("climbing/b", "/a/b"),
        ("../../a", "/a"),
        ("/", "/"),
        ("file", "/file"),
    ],
)
def test_lookup_stays_inside(root: int, path: str, found: str) -> None:
    assert place(root, rootfs.lookup(root, path)) == found


@pytest.mark.parametrize(
    ("path", "number"),
    [("nothing", errno.ENOENT), ("loop", errno.ELOOP), ("file/x", errno.ENOTDIR)],
)
def test_lookup_says_why_not(root: int, path: str, number: int) -> None:
    with pytest.raises(KernelError) as raised:
        os.close(rootfs.lookup(root, path))
    assert raised.value.errno == number


@pytest.mark.parametrize(
    ("make", "path", "made"),
    [
        (rootfs.make_directory, "x/y/z", "/x/y/z"),
        (rootfs.make_directory, "a/b", "/a/b"),
        (rootfs.make_directory, "dangling", "/later/there"),
        (rootfs.make_directory, "absolute/new", "/a/b/new"),
        (rootfs.make_directory, "climbing/new", "/a/new"),
        (rootfs.make_file, "x/y/f", "/x/y/f"),
        (rootfs.make_file, "dangling/f", "/later/there/f"),
    ],
)
def test_missing_parts_are_made_inside(
    root: int, make: Callable[[int, str], int], path: str, made: str
) -> None:
    assert place(root, make(root, path)) == made
    outside = Path(os.readlink(f"/proc/self/fd/{root}")).parent
    assert sorted(p.name for p in outside.iterdir()) == ["a", "root"]
    assert not list((outside / "a").iterdir())


def test_a_made_file_is_a_file(root: int) -> None:
    descriptor = rootfs.make_file(root, "x/f")
    path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    os.close(descriptor)
    assert path.is_file()


def test_nothing_is_made_through_a_file(root: int) -> None:
    with pytest.raises(KernelError) as raised:
        rootfs.make_directory(root, "file/x")
    assert raised.value.errno == errno.ENOTDIR


def test_no_descriptor_is_left_open(root: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for path in ("x/y", "a/b", "dangling"):
        os.close(rootfs.make_directory(root, path))
    with pytest.raises(KernelError):
        rootfs.make_directory(root, "loop")
    assert len(os.listdir("/proc/self/fd")) == before
