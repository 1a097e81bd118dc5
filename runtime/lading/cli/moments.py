"""Points in time: RFC 3339 text from the API, `--since` on the command line, and what tables show.

datetime is not imported: its calendar is twenty lines here, its import costs more than a whole `ps`
may.
"""

from __future__ import annotations

import time

from lading.cli.units import SECOND, parse_duration

_DAYS_BEFORE = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


def days_from_epoch(year: int, month: int, day: int) -> int:
    """Count the days from 1970-01-01 to a day of the Gregorian calendar."""
    leaps = (year - (month <= 2)) // 4 - (year - (month <= 2)) // 100 + (year - (month <= 2)) // 400
    return (year - 1970) * 365 + leaps - 477 + _DAYS_BEFORE[month - 1] + day - 1


def parse_rfc3339(text: str) -> int | None:
    """Read `2024-01-01T00:00:00.5Z` as nanoseconds since 1970; None if it is not of that form.

    The time of day, its seconds and its zone may be missing, as `--since` allows; the zone is then
    the local one.
    """
    date, mark, clock = text.partition("T")
    try:
        year, month, day = (int(part) for part in date.split("-"))
        if not (1 <= month <= 12 and 1 <= day <= 31):
            return None
        days = days_from_epoch(year, month, day)
        clock, offset = _split_zone(clock)
        hours, minutes, seconds = [*clock.split(":"), "0", "0"][:3] if mark else ("0", "0", "0")
        second, _, fraction = seconds.partition(".")
        total = days * 86400 + int(hours) * 3600 + int(minutes) * 60 + int(second)
    except ValueError:
        return None
    if offset is None:
        offset = time.localtime(total).tm_gmtoff
    return (total - offset) * SECOND + int(fraction[:9].ljust(9, "0") or 0)


def _split_zone(clock: str) -> tuple[str, int | None]:
    if clock.endswith("Z"):
        return clock[:-1], 0
    at = max(clock.rfind("+"), clock.rfind("-"))
    if at < 0:
        return clock, None
    hours, _, minutes = clock[at + 1 :].partition(":")
    seconds = int(hours) * 3600 + int(minutes or 0) * 60
    return clock[:at], -seconds if clock[at] == "-" else seconds


def show_utc(seconds: int) -> str:
    """Write a Unix time as tables do, in local time: `2024-01-01 00:00:00 +0000 UTC`."""
    there = time.localtime(seconds)
    zone = time.strftime("%z %Z", there)
    return time.strftime("%Y-%m-%d %H:%M:%S ", there) + zone


def show_local(seconds: int) -> str:
    """Write a Unix time as `2024-01-01T00:00:00+01:00`, in the local zone, `Z` for UTC."""
    there = time.localtime(seconds)
    zone = time.strftime("%z", there)
    suffix = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    return time.strftime("%Y-%m-%dT%H:%M:%S", there) + suffix


def show_local_nanoseconds(nanoseconds: int) -> str:
    """Write nanoseconds since 1970 as `2024-01-01T00:00:00.000000000+01:00`, nine digits always."""
    whole, part = divmod(nanoseconds, SECOND)
    zone = time.strftime("%z", time.localtime(whole))
    local = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(whole))
    return f"{local}.{part:09d}{zone[:3]}:{zone[3:]}"


def timestamp(text: str, now: float) -> str:
    """Turn what `--since` and `--until` take into the API's seconds.nanoseconds.

    A duration counts back from now, a date or a time is taken in the local zone, a number is a Unix
    time; anything else goes to the daemon as it is. Raises ValueError for a date that is none.
    """
    if text == "0":
        return text
    try:
        return str(int(now - parse_duration(text) / SECOND))
    except ValueError:
        moment = parse_rfc3339(text)
    if moment is not None:
        return f"{moment // SECOND}.{moment % SECOND:09d}"
    if not text.replace(".", "", 1).isdigit():
        raise ValueError(f'failed to parse value as time or duration: "{text}"')
    return text
