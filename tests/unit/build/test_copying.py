"""COPY and ADD: each rule as Docker 28.5.2's classic builder shows it, where it has the feature."""

from __future__ import annotations

import gzip
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lading.build.attributes import parse_chmod
from lading.build.context import Context
from lading.build.copying import heredoc, plan
from lading.build.sources import DirectoryTree
from lading.errors import InvalidParameter, LadingError, NotFound
from tests.unit.build.trees import MTIME, context, copied, layer_of, member, pack, request, shown

_TREE = (
    member("a.txt", b"A", mode=0o640, owner=(5, 6)),
    member("b.txt", b"B"),
    member("dir", kind="d", mode=0o700),
    member("dir/s", b"S", mode=0o4755),
    member("dir/sub", kind="d", mode=0o750, mtime=7),
    member("dir/sub/f", b"f"),
    member("dir/ln", kind="l", to="sub/f", mode=0o777),
    member("dir/hl", kind="h", to="dir/s"),
    member("link", kind="l", to="a.txt"),
    member("linkdir", kind="l", to="dir"),
    member("dangling", kind="l", to="nosuch"),
    member("out", kind="l", to="/etc/hostname"),
)
_INNER = (
    member("in/one", b"1", owner=(7, 8), mode=0o600),
    member("in/d", kind="d", mode=0o711, owner=(3, 0)),
    member("in/l", kind="l", to="one", mode=0o777),
)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Context]:
    with context(tmp_path, *_TREE) as made:
        yield made


@pytest.fixture
def image(tmp_path: Path) -> Iterator[int]:
    """An image's root: what is in there is put there by the test."""
    place = tmp_path / "image"
    place.mkdir()
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


_DIR = [
    "hl 755 0:0",
    "ln 777 0:0 > sub/f",
    "s 755 0:0 > {}/hl",
    "sub 750 0:0",
    "sub/f 644 0:0",
]


def _dir(at: str) -> list[str]:
    return [f"{at}/{line}".format(at) for line in _DIR]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("COPY a.txt /d/", ["d 755 0:0", "d/a.txt 640 0:0"]),
        ("COPY a.txt /d", ["d 640 0:0"]),
        ("COPY a.txt /d/deep/x", ["d 755 0:0", "d/deep 755 0:0", "d/deep/x 640 0:0"]),
        ("COPY /a.txt /d", ["d 640 0:0"]),
        ("COPY a.txt ../../x/y", ["x 755 0:0", "x/y 640 0:0"]),
        ("COPY a.txt sub/", ["w 755 0:0", "w/sub 755 0:0", "w/sub/a.txt 640 0:0"]),
        ("COPY link /d/", ["d 755 0:0", "d/link 640 0:0"]),
        ("COPY dir /d", ["d 755 0:0", *_dir("d")]),
        ("COPY dir/ /d", ["d 755 0:0", *_dir("d")]),
        ("COPY linkdir /d/", ["d 755 0:0", *_dir("d")]),
        ("COPY linkdir/sub/f /d", ["d 644 0:0"]),
        ("COPY d?r /d", ["d 755 0:0", *_dir("d")]),
        ("COPY */s /d/", ["d 755 0:0", "d/s 755 0:0"]),
        ("COPY [ab].txt /d/", ["d 755 0:0", "d/a.txt 640 0:0", "d/b.txt 644 0:0"]),
        (
            "COPY dir/* /d/",
            ["d 755 0:0", "d/f 644 0:0", "d/hl 755 0:0", "d/ln 644 0:0", "d/s 755 0:0"],
        ),
        (
            "COPY dir/sub a.txt /d/",
            ["d 755 0:0", "d/a.txt 640 0:0", "d/f 644 0:0"],
        ),
    ],
)
def test_what_goes_where(line: str, expected: list[str], tree: Context, tmp_path: Path) -> None:
    assert shown(copied(line, tree.tree, tmp_path, workdir="/w")) == expected


def test_times_are_kept_and_those_of_new_directories_are_now(tree: Context, tmp_path: Path) -> None:
    before = int(time.time())
    layer = copied("COPY dir /d", tree.tree, tmp_path)
    assert layer["d"][0].mtime >= before
    assert layer["d/sub"][0].mtime == 7
    assert layer["d/sub/f"][0].mtime == MTIME
    assert layer["d/hl"][1] == b"S"


