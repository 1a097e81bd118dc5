"""Users and groups of a container."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.engine.users import Accounts, Identity
from lading.errors import InvalidParameter

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
mary:x:1000:1000::/home/mary:/bin/sh
broken:x:abc:1::/:/bin/sh
42:x:7:7::/home/fortytwo:/bin/sh
"""
GROUP = """\
root:x:0:
wheel:x:10:root,mary
mary:x:1000:
audio:x:29:mary
nonsense
"""
ACCOUNTS = Accounts.parse(PASSWD, GROUP)


@pytest.mark.parametrize(
    ("spec", "identity"),
    [
        ("", Identity(0, 0, (10,), "/root")),
        ("root", Identity(0, 0, (10,), "/root")),
        ("mary", Identity(1000, 1000, (10, 29), "/home/mary")),
        ("1000", Identity(1000, 1000, (10, 29), "/home/mary")),
        ("mary:audio", Identity(1000, 29, (), "/home/mary")),
        ("mary:5", Identity(1000, 5, (), "/home/mary")),
        ("1234", Identity(1234, 0, (), "/")),
        ("1234:5678", Identity(1234, 5678, (), "/")),
        ("42", Identity(42, 0, (), "/")),
        (":audio", Identity(0, 29, (), "/root")),
    ],
)
def test_resolves(spec: str, identity: Identity) -> None:
    assert ACCOUNTS.resolve(spec) == identity


def test_additional_groups() -> None:
    assert ACCOUNTS.resolve("mary", ["wheel", "77"]).groups == (10, 29, 77)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("nosuch", "unable to find user nosuch: no matching entries in passwd file"),
        ("broken", "unable to find user broken: no matching entries in passwd file"),
        ("0:nosuch", "unable to find group nosuch: no matching entries in group file"),
        ("-1", "uids and gids must be in range 0-2147483647"),
        ("99999999999", "uids and gids must be in range 0-2147483647"),
    ],
)
def test_refuses(spec: str, words: str) -> None:
    with pytest.raises(InvalidParameter, match=f"^{words}$"):
        ACCOUNTS.resolve(spec)


def test_an_image_without_files_has_root_alone() -> None:
    empty = Accounts.parse("", "")
    assert empty.resolve("") == Identity(0, 0, (), "/")
    with pytest.raises(InvalidParameter):
        empty.resolve("root")


@given(st.text(), st.text())
def test_any_files_are_read(passwd: str, group: str) -> None:
    assert Accounts.parse(passwd, group).resolve("12345").uid == 12345
