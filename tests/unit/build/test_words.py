from __future__ import annotations

import contextlib
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.build.errors import WordError
from lading.build.words import Expander, split_words

VARIABLES = {"x": "value", "empty": "", "path": "/a/b/c.tar.gz", "n": "world"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$x", "value"),
        ("${x}", "value"),
        ("$unset.", "."),
        ("a${n}b", "aworldb"),
        ("${unset:-other}", "other"),
        ("${empty:-other}", "other"),
        ("${empty-other}", ""),
        ("${unset-$x}", "value"),
        ("${x:+set}", "set"),
        ("${empty:+set}", ""),
        ("${empty+set}", "set"),
        ("${path#*/}", "a/b/c.tar.gz"),
        ("${path##*/}", "c.tar.gz"),
        ("${path%.*}", "/a/b/c.tar"),
        ("${path%%.*}", "/a/b/c"),
        ("${path/a/z}", "/z/b/c.tar.gz"),
        ("${path//a/z}", "/z/b/c.tzr.gz"),
        ("'$x'", "$x"),
        ('"$x y"', "value y"),
        ("\\$x", "$x"),
        ('"\\$x"', "$x"),
        ('"a\\b"', "a\\b"),
        ("a\\ b", "a b"),
        ("${unset:-'a b'}", "a b"),
        ("cost: 5$", "cost: 5$"),
        ("${x:?gone}", "value"),
    ],
)
def test_substitution(text: str, expected: str) -> None:
    assert Expander(VARIABLES).word(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("${x", "missing '}'"),
        ("'a", "matching single-quote"),
        ('"a', "matching double-quote"),
        ("${x@U}", "unsupported modifier"),
        ("${}", "missing or bad name"),
        ("${unset:?must be given}", "unset: must be given"),
    ],
)
def test_malformed_words_are_refused(text: str, words: str) -> None:
    with pytest.raises(WordError, match=r"^[^\n]*$") as caught:
        Expander(VARIABLES).word(text)
    assert words in caught.value.message


def test_the_names_looked_up_are_kept() -> None:
    expander = Expander(VARIABLES)
    expander.word("$x ${unset:-$n}")
    assert expander.used == {"x", "unset", "n"}


def test_quotes_stay_when_asked() -> None:
    assert Expander(VARIABLES, keep_quotes=True).word("'a' \"$x\"") == "'a' \"value\""


def test_words_split_outside_quotes() -> None:
    assert split_words("a 'b c' d\\ e \"f g\"h") == ["a", "'b c'", "d\\ e", '"f g"h']


@given(st.text(alphabet="ab \t\\'\"$x{}:-+#%/?*", max_size=40))
def test_any_word_expands_or_is_refused(text: str) -> None:
    with contextlib.suppress(WordError):
        assert all(isinstance(word, str) for word in Expander(VARIABLES).words(text))


@given(st.lists(st.text(min_size=1, max_size=8)))
def test_quoted_text_comes_back_as_it_was(words: list[str]) -> None:
    quoted = " ".join(f"'{word}'" for word in words if "'" not in word)
    expected = [word for word in words if "'" not in word]
    assert Expander({}).words(quoted) == expected
    assert shlex.split(quoted) == expected
