"""Moments given as a date or as a duration, for `since`, `until` and the `until` filter."""

from __future__ import annotations

import datetime
import re

from lading.durations import nanoseconds
from lading.errors import InvalidParameter

_FRACTION = re.compile(r"(\.\d+)")
_TIMESTAMP = re.compile(r"(-?\d+)(?:\.(\d{1,9}))?")


def timestamp(text: str) -> int | None:
    """Read seconds since the epoch, with a fraction, as nanoseconds; None if it is not that."""
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return None
    return int(found[1]) * 1_000_000_000 + int((found[2] or "").ljust(9, "0"))


def date(text: str) -> int | None:
    """Read a date of RFC 3339, or a part of one, as nanoseconds since the epoch; None if not one.

    Without a time zone the daemon's is meant.
    """
    fraction = _FRACTION.search(text)
    whole = text if fraction is None else text.replace(fraction[1], "", 1)
    try:
        moment = datetime.datetime.fromisoformat(whole)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.astimezone()
    nanos = int(fraction[1][1:].ljust(9, "0")[:9]) if fraction else 0
    return round(moment.timestamp()) * 10**9 + nanos


def parse(name: str, text: str, now_nano: int) -> int:
    """Read a timestamp, a date, or a duration back from `now_nano`, as nanoseconds since 1970.

    Raises InvalidParameter, which names the parameter, for anything else.
    """
    seconds = timestamp(text)
    if seconds is not None:
        return seconds
    back = nanoseconds(text)
    if back is not None:
        return now_nano - back
    moment = date(text)
    if moment is None:
        raise InvalidParameter(
            f"invalid value for {name!r}: {text!r} is neither a UNIX timestamp nor a date "
            "of RFC 3339 nor a duration such as 10m"
        )
    return moment
