"""Durations as Go writes them, such as `1h30m`; they stand in requests and in Dockerfiles."""

from __future__ import annotations

import re

_UNITS = {
    "h": 3600 * 10**9,
    "m": 60 * 10**9,
    "s": 10**9,
    "ms": 10**6,
    "us": 10**3,
    "µs": 10**3,
    "ns": 1,
}
_PART = r"(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|µs|ns)"
_DURATION = re.compile(rf"(?:{_PART})+")


def nanoseconds(text: str) -> int | None:
    """Read a duration (`1h30m`, `1.5s`) as nanoseconds; None if it is not one."""
    if _DURATION.fullmatch(text) is None:
        return None
    return sum(round(float(number) * _UNITS[unit]) for number, unit in re.findall(_PART, text))
