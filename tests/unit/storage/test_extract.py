from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lading.errors import InvalidParameter
from lading.storage.archive.encode import END, encode
from lading.storage.archive.entries import Entry, Kind
from lading.storage.archive.extract import OPAQUE, Extractor, LayerExtractor, Replacing, is_whiteout
from lading.storage.archive.pack import pack_layer, pack_tree
from lading.storage.trees import open_root, remove, size, walk

from .tars import CHAR, FIFO, Item, directory, hard, link, reader, tar

pytestmark = pytest.mark.root


def extract(data: bytes, target: Path, kind: type[Extractor] = LayerExtractor, **more: Any) -> int:
    target.mkdir(exist_ok=True)
    root = open_root(target)
    try:
        with kind(root, **more) as extractor:
            extractor.extract(reader(data, 700))
            return extractor.size
    finally:
        os.close(root)


def test_everything_arrives_with_its_attributes(tmp_path: Path) -> None:
    items = [
        directory(
            "d", mode=0o2750, uid=3, gid=4, mtime=1_000_000_000, pax={"SCHILY.xattr.user.d": "1"}
        ),
        Item("d/suid", b"program", mode=0o4711, uid=5, gid=6, mtime=1_100_000_000.5),
        Item("d/tagged", b"", pax={"SCHILY.xattr.user.a": "b"}),
        hard("d/hard", "d/suid"),
        link("d/link", "/nowhere"),
        Item("null", kind=CHAR, mode=0o666, device=(1, 3)),
        Item("pipe", kind=FIFO, mode=0o600),
        Item("implied/by/file", b"x"),
    ]
    assert extract(tar(items), tmp_path / "r") == len(b"program") + len("/nowhere") + 1
    root = tmp_path / "r"
    suid = (root / "d/suid").stat()
    assert stat.S_IMODE(suid.st_mode) == 0o4711
    assert (suid.st_uid, suid.st_gid, suid.st_nlink) == (5, 6, 2)
    assert suid.st_mtime_ns == 1_100_000_000_500_000_000
    top = (root / "d").stat()
    assert (stat.S_IMODE(top.st_mode), top.st_uid, top.st_gid) == (0o2750, 3, 4)
    assert top.st_mtime == 1_000_000_000
    assert os.getxattr(root / "d", "user.d") == b"1"
    assert os.getxattr(root / "d/tagged", "user.a") == b"b"
    assert (root / "d/link").readlink() == Path("/nowhere")
    assert (root / "null").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_IMODE((root / "null").stat().st_mode) == 0o666
    assert (root / "pipe").is_fifo()
    assert stat.S_IMODE((root / "implied/by").stat().st_mode) == 0o755


def test_the_root_entry_changes_nothing(tmp_path: Path) -> None:
    extract(tar([directory("./", mode=0o700, uid=9)]), tmp_path / "r")
    assert (tmp_path / "r").stat().st_uid == 0


def test_holes_stay_holes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with (source / "holes").open("wb") as file:
        file.truncate(50_000_000)
        file.seek(30_000_000)
        file.write(b"in the middle")
    data = subprocess.run(
        ["tar", "-C", str(source), "--sparse", "-cf", "-", "holes"], check=True, capture_output=True
    ).stdout
    assert extract(data, tmp_path / "r") == 50_000_000
    status = (tmp_path / "r/holes").stat()
    assert status.st_blocks * 512 < 1_000_000
    assert (tmp_path / "r/holes").read_bytes() == (source / "holes").read_bytes()


def test_whiteouts_and_opaque_directories(tmp_path: Path) -> None:
    items = [
        directory("a"),
        Item("a/.wh.gone"),
        directory("b"),
        Item("b/.wh..wh..opq"),
        Item("b/new", b"1"),
        Item("b/.wh..wh.plnk"),
    ]
    extract(tar(items), tmp_path / "r")
    assert is_whiteout((tmp_path / "r/a/gone").lstat())
    assert os.getxattr(tmp_path / "r/b", OPAQUE) == b"y"
    assert sorted(os.listdir(tmp_path / "r/b")) == ["new"]


