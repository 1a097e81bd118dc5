"""Times as they stand in logs and in exit.json."""

from __future__ import annotations

import time

SECOND = 1_000_000_000


def rfc3339(nanoseconds: int) -> str:
    """Write nanoseconds since the epoch as RFC 3339 in UTC, always with nine fraction digits.

    The width is fixed, so that such times compare as text.
    """
    seconds, fraction = divmod(nanoseconds, SECOND)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:09d}Z"


def now() -> str:
    """Give this moment as `rfc3339` writes it."""
    return rfc3339(time.time_ns())
