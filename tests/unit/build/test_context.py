"""The build context: what comes in, what stays out, and what is refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.build.context import receive
from lading.build.copying import plan
from lading.build.lookup import find, glob, key
from lading.errors import InvalidParameter, LadingError
from tests.unit.build.trees import DOCKERFILE, context, layer_of, member, pack, request

_COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("name", _COMPRESSIONS)
def test_a_context_may_be_compressed(name: str, tmp_path: Path) -> None:
    data = _COMPRESSIONS[name](pack(DOCKERFILE, member("a/b", b"content" * 5000)))
    made = receive(io.BytesIO(data), tmp_path)
    found = find(made.tree, b"a/b")
    assert found is not None
    assert made.tree.read(found[1]) == b"content" * 5000
    assert made.dockerfile == "FROM scratch\n"
    assert os.listdir(tmp_path) == []
    made.close()


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ([member("../evil")], "leads out of the root"),
        ([member("x/../../evil")], "leads out of the root"),
        ([member("ln", kind="l", to="../.."), member("ln/evil")], "escapes from parent"),
        ([member("h", kind="h", to="/etc/passwd")], "invalid hardlink target"),
        ([member("h", kind="h", to="../../etc/passwd")], "invalid hardlink target"),
        ([member("a"), member("a/b")], "not a directory"),
        ([member("l", kind="l", to="l"), member("l/b")], "too many symbolic links"),
    ],
)
def test_hostile_entries_are_refused(
    members: list[tuple[tarfile.TarInfo, bytes]], told: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidParameter, match=told):
        receive(io.BytesIO(pack(DOCKERFILE, *members)), tmp_path)


def test_links_lead_inside_the_context(tmp_path: Path) -> None:
    with context(
        tmp_path,
        member("ln", kind="l", to="/tmp"),
        member("ln/inside", b"1"),
        member("deep/er/up", kind="l", to="../../../../../tmp/inside"),
        member("out", kind="l", to="/etc/hostname"),
        member("a", b"first"),
        member("a", b"second"),
    ) as made:
        tree = made.tree
        for path in (b"tmp/inside", b"ln/inside", b"deep/er/up"):
            found = find(tree, path)
            assert found is not None
            assert found[0] == b"tmp/inside"
        assert find(tree, b"out") is None
        replaced = find(tree, b"a")
        assert replaced is not None
        assert tree.read(replaced[1]) == b"second"


def test_a_cut_off_context(tmp_path: Path) -> None:
    data = pack(DOCKERFILE, member("a", b"x" * 5000))
    with pytest.raises(InvalidParameter, match="unexpected EOF"):
        receive(io.BytesIO(data[:2500]), tmp_path)


@pytest.mark.parametrize(
    ("name", "found"),
    [("", "FROM scratch\n"), ("/Dockerfile", "FROM scratch\n"), ("sub/Other", "FROM other\n")],
)
def test_which_file_is_the_dockerfile(name: str, found: str, tmp_path: Path) -> None:
    data = pack(DOCKERFILE, member("sub/Other", b"FROM other\n"))
    made = receive(io.BytesIO(data), tmp_path, name)
    assert made.dockerfile == found
    made.close()


@pytest.mark.parametrize(
    ("members", "name", "told"),
    [
        ([], "", "Cannot locate specified Dockerfile: Dockerfile"),
        ([DOCKERFILE], "nosuch", "Cannot locate specified Dockerfile: nosuch"),
        ([DOCKERFILE], "../x", r"forbidden path outside the build context: ../x \(\)"),
        ([member("Dockerfile")], "", r"the Dockerfile \(Dockerfile\) cannot be empty"),
        ([member("Dockerfile", kind="d")], "", "no regular file"),
        ([member("Dockerfile", kind="l", to="/etc/hostname")], "", "Cannot locate"),
    ],
)
def test_a_dockerfile_that_cannot_be(
    members: list[tuple[tarfile.TarInfo, bytes]], name: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(LadingError, match=told):
        receive(io.BytesIO(pack(*members)), tmp_path, name)


def test_a_small_letter_will_do(tmp_path: Path) -> None:
    made = receive(io.BytesIO(pack(member("dockerfile", b"FROM small\n"))), tmp_path, "Dockerfile")
    assert made.dockerfile == "FROM small\n"
    made.close()


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        (b"a\n", [b".dockerignore", b"Dockerfile", b"a", b"b"]),
        (b"a\nDockerfile\n", [b".dockerignore", b"a", b"b"]),
        (b"*\n!b\n", [b"a", b"b"]),
        (b"[\n", [b".dockerignore", b"Dockerfile", b"a", b"b"]),
    ],
)
def test_only_dockerfile_and_ignore_file_leave(
    rules: bytes, left: list[bytes], tmp_path: Path
) -> None:
    with context(tmp_path, member(".dockerignore", rules), member("a"), member("b")) as made:
        assert sorted(made.tree.children(made.tree.root)) == left
        assert made.dockerfile == "FROM scratch\n"


def test_secrets_never_become_part_of_the_tree(tmp_path: Path) -> None:
    secret = (member(".lading-t0k", kind="d"), member(".lading-t0k/id one", b"s3cret"))
    members = (*secret, member(".lading-other/x", b"plain"))
    made = receive(io.BytesIO(pack(*members, DOCKERFILE)), tmp_path, "", "t0k")
    assert made.secrets == {"id one": b"s3cret"}
    assert sorted(made.tree.children(made.tree.root)) == [b".lading-other", b"Dockerfile"]
    assert b"s3cret" not in b"".join(made.tree.spool.read(0, made.tree.spool.end))
    made.close()
    with context(tmp_path, *members) as untold:
        assert untold.secrets == {}
    with pytest.raises(InvalidParameter, match="at most 500 KiB"):
        receive(io.BytesIO(pack(member(".lading-t/x", bytes(600_000)))), tmp_path, "", "t")


_BASE = {"mode": 0o644, "owner": (0, 0), "content": b"1", "name": "d/f", "mtime": 5}


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"mtime": 9}, True),
        ({"mode": 0o755}, False),
        ({"owner": (1, 0)}, False),
        ({"content": b"2"}, False),
        ({"name": "d/g"}, False),
        ({"xattrs": {"user.a": "b"}}, False),
        ({"kind": "l", "to": "x", "content": b""}, False),
    ],
)
def test_what_the_key_depends_on(changed: dict[str, object], same: bool, tmp_path: Path) -> None:
    def made_with(values: dict[str, object]) -> bytes:
        with context(tmp_path, member(**values), member("d/z", b"z")) as made:  # type: ignore[arg-type]
            found = find(made.tree, b"d")
            assert found is not None
            return key(made.tree, found[1], b"d", None)

    assert (made_with(_BASE) == made_with({**_BASE, **changed})) is same


def test_wildcards(tmp_path: Path) -> None:
    names = ["a.txt", "b.txt", "!c.txt", "d/e.txt", "d/f/g.txt", "h[i]"]
    with context(tmp_path, *(member(name) for name in names)) as made:

        def matched(pattern: bytes, deep: bool = False) -> list[str]:
            return [os.fsdecode(path) for path in glob(made.tree, pattern, deep=deep)]

        assert matched(b"*.txt") == ["!c.txt", "a.txt", "b.txt"]
        assert matched(b"[^a].txt") == ["b.txt"]
        assert matched(b"[a-b].???") == ["a.txt", "b.txt"]
        assert matched(b"!*.txt") == ["!c.txt"]
        assert matched(b"h[[]i]") == ["h[i]"]
        assert matched(b"*/*.txt") == ["d/e.txt"]
        assert matched(b"**/*.txt") == ["d/e.txt"]
        deep = ["!c.txt", "a.txt", "b.txt", "d/e.txt", "d/f/g.txt"]
        assert sorted(matched(b"**/*.txt", deep=True)) == deep
        assert matched(b"d/**", deep=True) == ["d/e.txt", "d/f"]


_NAMES = st.lists(
    st.text(st.sampled_from("ab."), min_size=1, max_size=3).filter(lambda n: n not in (".", "..")),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(files=st.lists(st.tuples(_NAMES, st.binary(max_size=700)), max_size=8))
def test_the_last_of_equal_names_counts(files: list[tuple[list[str], bytes]]) -> None:
    expected: dict[str, bytes] = {}
    for parts, content in files:
        name = "/".join(parts)
        taken = any(one.startswith(name + "/") or name.startswith(one + "/") for one in expected)
        if not taken:
            expected[name] = content
    members = [member(name, content) for name, content in expected.items()]
    again = [member(name, content + b"!") for name, content in expected.items()]
    with context(Path("/tmp"), *members, *again) as made:
        for name, content in expected.items():
            found = find(made.tree, name.encode())
            assert found is not None
            assert made.tree.read(found[1]) == content + b"!"


def test_directories_may_be_as_deep_as_a_path_allows(tmp_path: Path) -> None:
    deep = "a/" * 2000 + "f"
    with context(tmp_path, member(deep, b"1")) as made:
        layer = layer_of(plan(request("COPY a /d"), made.tree), tmp_path)
    assert layer["d/" + deep.removeprefix("a/")][1] == b"1"