@pytest.mark.parametrize("whiteout_first", [True, False])
def test_a_whiteout_is_for_lower_layers_only(tmp_path: Path, whiteout_first: bool) -> None:
    made = [directory("d"), Item("d/new", b"1"), Item("f", b"2")]
    gone = [Item(".wh.d"), Item(".wh.f")]
    extract(tar(gone + made if whiteout_first else made + gone), tmp_path / "r")
    assert (tmp_path / "r/d/new").read_bytes() == b"1"
    assert (tmp_path / "r/f").read_bytes() == b"2"
    assert os.getxattr(tmp_path / "r/d", OPAQUE) == b"y"


def test_links_in_the_archive_lead_inside_the_root_only(tmp_path: Path) -> None:
    items = [directory("usr/lib"), link("lib", "usr/lib"), Item("lib/a", b"1"), link("etc", "/usr")]
    extract(tar([*items, Item("etc/b", b"2")]), tmp_path / "r")
    assert (tmp_path / "r/usr/lib/a").read_bytes() == b"1"
    assert (tmp_path / "r/usr/b").read_bytes() == b"2"


HOSTILE = {
    "dots in a name": ([Item("../evil", b"x")], 'invalid entry name "../evil"'),
    "a link above the root": (
        [link("a", "../../tmp"), Item("a/evil", b"x")],
        "path escapes from parent",
    ),
    "a link above from below": (
        [directory("d"), link("d/a", "../../x"), Item("d/a/evil", b"x")],
        "path escapes from parent",
    ),
    "a hard link out": ([hard("b", "../../../etc/passwd")], "invalid hardlink target"),
    "a hard link to nothing": ([hard("b", "nothing")], "no such file in the archive"),
    "the same name twice": (
        [Item("c", b"1"), Item("c", b"2")],
        "duplicates of file paths not supported",
    ),
    "a file as a directory": ([Item("a", b"1"), Item("a/x", b"1")], "not a directory"),
    "a cycle of links": (
        [link("a", "b"), link("b", "a"), Item("a/x", b"1")],
        "too many levels of symbolic links",
    ),
    "a name too long": ([Item("n" * 300, b"x")], "file name too long"),
    "a path too long": ([Item("n/" * 3000 + "f", b"x")], "more than 4095 bytes"),
}


