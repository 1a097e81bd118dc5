"""Durations, read and written as Go does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.durations import nanoseconds, written


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (200_000_000, "200ms"),
        (1_500_000_000, "1.5s"),
        (90_000_000_000, "1m30s"),
        (3_600_000_000_000, "1h0m0s"),
        (3_605_000_000_001, "1h0m5.000000001s"),
    ],
)
def test_lengths_are_written_as_go_does(nanos: int, text: str) -> None:
    assert written(nanos) == text


@given(st.integers(0, 10**15))
def test_what_is_written_is_read_back(nanos: int) -> None:
    assert nanoseconds(written(nanos)) == pytest.approx(nanos, abs=1)
