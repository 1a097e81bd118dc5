from __future__ import annotations

import gzip
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from lading.errors import InvalidParameter, LadingError, NotFound
from lading.storage.copying import copy_up, read_archive, stat_path, write_archive
from lading.storage.trees import open_root

from .tars import Item, directory, link, reader, tar

pytestmark = pytest.mark.root


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """A container's root, with a secret beside it that no path may reach."""
    top = tmp_path / "root"
    (top / "etc").mkdir(parents=True)
    (top / "etc/passwd").write_bytes(b"inside")
    os.utime(top / "etc/passwd", ns=(0, 1_700_000_000_250_000_000))
    (top / "etc/mtab").symlink_to("/proc/mounts")
    (top / "bin").symlink_to("usr/bin")
    (top / "usr/bin").mkdir(parents=True)
    (top / "usr/bin/tool").write_bytes(b"tool")
    (top / "usr/bin/tool").chmod(0o4755)
    (top / "out").symlink_to("../../../../" + str(tmp_path / "secret"))
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_bytes(b"secret")
    descriptor = open_root(top)
    yield descriptor
    os.close(descriptor)


def names(root: int, path: str) -> list[bytes]:
    return [entry.name for entry in reader(b"".join(read_archive(root, path)[1]))]


def test_a_path_is_described(root: int) -> None:
    found = stat_path(root, "/etc/passwd")
    assert (found.name, found.size, found.mode) == ("passwd", 6, 0o644)
    assert found.mtime == "2023-11-14T22:13:20.25Z"
    assert stat_path(root, "/usr/bin/tool").mode == 0o755 | 1 << 23
    assert stat_path(root, "etc").mode == 0o755 | 1 << 31
    assert stat_path(root, "/etc/mtab").link_target == "/proc/mounts"
    shortcut = stat_path(root, "/bin")
    assert (shortcut.link_target, shortcut.mode) == ("/usr/bin", 0o777 | 1 << 27)
    assert stat_path(root, "/bin/").mode == 0o755 | 1 << 31
    assert stat_path(root, "/bin/tool").size == 4


@pytest.mark.parametrize(
    ("path", "name"),
    [("/", "/"), ("/.", "."), ("/etc/", "etc"), ("/etc/.", "."), ("../etc", "etc"), ("etc", "etc")],
)
def test_what_a_path_is_called(root: int, path: str, name: str) -> None:
    assert stat_path(root, path).name == name


def test_archives_are_named_after_the_path(root: int) -> None:
    assert names(root, "/etc/passwd") == [b"passwd"]
    assert names(root, "/etc") == [b"etc/", b"etc/mtab", b"etc/passwd"]
    assert names(root, "/etc/.") == [b"./", b"./mtab", b"./passwd"]
    assert names(root, "/")[:3] == [b"/", b"/bin", b"/etc/"]
    assert names(root, "/bin") == [b"bin"]
    assert names(root, "/bin/.") == [b"./", b"./tool"]


def test_paths_that_are_not_there(root: int) -> None:
    for path in ("/nosuch", "/nosuch/x"):
        with pytest.raises(NotFound, match=f"Could not find the file {path}"):
            stat_path(root, path)
    for path in ("/etc/passwd/x", "/etc/passwd/"):
        with pytest.raises(LadingError, match=f"lstat {path}: not a directory"):
            stat_path(root, path)
    with pytest.raises(InvalidParameter, match="NUL"):
        stat_path(root, "/etc\0")


def test_no_link_leads_out(root: int, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_archive(root, "/out/key")
    with pytest.raises(NotFound):
        write_archive(root, "/out", io.BytesIO(tar([Item("key", b"overwritten")])))
    assert (tmp_path / "secret/key").read_bytes() == b"secret"


def test_an_archive_is_extracted(root: int, tmp_path: Path) -> None:
    data = tar([directory("d", uid=7), Item("d/f", b"1", uid=7, gid=8), Item("passwd", b"new")])
    write_archive(root, "/etc", io.BytesIO(gzip.compress(data)))
    assert (tmp_path / "root/etc/passwd").read_bytes() == b"new"
    assert (tmp_path / "root/etc/d/f").stat().st_uid == 7
    write_archive(root, "/bin", io.BytesIO(data), owner=(5, 6))
    assert (tmp_path / "root/usr/bin/d/f").stat().st_gid == 6


def test_where_nothing_can_be_extracted(root: int) -> None:
    data = tar([Item("f", b"1")])
    with pytest.raises(InvalidParameter, match="extraction point is not a directory"):
        write_archive(root, "/etc/passwd", io.BytesIO(data))
    with pytest.raises(NotFound, match="Could not find the file /nosuch"):
        write_archive(root, "/nosuch", io.BytesIO(data))
    with pytest.raises(InvalidParameter, match="invalid entry name"):
        write_archive(root, "/etc", io.BytesIO(tar([Item("../evil", b"1")])))
    with pytest.raises(InvalidParameter, match="cannot overwrite directory"):
        write_archive(
            root, "/", io.BytesIO(tar([Item("etc", b"1")])), no_overwrite_dir_non_dir=True
        )


def test_a_link_in_the_archive_stays_below_the_target(root: int, tmp_path: Path) -> None:
    data = tar([link("shortcut", "/etc"), Item("shortcut/f", b"1")])
    write_archive(root, "/usr", io.BytesIO(data))
    assert (tmp_path / "root/usr/etc/f").read_bytes() == b"1"


def test_copy_up_fills_an_empty_volume(root: int, tmp_path: Path) -> None:
    source = tmp_path / "root/srv"
    source.mkdir()
    (source / "a").write_bytes(b"1")
    os.link(source / "a", source / "b")
    os.chown(source / "a", 5, 6)
    os.utime(source / "a", ns=(0, 1_700_000_000_123_456_789))
    os.setxattr(source, "user.x", b"y")
    os.chown(source, 7, 8)
    source.chmod(0o2770)
    volume = tmp_path / "volume"
    volume.mkdir()
    copy_up(root, "/srv", str(volume))
    copied = (volume / "a").stat()
    assert (copied.st_uid, copied.st_gid, copied.st_nlink) == (5, 6, 2)
    assert copied.st_mtime_ns == 1_700_000_000_123_456_789
    top = volume.stat()
    assert (top.st_uid, top.st_gid, stat.S_IMODE(top.st_mode)) == (7, 8, 0o2770)
    assert os.getxattr(volume, "user.x") == b"y"
    (source / "later").write_bytes(b"2")
    copy_up(root, "/srv", str(volume))
    assert sorted(os.listdir(volume)) == ["a", "b"]


@pytest.mark.parametrize("path", ["/nosuch", "/etc/passwd", "/out"])
def test_copy_up_of_no_directory_does_nothing(root: int, tmp_path: Path, path: str) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    copy_up(root, path, str(volume))
    assert os.listdir(volume) == []