@pytest.mark.parametrize(("items", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_archives(tmp_path: Path, items: list[Item], message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        extract(tar(items), tmp_path / "r")
    assert sorted(os.listdir(tmp_path)) == ["r"]


def test_a_deep_path_is_no_trouble(tmp_path: Path) -> None:
    name = "/".join(["d"] * 1500)
    parent = open_root(tmp_path)
    try:
        extract(tar([Item(name + "/f", b"deep")]), tmp_path / "r")
        root = open_root(tmp_path / "r")
        assert sum(1 for _ in walk(root)) == 1501
        assert size(root) == 4
        os.close(root)
    finally:
        remove("r", parent)  # pytest's own removal cannot go so deep
        os.close(parent)
    assert os.listdir(tmp_path) == []


def test_impossible_devices_and_owners(tmp_path: Path) -> None:
    device = Entry(b"dev", Kind.CHARACTER, major=0o777777, minor=1)
    with pytest.raises(InvalidParameter, match="impossible device number"):
        extract(encode(device) + END, tmp_path / "a")
    with pytest.raises(InvalidParameter, match="impossible owner"):
        extract(tar([Item("f", uid=2**40)]), tmp_path / "b")


def test_an_archive_cannot_speak_to_overlayfs(tmp_path: Path) -> None:
    pax = {"SCHILY.xattr.trusted.overlay.redirect": "/other", "SCHILY.xattr.trusted.mine": "1"}
    extract(tar([directory("d", pax=pax)]), tmp_path / "r")
    assert os.listxattr(tmp_path / "r/d") == ["trusted.mine"]


def test_replacing_overwrites_and_merges(tmp_path: Path) -> None:
    extract(tar([directory("d"), Item("d/old", b"1"), Item("f", b"1")]), tmp_path / "r")
    extract(tar([directory("d"), Item("d/new", b"2"), Item("f", b"2")]), tmp_path / "r", Replacing)
    assert sorted(os.listdir(tmp_path / "r/d")) == ["new", "old"]
    assert (tmp_path / "r/f").read_bytes() == b"2"
    extract(tar([Item("d", b"now a file")]), tmp_path / "r", Replacing)
    assert (tmp_path / "r/d").read_bytes() == b"now a file"
    extract(tar([directory("d"), Item("d/x", b"3")]), tmp_path / "r", Replacing, owner=(5, 6))
    assert (tmp_path / "r/d/x").stat().st_uid == 5
    assert (tmp_path / "r/d").stat().st_gid == 6


@pytest.mark.parametrize(
    ("there", "comes", "message"),
    [
        (directory("d"), Item("d", b""), 'cannot overwrite directory "d" with non-directory'),
        (Item("d", b""), directory("d"), 'cannot overwrite non-directory "d" with directory'),
    ],
)
def test_strict_replacing(tmp_path: Path, there: Item, comes: Item, message: str) -> None:
    extract(tar([there]), tmp_path / "r")
    with pytest.raises(InvalidParameter, match=message):
        extract(tar([comes]), tmp_path / "r", Replacing, strict=True)


def test_a_set_group_id_directory_does_not_hand_its_group_on(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    os.chown(tmp_path / "r", 0, 77)
    (tmp_path / "r").chmod(0o2755)
    extract(tar([Item("f", b"1"), directory("d")]), tmp_path / "r", Replacing)
    assert (tmp_path / "r/f").stat().st_gid == 0
    assert (tmp_path / "r/d").stat().st_gid == 0


def test_what_a_container_puts_in_place_of_a_directory_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir(mode=0o700)
    (tmp_path / "r").mkdir()
    root = open_root(tmp_path / "r")
    source = reader(tar([directory("d", mode=0o777, uid=5)]))
    with Replacing(root) as extractor:
        for entry in source:
            extractor.add(entry, source)
        (tmp_path / "r/d").rmdir()
        (tmp_path / "r/d").symlink_to(secret)
        with pytest.raises(InvalidParameter, match='"d/" was replaced while it was extracted'):
            extractor.finish()
    os.close(root)
    status = secret.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o700, 0)


def test_packing_and_extracting_is_the_identity(tmp_path: Path) -> None:
    items = [
        directory("d", mode=0o1777, mtime=1_600_000_000),
        Item("d/big", os.urandom(700_000), mode=0o600, uid=7, gid=8),
        Item("d/" + "é" * 60, b"name", pax={"SCHILY.xattr.user.x": "y"}),
        hard("d/zweit", "d/big"),
        link("d/l", "x" * 200),
        Item("dev", kind=CHAR, device=(5, 1)),
        Item("fifo", kind=FIFO),
        directory("opaque"),
        Item("opaque/.wh..wh..opq"),
        Item("opaque/.wh.gone"),
    ]
    extract(tar(items), tmp_path / "a")
    first = packed_layer(tmp_path / "a")
    extract(first, tmp_path / "b")
    assert packed_layer(tmp_path / "b") == first
    names = [entry.name for entry in reader(first)]
    assert names == [
        b"d/",
        b"d/big",
        b"d/l",
        b"d/zweit",
        b"d/" + "é".encode() * 60,
        b"dev",
        b"fifo",
        b"opaque/",
        b"opaque/.wh..wh..opq",
        b"opaque/.wh.gone",
    ]


def packed_layer(path: Path) -> bytes:
    root = open_root(path)
    try:
        return b"".join(pack_layer(root))
    finally:
        os.close(root)


def test_a_tree_is_packed_without_its_sockets(tmp_path: Path) -> None:
    import socket

    (tmp_path / "f").write_bytes(b"1")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        root = open_root(tmp_path)
        data = b"".join(pack_tree(root))
        os.close(root)
    assert [entry.name for entry in reader(data)] == [b"f"]


def test_removal_does_not_follow_links_and_overcomes_immutability(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_bytes(b"1")
    doomed = tmp_path / "doomed"
    (doomed / "d/e").mkdir(parents=True)
    (doomed / "d/link").symlink_to(tmp_path / "kept")
    (doomed / "d/frozen").write_bytes(b"1")
    (doomed / "icy").mkdir()
    (doomed / "icy/f").write_bytes(b"1")
    subprocess.run(["chattr", "+i", str(doomed / "d/frozen"), str(doomed / "icy")], check=True)
    parent = open_root(tmp_path)
    try:
        remove("doomed", parent)
        remove("doomed", parent)
    finally:
        os.close(parent)
    assert os.listdir(tmp_path) == ["kept"]
    assert (tmp_path / "kept/file").exists()
