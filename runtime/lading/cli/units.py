"""Sizes, durations and ages: how they are written on the command line and shown in tables."""

from __future__ import annotations

SECOND = 1_000_000_000
_DURATION_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 1_000_000, "s": SECOND}
_DURATION_UNITS.update({"m": 60 * SECOND, "h": 3600 * SECOND})
_POWERS = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def split_number(text: str) -> tuple[str, str]:
    """Cut text after the digits and points it begins with."""
    end = 0
    while end < len(text) and ((text[end].isascii() and text[end].isdigit()) or text[end] == "."):
        end += 1
    return text[:end], text[end:]


def parse_size(text: str) -> int:
    """Read a number of bytes with an optional unit of 1024: b, k, m, g, t, p, also as kb or KiB.

    Raises ValueError in the words of Docker: "invalid size: '1x1'", "invalid suffix: 'x'".
    """
    number, suffix = split_number(text)
    number = number.rstrip(" ")
    if suffix.startswith(" "):
        suffix = suffix[1:]
    if not number or number.count(".") > 1 or number == ".":
        raise ValueError(f"invalid size: '{text}'")
    unit = suffix.lower()
    body = unit
    if len(unit) > 1:
        body = unit.removesuffix("b").removesuffix("i") if unit.endswith("b") else "?"
    if body not in _POWERS or unit == "ib":
        raise ValueError(f"invalid suffix: '{unit}'")
    whole, _, fraction = number.partition(".")
    scaled = int((whole or "0") + fraction) * 1024 ** _POWERS[body]
    return int(scaled // 10 ** len(fraction))


def parse_duration(text: str) -> int:
    """Read a duration of Go, such as 1h2m3.5s, in nanoseconds; raises ValueError in Go's words."""
    quoted = '"' + text + '"'
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f"time: invalid duration {quoted}")
    total = 0
    while rest:
        number, rest = split_number(rest)
        if not number or number == "." or number.count(".") > 1:
            raise ValueError(f"time: invalid duration {quoted}")
        end = 0
        while end < len(rest) and rest[end] != "." and not rest[end].isdigit():
            end += 1
        unit, rest = rest[:end], rest[end:]
        if not unit:
            raise ValueError(f"time: missing unit in duration {quoted}")
        if unit not in _DURATION_UNITS:
            raise ValueError(f'time: unknown unit "{unit}" in duration {quoted}')
        whole, _, fraction = number.partition(".")
        scaled = int((whole or "0") + fraction) * _DURATION_UNITS[unit]
        total += scaled // 10 ** len(fraction)
    if total > 2**63 - 1:
        raise ValueError(f"time: invalid duration {quoted}")
    return -total if text.startswith("-") else total


def _scaled(size: float, base: float, units: tuple[str, ...], digits: int) -> str:
    at = 0
    while size >= base and at < len(units) - 1:
        size /= base
        at += 1
    return f"{size:.{digits}g}{units[at]}"


def human_size(size: float, digits: int = 3) -> str:
    """Write a size in units of 1000, as tables do: 10.2MB."""
    return _scaled(size, 1000.0, ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"), digits)


def binary_size(size: float, digits: int = 4) -> str:
    """Write a size in units of 1024: 10.25MiB."""
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
    return _scaled(size, 1024.0, units, digits)


def human_duration(seconds: float) -> str:
    """Write about how long something took or is ago: "About a minute", "3 hours"."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = int(seconds / 60)
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{int(seconds / 3600) // 24 // 365} years"
