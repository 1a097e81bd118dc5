from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import InvalidParameter
from lading.ignore import IgnoreRules


@pytest.mark.parametrize(
    ("rules", "path", "excluded"),
    [
        ("*.log", "a.log", True),
        ("*.log", "d/a.log", False),
        ("**/*.log", "d/e/a.log", True),
        ("**/*.log", "a.log", True),
        ("node_modules", "node_modules/x/y.js", True),
        ("/build", "build/out", True),
        ("a/../b", "b", True),
        ("*/temp*", "some/temporary.txt", True),
        ("*/temp*", "a/b/temporary.txt", False),
        ("temp?", "tempa", True),
        ("temp?", "temp", False),
        ("*\n!README.md", "README.md", False),
        ("*\n!README.md", "other", True),
        ("docs\n!docs/keep\ndocs/keep/not", "docs/keep/yes", False),
        ("docs\n!docs/keep\ndocs/keep/not", "docs/keep/not", True),
        ("# *\n", "x", False),
        ("[a-c].txt", "b.txt", True),
        ("[^a-c].txt", "b.txt", False),
        ("\\*", "*", True),
        ("\\*", "x", False),
        (".", "x", False),
        ("foo/**", "foo/bar/baz", True),
        ("foo/**/z", "foo/z", True),
    ],
)
def test_which_paths_are_left_out(rules: str, path: str, excluded: bool) -> None:
    assert IgnoreRules.parse(rules).excluded(path) is excluded


def test_a_directory_is_walked_when_something_in_it_may_come_back() -> None:
    rules = IgnoreRules.parse("docs\nvendor\n!docs/*.md")
    assert rules.excluded("docs")
    assert not rules.prunes("docs")
    assert rules.prunes("vendor")
    assert IgnoreRules.parse("docs").prunes("docs")


@pytest.mark.parametrize("text", ["!", "[", "a[b"])
def test_malformed_patterns_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameter):
        IgnoreRules.parse(text)


PATHS = st.lists(st.text("ab.", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join)


@given(st.text("ab/*?[]!\\.^-\n", max_size=30), PATHS)
def test_any_text_gives_rules_or_is_refused(text: str, path: str) -> None:
    with contextlib.suppress(InvalidParameter):
        assert IgnoreRules.parse(text).excluded(path) in (True, False)


@given(PATHS, st.text("ab", min_size=1, max_size=3))
def test_what_excludes_a_directory_excludes_what_is_below(directory: str, name: str) -> None:
    rules = IgnoreRules([directory])
    if rules.excluded(directory):
        assert rules.excluded(f"{directory}/{name}")