@pytest.mark.parametrize(
    ("line", "told", "kind"),
    [
        ("COPY nosuch /d/", "stat nosuch: file does not exist", NotFound),
        ("COPY nosuch/x /d/", "stat nosuch/x: file does not exist", NotFound),
        ("COPY dangling /d/", "stat dangling: file does not exist", NotFound),
        ("COPY out /d/", "stat out: file does not exist", NotFound),
        ("ADD nosuch /d/", "ADD failed: file not found in build context or excl", NotFound),
        ("COPY *.none /d/", "COPY failed: no source files were specified", InvalidParameter),
        (
            "COPY ../a.txt /d/",
            r"forbidden path outside the build context: ../a.txt \(\)",
            LadingError,
        ),
        ("COPY /../../a.txt /d/", "forbidden path outside the build context", LadingError),
        (
            "COPY a.txt b.txt /d",
            "the destination must be a directory and end with a /",
            LadingError,
        ),
        ("COPY *.txt .", "When using COPY with more than one source file", LadingError),
        ("COPY http://x/y /d", "COPY failed: source can't be a URL for COPY", InvalidParameter),
    ],
)
def test_sources_that_are_wrong(
    line: str, told: str, kind: type[LadingError], tree: Context
) -> None:
    with pytest.raises(kind, match=told):
        plan(request(line), tree.tree)


def test_another_stage_is_named_differently(tmp_path: Path, image: int) -> None:
    with pytest.raises(NotFound, match=r"^COPY failed: stat nope: file does not exist$"):
        plan(request("COPY /nope /d", from_="0"), DirectoryTree(image))


def test_destinations_follow_links_inside_the_image(
    tree: Context, tmp_path: Path, image: int
) -> None:
    place = tmp_path / "image"
    (place / "real").mkdir(mode=0o711)
    os.chown(place / "real", 3, 4)
    (place / "real/file").write_text("old")
    for name, to in {"lnk": "/real", "flnk": "real/file", "dang": "/new", "up": "../../.."}.items():
        os.symlink(to, place / name)
    for line, expected in {
        "COPY a.txt /lnk": ["real 711 3:4", "real/a.txt 640 0:0"],
        "COPY a.txt /flnk": ["real 711 3:4", "real/file 640 0:0"],
        "COPY b.txt /dang": ["new 644 0:0"],
        "COPY a.txt /dang/": ["new 755 0:0", "new/a.txt 640 0:0"],
        "COPY a.txt /up/x": ["x 640 0:0"],
        "COPY dir/sub /lnk": ["real 711 3:4", "real/f 644 0:0"],
    }.items():
        assert shown(copied(line, tree.tree, tmp_path, image)) == expected


def test_what_is_in_the_way(tree: Context, tmp_path: Path, image: int) -> None:
    place = tmp_path / "image"
    (place / "file").touch()
    for line, told in {
        "COPY dir /file": "failed to copy directory: mkdir /file: not a directory",
        "COPY a.txt /file/": "failed to create new directory: mkdir /file: not a directory",
        "COPY a.txt /file/x": "failed to copy files: mkdir /file: not a directory",
    }.items():
        with pytest.raises(LadingError, match=told):
            copied(line, tree.tree, tmp_path, image)


def test_inner_names_replace_whatever_is_there(tree: Context, tmp_path: Path, image: int) -> None:
    place = tmp_path / "image"
    (place / "f/s/full").mkdir(parents=True)
    (place / "f").chmod(0o711)
    os.symlink("/elsewhere", place / "f/sub")
    layer = copied("COPY dir /f", tree.tree, tmp_path, image)
    assert shown(layer) == ["f 711 0:0", *_dir("f")]
    # A second source goes into what the first one made, not where the image's link leads.
    layer = copied("COPY dir dir/sub /f/", tree.tree, tmp_path, image)
    assert "f/f 644 0:0" in shown(layer)


def test_links_of_the_image_are_not_followed_below_what_is_new(tmp_path: Path, image: int) -> None:
    (tmp_path / "image/f").mkdir()
    os.symlink(tmp_path, tmp_path / "image/f/p")
    (tmp_path / "x").mkdir(mode=0o700)
    with context(tmp_path, member("p/x/one"), member("q/x/two")) as made:
        layer = copied("COPY p q /f/", made.tree, tmp_path, image, parents=True)
    assert "f/p/x 755 0:0" not in shown(layer)
    assert not (tmp_path / "image/p").exists()


