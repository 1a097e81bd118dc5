"""Lengths of time in words, as `docker ps` shows them."""

from __future__ import annotations

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24


def in_words(seconds: float) -> str:
    """Say how long something took: `3 seconds`, `About a minute`, `2 weeks`."""
    whole = int(seconds)
    if whole < MINUTE:
        return _below_a_minute(whole)
    if whole < HOUR:
        minutes = whole // MINUTE
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = int(seconds / HOUR + 0.5)
    if hours < 2 * DAY:
        return "About an hour" if hours == 1 else f"{hours} hours"
    if hours < 14 * DAY:
        return f"{hours // DAY} days"
    if hours < 60 * DAY:
        return f"{hours // DAY // 7} weeks"
    if hours < 730 * DAY:
        return f"{hours // DAY // 30} months"
    return f"{hours // DAY // 365} years"


def _below_a_minute(seconds: int) -> str:
    if seconds < 1:
        return "Less than a second"
    return "1 second" if seconds == 1 else f"{seconds} seconds"
