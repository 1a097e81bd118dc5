"""The kinds of values that options take: how text becomes a value, and what is said if not.

Converters raise ValueError with the sentence that belongs after `invalid argument "…" for "…"
flag:`.
"""

from __future__ import annotations

from lading.cli.units import parse_duration, parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Kind:
    """How an option's values are read: its word in `--help`, the converter, the default."""

    __slots__ = ("convert", "empty", "label", "many", "splits")

    def __init__(
        self,
        label: str,
        convert: Callable[[str], Any],
        empty: Any,
        *,
        many: bool = False,
        splits: bool = False,
    ) -> None:
        self.label = label
        self.convert = convert
        self.empty = empty
        self.many = many
        self.splits = splits


TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


def parse_bool(text: str) -> bool:
    """Read a switch's value as Go's strconv.ParseBool does."""
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


def _integer(text: str, low: int, high: int) -> int:
    function = "ParseUint" if low == 0 else "ParseInt"
    value = _number(text, signed=low < 0)
    if value is None:
        raise ValueError(f'strconv.{function}: parsing "{text}": invalid syntax')
    if not low <= value <= high:
        raise ValueError(f'strconv.{function}: parsing "{text}": value out of range')
    return value


def _number(text: str, *, signed: bool) -> int | None:
    """Read a whole number in any of Go's notations, None if it is none."""
    body = text[1:] if text[:1] in ("+", "-") and signed else text
    if not body or not body.isascii() or body[0] in "+-" or body != body.strip():
        return None
    octal = len(body) > 1 and body[0] == "0" and body[1].isdigit()
    try:
        value = int(body, 8 if octal else 0)
    except ValueError:
        return None
    return -value if text.startswith("-") else value


def parse_int(text: str) -> int:
    """Read a signed number of 64 bits, in any of Go's notations."""
    return _integer(text, -(2**63), 2**63 - 1)


def parse_uint16(text: str) -> int:
    """Read an unsigned number of 16 bits."""
    return _integer(text, 0, 2**16 - 1)


def parse_uint64(text: str) -> int:
    """Read an unsigned number of 64 bits."""
    return _integer(text, 0, 2**64 - 1)


def parse_swap(text: str) -> int:
    """Read a size, or -1 for no limit."""
    return -1 if text == "-1" else parse_size(text)


def parse_cpus(text: str) -> int:
    """Read a number of CPUs, such as 1.5 or 3/2, in billionths of a CPU."""
    number, slash, divisor = text.partition("/")
    failure = ValueError(f"failed to parse {text} as a rational number")
    if not number or text != text.strip() or "_" in text or number[-1:].isalpha():
        raise failure
    whole, _, fraction = number.lower().partition("e")[0].lstrip("+-").partition(".")
    exponent = number.lower().partition("e")[2] or "0"
    try:
        top = int((whole or "0") + fraction) * (-1 if number.startswith("-") else 1)
        power = int(exponent) - len(fraction) + 9
        bottom = int(divisor) if slash else 1
        if not whole and not fraction:
            raise failure
    except ValueError:
        raise failure from None
    if bottom == 0 or abs(power) > 400:
        raise failure
    top, bottom = (top * 10**power, bottom) if power >= 0 else (top, bottom * 10**-power)
    if top % bottom:
        raise ValueError("value is too precise")
    return top // bottom


def split_commas(text: str) -> list[str]:
    """Split a value at commas, with double quotes around what holds one (CSV)."""
    from lading.cli.options.csvline import fields

    return fields(text) if text else []


def parse_filter(text: str) -> str:
    """Check a filter: it is `key=value`; the key is lower case and without spaces."""
    if not text:
        return text
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError("bad format of filter (expected name=value)")
    return f"{key.strip().lower()}={value.strip()}"


BOOL = Kind("", parse_bool, empty=False)
STRING = Kind("string", str, "")
INT = Kind("int", parse_int, 0)
UINT16 = Kind("uint16", parse_uint16, 0)
UINT64 = Kind("uint", parse_uint64, 0)
SIZE = Kind("bytes", parse_size, 0)
SWAP = Kind("bytes", parse_swap, 0)
CPUS = Kind("decimal", parse_cpus, 0)
DURATION = Kind("duration", parse_duration, 0)
LIST = Kind("list", str, (), many=True)
MAP = Kind("map", str, (), many=True)
STRINGS = Kind("strings", split_commas, (), many=True, splits=True)
FILTER = Kind("filter", parse_filter, (), many=True)


def listing(label: str, convert: Callable[[str], Any]) -> Kind:
    """Make the kind of an option that may be repeated and whose values are checked one by one."""
    return Kind(label, convert, (), many=True)
