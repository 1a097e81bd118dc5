"""Times as Docker writes them: RFC 3339 with nanoseconds, in UTC."""

from __future__ import annotations

import calendar
import re
import time

from lading.errors import InvalidParameter

_PATTERN = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(Z|z|[+-]\d\d:\d\d)"
)


def now() -> str:
    """Give the present time."""
    return written(time.time_ns())


def written(nanos: int) -> str:
    """Write nanoseconds since the epoch; like Go, without zeros at the fraction's end."""
    seconds, fraction = divmod(nanos, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{fraction:09d}".rstrip("0").rstrip(".") + "Z"


def parsed(text: str) -> int:
    """Read RFC 3339 as nanoseconds since the epoch (negative for Docker's `NEVER`).

    Raises InvalidParameter for anything else.
    """
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise InvalidParameter(f"{text!r} is not a time of RFC 3339, such as 2024-01-31T12:00:00Z")
    parts = tuple(int(part) for part in found.groups()[:6])
    seconds = calendar.timegm((*parts, 0, 0, 0))
    fraction = int((found[7] or "0").ljust(9, "0"))
    zone = found[8]
    if zone not in "Zz":
        offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
        seconds -= offset if zone[0] == "+" else -offset
    return seconds * 1_000_000_000 + fraction