@pytest.mark.parametrize(
    ("chown", "owner"), [("1000:1001", "1000:1001"), ("1000", "1000:1000"), ("web", "33:34")]
)
def test_owners(chown: str, owner: str, tree: Context, tmp_path: Path, image: int) -> None:
    (tmp_path / "image/etc").mkdir()
    (tmp_path / "image/etc/passwd").write_text("root:x:0:0::/:\nbroken\nweb:x:33:1::/:\n")
    (tmp_path / "image/etc/group").write_text("web:x:34:\n")
    layer = copied("COPY dir/sub /new/deep/", tree.tree, tmp_path, image, chown=chown)
    assert shown(layer) == ["new 755 0:0", f"new/deep 755 {owner}", f"new/deep/f 644 {owner}"]
    layer = copied("COPY a.txt /q/x", tree.tree, tmp_path, image, chown=chown)
    assert shown(layer) == [f"q 755 {owner}", f"q/x 640 {owner}"]


@pytest.mark.parametrize(
    ("chown", "told"),
    [
        ("nosuch", "can't find uid for user nosuch: no such user: nosuch"),
        ("0:nosuch", "can't find gid for group nosuch: no such group: nosuch"),
        ("a:b:c", "invalid chown string format: a:b:c"),
        ("-1", "not in the range"),
    ],
)
def test_owners_that_are_not_there(chown: str, told: str, tree: Context, tmp_path: Path) -> None:
    with pytest.raises(LadingError, match=told):
        copied("COPY a.txt /q/", tree.tree, tmp_path, chown=chown)


@pytest.mark.parametrize(
    ("text", "old", "new", "directory"),
    [
        ("755", 0o600, 0o755, 0o755),
        ("4711", 0o600, 0o4711, 0o4711),
        ("u=rwX,go=rX", 0o600, 0o644, 0o755),
        ("u=rwX,go=rX", 0o700, 0o755, 0o755),
        ("a+x", 0o644, 0o755, 0o755),
        ("go-rwx", 0o777, 0o700, 0o700),
        ("g=u", 0o640, 0o660, 0o660),
        ("u+s,o+t", 0o755, 0o5755, 0o5755),
        ("+x-w", 0o644, 0o555, 0o555),
    ],
)
def test_modes(text: str, old: int, new: int, directory: int) -> None:
    chmod = parse_chmod(text)
    assert chmod(old, False) == new
    assert chmod(old, True) == directory


@pytest.mark.parametrize("text", ["", "8", "77777", "u", "z+x", "u+q", "rwx"])
def test_modes_that_are_none(text: str) -> None:
    with pytest.raises(InvalidParameter, match="invalid chmod parameter"):
        parse_chmod(text)


def test_chmod_spares_links(tree: Context, tmp_path: Path) -> None:
    layer = copied("COPY dir /d", tree.tree, tmp_path, chmod="701")
    assert {info.mode for info, _ in layer.values() if not info.issym()} == {0o701}
    assert layer["d/ln"][0].mode == 0o777


def test_exclude(tmp_path: Path) -> None:
    names = ("home.md", "home.txt", "d/x.md", "d/keep.md", "d/e/y.md", "d/e/y.c")
    with context(tmp_path, *(member(name) for name in names)) as made:
        layer = copied("COPY d /d", made.tree, tmp_path, exclude=("**/*.md", "!keep.md"))
        assert list(layer) == ["d", "d/e", "d/e/y.c", "d/keep.md"]
        layer = copied("COPY home* /d/", made.tree, tmp_path, exclude=("*.md",))
        assert list(layer) == ["d", "d/home.txt"]
        layer = copied("COPY d /d", made.tree, tmp_path, exclude=("e", "!e/y.c"))
        assert list(layer) == ["d", "d/e", "d/e/y.c", "d/keep.md", "d/x.md"]
        some = plan(request("COPY d /d", exclude=("e",)), made.tree)
        assert some.key() != plan(request("COPY d /d"), made.tree).key()


def test_parents(tmp_path: Path) -> None:
    with context(tmp_path, *(member(name) for name in ("x/a.c", "y/a.c", "y/z/b.c"))) as made:

        def made_by(line: str) -> list[str]:
            return list(copied(line, made.tree, tmp_path, parents=True))

        assert made_by("COPY ./x/a.c ./y/a.c /p/") == ["p", "p/x", "p/x/a.c", "p/y", "p/y/a.c"]
        assert made_by("COPY y/./z/b.c /p/") == ["p", "p/z", "p/z/b.c"]
        assert made_by("COPY y/z /p/") == ["p", "p/y", "p/y/z", "p/y/z/b.c"]
        assert made_by("COPY **/b.c /p/") == ["p", "p/y", "p/y/z", "p/y/z/b.c"]
        assert made_by("COPY x/a.c /p") == ["p", "p/x", "p/x/a.c"]


