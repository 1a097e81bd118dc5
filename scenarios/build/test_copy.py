"""COPY and ADD: what goes where, with which mode, owner and time, and what is refused."""

from __future__ import annotations

import tarfile

from scenarios.conftest import Observe
from scenarios.harness.building import MTIME, Builder, Entry, Files, pack, symlink

_STAT = "find {} | sort | xargs stat -c '%n %F %u:%g %a'"
_TREE: Files = {"d/a.txt": "a", "d/b.txt": "b", "d/sub/c.md": "c", "top.txt": "top"}


def test_a_file_to_a_name_and_into_a_directory(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox\nCOPY top.txt /name\nCOPY top.txt /new/deep/\nCOPY top.txt /tmp\n"
        "COPY top.txt /made/of/name\n",
        _TREE,
    )
    listing = builder.shell(built, _STAT.format("/name /new /made /tmp"))
    assert "/new/deep/top.txt regular file 0:0 644" in listing
    assert "/tmp/top.txt regular file 0:0 644" in listing
    assert "/made/of/name regular file 0:0 644" in listing
    observe("listing", listing)


def test_of_a_directory_its_content_is_copied(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox\nRUN mkdir -p /there/sub && touch /there/kept /there/sub/kept\n"
        "COPY d /there\nCOPY d/ /new\nCOPY d/sub /new/sub2/\n",
        _TREE,
    )
    listing = builder.shell(built, "find /there /new | sort")
    assert "/there/a.txt" in listing
    assert "/there/sub/kept" in listing
    assert "/there/d" not in listing
    observe("listing", listing)


def test_the_whole_context(builder: Builder, observe: Observe) -> None:
    built = builder.build("FROM busybox\nWORKDIR /w\nCOPY . .\n", _TREE)
    listing = builder.shell(built, "find . | sort")
    assert "./Dockerfile" in listing
    observe("listing", listing)


def test_several_sources_need_a_directory(builder: Builder, observe: Observe) -> None:
    failed = builder.fail("FROM busybox\nCOPY top.txt d /x\n", _TREE)
    assert "must be a directory and end with a /" in failed.error
    observe("status", failed.status)
    built = builder.build("FROM busybox\nCOPY top.txt d /x/\n", _TREE)
    observe("listing", builder.shell(built, "find /x | sort"))
    observe("history", builder.history(built))


