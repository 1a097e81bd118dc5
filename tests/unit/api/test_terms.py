from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.durations import nanoseconds
from lading.engine import filters, moments
from lading.errors import InvalidParameter

SECOND = 10**9


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("1", SECOND),
        ("1136073600.000000001", 1136073600 * SECOND + 1),
        ("1136073600.5", 1136073600 * SECOND + SECOND // 2),
        ("2006-01-01T00:00:00Z", 1136073600 * SECOND),
        ("2006-01-01T00:00:00.25Z", 1136073600 * SECOND + SECOND // 4),
        ("2006-01-01T02:00:00.000000001+02:00", 1136073600 * SECOND + 1),
        ("10m", 1000 * SECOND - 600 * SECOND),
        ("1h30m1.5s", 1000 * SECOND - 5401 * SECOND - SECOND // 2),
    ],
)
def test_moments(text: str, nanos: int) -> None:
    assert moments.parse("since", text, 1000 * SECOND) == nanos


@pytest.mark.parametrize("text", ["soon", "10", "10x", "", "2006-13-01T00:00:00Z", "m"])
def test_what_is_no_duration(text: str) -> None:
    assert nanoseconds(text) is None


def test_what_is_no_moment_is_named() -> None:
    with pytest.raises(InvalidParameter, match=r"'since'.*'soon'"):
        moments.parse("since", "soon", 0)


@given(st.integers(min_value=0, max_value=2**40), st.integers(min_value=0, max_value=SECOND - 1))
def test_timestamps_keep_every_nanosecond(seconds: int, nanos: int) -> None:
    assert moments.timestamp(f"{seconds}.{nanos:09d}") == seconds * SECOND + nanos


@given(st.text(max_size=20))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidParameter):
        assert isinstance(moments.parse("until", text, 0), int)


def test_flags() -> None:
    assert filters.flag({"dangling": ["true"]}, "dangling") is True
    assert filters.flag({"dangling": ["0"]}, "dangling") is False
    assert filters.flag({}, "dangling") is None
    assert filters.flag({}, "dangling", default=True) is True
    for values in (["maybe"], ["true", "false"]):
        with pytest.raises(InvalidParameter, match="invalid filter 'dangling="):
            filters.flag({"dangling": values}, "dangling")


def test_labels() -> None:
    labels = {"a": "1", "b": ""}
    assert filters.has_labels({"label": ["a", "a=1", "b="]}, labels)
    assert not filters.has_labels({"label": ["a", "c"]}, labels)
    assert not filters.has_labels({"label!": ["a=1"]}, labels)
    assert filters.has_labels({"label!": ["a=2"]}, labels)
    assert not filters.has_labels({"label": ["a"]}, None)


def test_unknown_terms() -> None:
    with pytest.raises(InvalidParameter, match=r"^invalid filter 'foo'$"):
        filters.check({"foo": ["1"]}, ("label",))


def test_until() -> None:
    assert filters.until({}, 0) is None
    assert filters.until({"until": ["1"]}, 0) == SECOND
    with pytest.raises(InvalidParameter, match="more than one until"):
        filters.until({"until": ["1", "2"]}, 0)