def test_archives(tmp_path: Path, image: int) -> None:
    inner = pack(*_INNER)
    (tmp_path / "image/d/in").mkdir(parents=True, mode=0o701)
    (tmp_path / "image/d/in").chmod(0o705)
    os.chown(tmp_path / "image/d/in", 9, 0)
    members = (
        member("a.tar", inner),
        member("a.tgz", gzip.compress(inner)),
        member("bad.tgz", b"\x1f\x8b\x08\0garbage"),
        member("empty"),
        member("dir/a.tar", inner),
    )
    unpacked = ["in/d 711 3:0", "in/l 777 0:0 > one", "in/one 600 7:8"]
    with context(tmp_path, *members) as made:
        for name in ("a.tar", "a.tgz"):
            layer = copied(f"ADD {name} /n", made.tree, tmp_path, chown="5:5")
            assert shown(layer) == ["n 755 0:0", "n/in 755 0:0", *(f"n/{one}" for one in unpacked)]
        layer = copied("ADD a.tar /d", made.tree, tmp_path, image)
        assert shown(layer)[:2] == ["d 755 0:0", "d/in 705 9:0"]
        for line in ("ADD bad.tgz /n/", "ADD empty /n/", "COPY a.tar /n/", "ADD dir /n"):
            assert len(copied(line, made.tree, tmp_path)) == 2
        assert list(copied("ADD a.tar /n", made.tree, tmp_path, unpack=False)) == ["n"]
        (tmp_path / "image/file").touch()
        with pytest.raises(LadingError, match="mkdir /file: not a directory"):
            copied("ADD a.tar /file", made.tree, tmp_path, image)


def test_links_in_an_archive_stay_below_the_destination(tmp_path: Path, image: int) -> None:
    inner = pack(member("out", kind="l", to="/esc"), member("out/f"), member("lib/x"))
    (tmp_path / "image/in").mkdir()
    os.symlink("/usr/lib", tmp_path / "image/in/lib")
    with context(tmp_path, member("h.tar", inner)) as made:
        layer = copied("ADD h.tar /in/", made.tree, tmp_path, image)
    assert {"in/out", "in/esc/f", "in/usr/lib/x"} <= set(layer)
    assert "in/lib" not in layer


def test_here_documents(tmp_path: Path) -> None:
    item = heredoc("EOF", "hi\n", tmp_path)
    layer = copied("COPY <<EOF /d/", None, tmp_path, inline={"<<EOF": item})
    assert layer["d/EOF"][1] == b"hi\n"
    assert layer["d/EOF"][0].mode == 0o644
    layer = copied("COPY <<EOF /name", None, tmp_path, inline={"<<EOF": item})
    assert list(layer) == ["name"]


def test_from_a_directory(tmp_path: Path, image: int) -> None:
    place = tmp_path / "image"
    (place / "x/s").mkdir(parents=True)
    (place / "x/f").write_text("hi")
    os.link(place / "x/f", place / "x/g")
    (place / "x/f").chmod(0o640)
    os.chown(place / "x/f", 5, 6)
    os.symlink("f", place / "x/l")
    os.mkfifo(place / "x/p")
    source = DirectoryTree(image)
    layer = copied("COPY /x /d", source, tmp_path, from_="0")
    assert shown(layer) == [
        "d 755 0:0", "d/f 640 5:6", "d/g 640 5:6 > d/f", "d/l 777 0:0 > f", "d/p 644 0:0",
        "d/s 755 0:0",
    ]  # fmt: skip
    assert layer["d/f"][1] == b"hi"
    assert stat.S_ISFIFO(source.children(source.children(source.root)[b"x"])[b"p"].mode)
    layer = copied("COPY /x/f /d", source, tmp_path, from_="0", chown="7:8")
    assert shown(layer) == ["d 640 7:8"]
    first = plan(request("COPY /x /d"), DirectoryTree(image)).key()
    os.utime(place / "x/f", (1, 1))
    assert plan(request("COPY /x /d"), DirectoryTree(image)).key() == first
    (place / "x/f").write_text("ho")
    assert plan(request("COPY /x /d"), DirectoryTree(image)).key() != first


def test_kinds_of_keys(tree: Context) -> None:
    for line, kind in {
        "COPY a.txt /d": "file:", "COPY dir /d": "dir:", "COPY dir a.txt /d/": "multi:",
    }.items():  # fmt: skip
        assert plan(request(line), tree.tree).key().startswith(kind)
    plain = plan(request("COPY a.txt /d"), tree.tree).key()
    assert plan(request("COPY a.txt /d", chmod="700"), tree.tree).key() != plain
    assert plan(request("COPY link /d"), tree.tree).key() != plain


def test_a_file_of_many_pieces(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    with context(tmp_path, member("big", content)) as made:
        assert layer_of(plan(request("COPY big /b"), made.tree), tmp_path)["b"][1] == content
