from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.errors import InvalidParameter
from lading.storage.archive.encode import END, encode, padding
from lading.storage.archive.entries import Entry, Kind, clean
from lading.storage.archive.headers import parse_pax
from lading.storage.archive.reader import TarReader

from .tars import CHAR, FIFO, Item, directory, hard, link, pulling, reader, tar

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def contents(data: bytes) -> list[tuple[Entry, bytes]]:
    source = reader(data)
    return [(entry, b"".join(bytes(p) for p in source.content())) for entry in source]


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS.keys())
def test_reads_what_tarfile_writes(form: int) -> None:
    items = [
        directory("d"),
        Item("d/file", b"hello" * 300, mode=0o4755, uid=1000, gid=1001),
        link("d/link", "../elsewhere"),
        hard("d/again", "d/file"),
        Item("null", kind=CHAR, device=(1, 3)),
        Item("pipe", kind=FIFO),
        Item("x/" * 40 + "n" * 60, b"deep"),
    ]
    read = contents(tar(items, form))
    assert [entry.name.decode().rstrip("/") for entry, _ in read] == [i.name for i in items]
    file, payload = read[1]
    assert (file.kind, file.mode, file.uid, file.gid) == (Kind.FILE, 0o4755, 1000, 1001)
    assert payload == b"hello" * 300
    assert file.mtime == 1_700_000_000_000_000_000
    assert (read[2][0].kind, read[2][0].link) == (Kind.SYMLINK, b"../elsewhere")
    assert (read[3][0].kind, read[3][0].link) == (Kind.HARD_LINK, b"d/file")
    assert (read[4][0].kind, read[4][0].major, read[4][0].minor) == (Kind.CHARACTER, 1, 3)
    assert read[5][0].kind is Kind.FIFO
    assert read[6][1] == b"deep"


@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_reads_names_that_fit_no_header(form: str) -> None:
    name, target = "a" * 300 + "/" + "ü" * 100, "t" * 400
    (entry, data), (symlink, _) = contents(
        tar([Item(name, b"1"), link("l", target)], FORMATS[form])
    )
    assert entry.name.decode() == name
    assert data == b"1"
    assert symlink.link.decode() == target


def test_pax_records_overrule_the_header() -> None:
    pax = {
        "SCHILY.xattr.user.colour": "grün",
        "LIBARCHIVE.xattr.user.shape": "cm91bmQ",
        "LIBARCHIVE.xattr.user%2Eodd": "b2Rk",
    }
    data = tar([Item("f", b"", uid=2**31, gid=2**40, mtime=1_700_000_000.123456789, pax=pax)])
    ((entry, _),) = contents(data)
    assert (entry.uid, entry.gid) == (2**31, 2**40)
    assert entry.mtime // 1_000_000 == 1_700_000_000_123
    assert entry.xattrs == {
        "user.colour": "grün".encode(),
        "user.shape": b"round",
        "user.odd": b"odd",
    }


def test_binary_attributes_survive() -> None:
    entry = Entry(b"f", Kind.FILE, xattrs={"security.capability": bytes(range(256)) + b"\n=\0"})
    ((read, _),) = contents(encode(entry) + END)
    assert read.xattrs == entry.xattrs


def test_gnu_base_256_numbers() -> None:
    ((entry, _),) = contents(tar([Item("f", uid=2**31, mtime=-5)], tarfile.GNU_FORMAT))
    assert (entry.uid, entry.mtime) == (2**31, -5_000_000_000)


@pytest.mark.parametrize("form", ["gnu", "0.0", "0.1", "1.0"])
def test_all_four_sparse_formats(tmp_path: Path, form: str) -> None:
    content = bytearray(3_000_000)
    for offset in range(0, 2_900_000, 80_000):
        content[offset : offset + 5] = b"data!"
    path = tmp_path / "holes"
    with path.open("wb") as file:
        file.truncate(len(content))
        for offset in range(0, 2_900_000, 80_000):
            file.seek(offset)
            file.write(b"data!")
    how = ["--format=gnu"] if form == "gnu" else ["--format=pax", f"--sparse-version={form}"]
    command = ["tar", "-C", str(tmp_path), *how, "--sparse", "-cf", "-", "holes"]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    ((entry, stored),) = contents(data)
    assert (entry.name, entry.size) == (b"holes", 3_000_000)
    assert entry.extents is not None
    assert len(stored) == entry.stored < len(content)
    rebuilt = bytearray(entry.size)
    at = 0
    for offset, length in entry.extents:
        rebuilt[offset : offset + length] = stored[at : at + length]
        at += length
    assert rebuilt == content


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=150)