def test_wildcards(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox\nCOPY d/*.txt /one/\nCOPY d/?.txt /two/\nCOPY d/[b-z]* /three/\n"
        "COPY */sub/* /four/\nCOPY d/b.tx? /five\n",
        _TREE,
    )
    listing = builder.shell(built, "find /one /two /three /four /five | sort")
    assert listing[:4] == ["/five", "/four", "/four/c.md", "/one"]
    observe("listing", listing)
    failed = builder.fail("FROM busybox\nCOPY *.none /x/\n", _TREE)
    assert "*.none" in failed.error or "no source files" in failed.error
    observe("status", failed.status)


def test_names_with_spaces_and_letters(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        'FROM busybox\nCOPY ["a b", "/c d/"]\nCOPY ü.txt /\n',
        {"a b": "1", "ü.txt": "2"},
    )
    assert builder.shell(built, "cat '/c d/a b' /ü.txt") == ["12"]
    observe("history", builder.history(built))


def test_a_missing_source_is_named(builder: Builder, observe: Observe) -> None:
    failed = builder.fail("FROM busybox\nRUN true\nCOPY nosuch /x\n", _TREE)
    assert "nosuch" in failed.error
    observe("status", failed.status)
    for line in ("COPY a", "COPY", "ADD a", "COPY --form=x a b"):
        observe(line, builder.fail(f"FROM busybox\n{line}\n", _TREE).status)


def test_nothing_comes_from_outside_of_the_context(builder: Builder, observe: Observe) -> None:
    failed = builder.fail("FROM busybox\nCOPY ../../../etc/passwd /stolen\n", _TREE)
    observe("status", failed.status)
    link: Files = {"link": symlink("/etc/hostname"), "up/link": symlink("../../../../etc/hostname")}
    for source in ("link", "up/link"):
        observe(source, builder.fail(f"FROM busybox\nCOPY {source} /stolen\n", link).status)


def test_links_in_a_directory_stay_links(builder: Builder, observe: Observe) -> None:
    files: Files = {
        "d/file": "data", "d/link": symlink("file"), "d/broken": symlink("/nowhere"),
        "l": symlink("d"),
    }  # fmt: skip
    built = builder.build("FROM busybox\nCOPY d /d\nCOPY d/link /followed\nCOPY l /l\n", files)
    listing = builder.shell(built, "stat -c '%N' /d/link /d/broken; ls -d /l/*; cat /followed")
    assert "'/d/link' -> 'file'" in listing
    observe("listing", listing)
    observe("followed", builder.shell(built, "stat -c %F /followed /l"))


def test_a_link_at_the_destination_is_followed(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox\nRUN mkdir /real && ln -s /real /link && ln -s ../../real /tmp/up\n"
        "COPY top.txt /link/\nCOPY d /tmp/up\n",
        _TREE,
    )
    listing = builder.shell(built, "find /real | sort; stat -c '%N' /link /tmp/up")
    assert "/real/top.txt" in listing
    observe("listing", listing)


def test_a_file_and_a_directory_do_not_replace_each_other(
    builder: Builder, observe: Observe
) -> None:
    observe(
        "directory over file",
        builder.fail("FROM busybox\nRUN touch /x\nCOPY d /x\n", _TREE).status,
    )
    files: Files = {"d/x": "file", "e/x/y": "below a directory"}
    observe("file over directory", bool(
        builder.attempt("FROM busybox\nRUN mkdir /t /t/x\nCOPY d /t\n", files).error
    ))  # fmt: skip
    observe("directory over a file in it", bool(
        builder.attempt("FROM busybox\nRUN mkdir /t && touch /t/x\nCOPY e /t\n", files).error
    ))  # fmt: skip


def test_modes_and_times_are_kept_and_owners_are_roots(builder: Builder, observe: Observe) -> None:
    files: Files = {
        "d/program": Entry(b"x", mode=0o755, uid=1000, gid=1000),
        "d/secret": Entry(b"x", mode=0o600, uid=5),
        "d/folder": Entry(mode=0o1770, kind=tarfile.DIRTYPE, uid=7),
        "d/folder/f": Entry(b"x", mode=0o444),
    }
    built = builder.build("FROM busybox\nUSER nobody\nCOPY d /d\nUSER root\n", files)
    listing = builder.shell(built, "find /d | sort | xargs stat -c '%n %u:%g %a %Y'")
    assert f"/d/program 0:0 755 {MTIME}" in listing
    observe("listing", [line for line in listing if not line.startswith("/d 0")])


def test_owners_by_name_and_number(builder: Builder, observe: Observe) -> None:
    lines = {
        "root": "/a/", "nobody:users": "/b/", "5": "/c/", "5:6": "/d/", "root:100": "/e/deep/",
    }  # fmt: skip
    copies = "".join(f"COPY --chown={owner} d {place}\n" for owner, place in lines.items())
    built = builder.build(f"FROM busybox\n{copies}ADD --chown=8 top.txt /f/\n", _TREE)
    listing = builder.shell(built, _STAT.format("/a /b /c /d /e /f"))
    assert "/b/a.txt regular file 65534:100 644" in listing
    observe("listing", listing)
    for owner in ("nosuch", "nobody", "root:nosuch"):
        observe(owner, builder.fail(f"FROM busybox\nCOPY --chown={owner} d /d\n", _TREE).error)


def test_add_unpacks_archives_and_copy_does_not(builder: Builder, observe: Observe) -> None:
    inner: Files = {
        "in/file": Entry(b"data", mode=0o640, uid=5, gid=6),
        "in/link": symlink("file"),
    }
    files: Files = {
        "plain.tar": pack(inner), "gz.tgz": pack(inner, "gz"), "bz2": pack(inner, "bz2"),
        "false.tar": "no archive at all",
    }  # fmt: skip
    adds = "".join(f"ADD {name} /{number}/\n" for number, name in enumerate(files))
    built = builder.build(
        f"FROM busybox\n{adds}COPY plain.tar /copied/\nADD gz.tgz /named\n", files
    )
    listing = builder.shell(built, _STAT.format("/0 /1 /2 /3 /copied /named"))
    assert "/0/in/file regular file 5:6 640" in listing
    assert "/3/false.tar regular file 0:0 644" in listing
    assert "/copied/plain.tar regular file 0:0 644" in listing
    observe("listing", listing)


def test_an_archive_is_unpacked_over_what_is_there(builder: Builder, observe: Observe) -> None:
    inner = pack({"etc/motd": "hello\n", "home/new/x": "", "tmp/t": ""})
    built = builder.build("FROM busybox\nADD root.tar /\n", {"root.tar": inner})
    listing = builder.shell(built, "cat /etc/motd; ls /etc/passwd; stat -c '%a' /tmp /home/new")
    assert "/etc/passwd" in listing
    observe("listing", listing)


def test_an_archive_can_not_write_outside(builder: Builder, observe: Observe) -> None:
    hostile = pack({"ok": "", "out": symlink("/escaped"), "out/f": "x"})
    built = builder.attempt("FROM busybox\nADD hostile.tar /in/\n", {"hostile.tar": hostile})
    assert not builder.subject.host.file("/escaped").exists
    observe("done", bool(built.image))


def test_hard_links_in_a_context(builder: Builder, observe: Observe) -> None:
    files: Files = {"d/a": "data", "d/b": Entry(kind=tarfile.LNKTYPE, target="d/a")}
    built = builder.build("FROM busybox\nCOPY d /d\n", files)
    observe("content", builder.shell(built, "cat /d/a /d/b"))


def test_a_pipe_in_a_context(builder: Builder, observe: Observe) -> None:
    files: Files = {"d/pipe": Entry(kind=tarfile.FIFOTYPE), "d/file": "x"}
    built = builder.build("FROM busybox\nCOPY d /d\nRUN cat /d/file\n", files)
    observe("listing", builder.shell(built, "stat -c '%n %F' /d/*"))


def test_an_empty_directory_is_copied(builder: Builder, observe: Observe) -> None:
    files: Files = {"d": Entry(kind=tarfile.DIRTYPE, mode=0o750)}
    built = builder.build("FROM busybox\nCOPY d /d\n", files, tag="lading-test:empty")
    assert builder.run(built, "stat", "-c", "%F", "/d") == "directory"
    observe("mode", builder.run(built, "stat", "-c", "%a %u:%g", "/d"))
    observe("members", [len(layer) for layer in builder.layers("lading-test:empty")])
