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


def written(nanos: int) -> str:
    """Write nanoseconds, which are not negative, as Go does: `1h0m5s`, `1.5s`, `200ms`, `0s`."""
    if nanos == 0:
        return "0s"
    if nanos < 10**9:
        unit = next(name for name in ("ms", "µs", "ns") if nanos >= _UNITS[name])
        return f"{_trimmed(nanos, _UNITS[unit])}{unit}"
    minutes, rest = divmod(nanos, _UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{text}{_trimmed(rest, _UNITS['s'])}s"


def _trimmed(nanos: int, unit: int) -> str:
    whole, fraction = divmod(nanos, unit)
    digits = str(unit + fraction)[1:].rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def nanoseconds(text: str) -> int | None:
    """Read a duration (`1h30m`, `1.5s`) as nanoseconds; None if it is not one."""
    if _DURATION.fullmatch(text) is None:
        return None
    return sum(round(float(number) * _UNITS[unit]) for number, unit in re.findall(_PART, text))