@given(
    st.lists(st.tuples(NAMES, st.binary(max_size=1500)), max_size=5),
    st.integers(min_value=1, max_value=2000),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
@settings(max_examples=60)
def test_any_split_of_the_stream_reads_the_same(
    files: list[tuple[str, bytes]], step: int, form: int
) -> None:
    data = tar([Item(name, content) for name, content in files], form) + b"behind the end"
    tapped = bytearray()
    source = TarReader(pulling(data, step), tapped.extend)
    whole = bytearray()
    read = []
    for entry in source:
        whole += tapped
        tapped.clear()
        payload = b"".join(bytes(piece) for piece in source.content())
        whole += payload
        read.append((entry.name.decode().rstrip("/"), payload))
    source.drain()
    whole += tapped
    assert read == [(name.rstrip("/"), content) for name, content in files]
    assert bytes(whole) == data


@given(st.data())
@settings(max_examples=150)
def test_damaged_archives_are_told_in_one_way(data: st.DataObject) -> None:
    items = [
        directory("d"),
        Item("d/f", b"x" * 700, pax={"SCHILY.xattr.user.a": "b"}),
        link("l", "t"),
    ]
    archive = bytearray(tar(items))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(archive) - 1))
        archive[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(archive)))
    try:
        contents(bytes(archive[:cut]))
    except InvalidParameter as error:
        assert error.message.startswith("invalid tar archive: ")  # noqa: PT017


def test_a_cut_off_file_is_named() -> None:
    data = tar([Item("usr/bin/program", b"x" * 5000)], tarfile.GNU_FORMAT)
    with pytest.raises(InvalidParameter, match=r'in the middle of "usr/bin/program"'):
        contents(data[:2000])


@pytest.mark.parametrize("junk", [b"hello world" * 100, b"\x7fELF" + b"\1" * 600])
def test_what_is_no_archive_is_refused(junk: bytes) -> None:
    with pytest.raises(InvalidParameter, match="invalid tar archive"):
        contents(junk)


def test_nothing_is_an_empty_archive() -> None:
    assert contents(b"") == []
    assert contents(END) == []


def test_a_huge_header_is_refused_before_it_is_read() -> None:
    huge = Entry(b"x", Kind.FILE, stored=2 << 20)
    block = bytearray(encode(huge))
    block[156:157] = b"x"
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(InvalidParameter, match="2097152 bytes"):
        contents(bytes(block))


@pytest.mark.parametrize(
    "record", [b"3 a", b"99 a=b\n", b"x a=b\n", b"6 a=b\0", b"5 a=\n\n", b"6 abcd", b"4  =\n"]
)
def test_malformed_pax_records(record: bytes) -> None:
    with pytest.raises(InvalidParameter, match="pax record"):
        parse_pax(record + b"1")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"./usr/bin/", b"usr/bin"),
        (b"/etc/passwd", b"etc/passwd"),
        (b"a//b/./c", b"a/b/c"),
        (b"a/../b", b"b"),
        (b"./", b""),
        (b"/../x", b"x"),
        (b"..data/.hidden", b"..data/.hidden"),
        (b"a/...", b"a/..."),
    ],
)
def test_names_are_cleaned(name: bytes, path: bytes) -> None:
    assert clean(name) == path


@pytest.mark.parametrize("name", [b"../evil", b"a/../../evil", b"..", b"x" * 5000, b"a\0b"])
def test_names_that_cannot_be_are_refused(name: bytes) -> None:
    with pytest.raises(InvalidParameter, match="invalid entry name"):
        clean(name)


@given(
    st.binary(min_size=1, max_size=300).filter(lambda n: b"\0" not in n and not n.endswith(b"/")),
    st.integers(0, 0o7777),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=600),
)
def test_what_we_write_tarfile_reads(name: bytes, mode: int, uid: int, content: bytes) -> None:
    entry = Entry(name, Kind.FILE, mode, uid, 7, len(content), len(content), 123_456_000_000_000)
    data = encode(entry) + content + padding(len(content)) + END
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as archive:
        (member,) = archive.getmembers()
        assert member.name.encode("utf-8", "surrogateescape") == name
        assert (member.mode, member.uid, member.gid, member.mtime) == (mode, uid, 7, 123_456)
        file = archive.extractfile(member)
        assert file is not None
        assert file.read() == content
    ((again, payload),) = contents(data)
    assert (again.name, again.uid, payload) == (name, uid, content)
