"""JSON with as little start-up as there can be.

The json package compiles regular expressions when it is imported, and with `re` comes `enum`:
together a third of the time that a short command takes. The C halves of its encoder and decoder
work without them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class _Settings:
    """What the C scanner asks of the decoder that it belongs to."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float

    def __init__(self) -> None:
        self.memo: dict[str, str] = {}


def _make_scanner(number: type[str] | None = None) -> Callable[[str, int], tuple[Any, int]] | None:
    try:
        from _json import make_scanner
    except ImportError:
        return None
    settings = _Settings()
    if number:
        settings.parse_int = settings.parse_float = number  # type: ignore[assignment]
    try:
        scan: Callable[[str, int], tuple[Any, int]] = make_scanner(settings)  # type: ignore[arg-type]
    except (AttributeError, TypeError):
        return None
    return scan


_scan = _make_scanner()


def loads(text: str | bytes, *, numbers: type[str] | None = None) -> Any:
    """Decode one JSON value; with `numbers`, keep each number as this kind of text.

    Raises ValueError if the text is not JSON.
    """
    if isinstance(text, bytes | bytearray):
        text = text.decode("utf-8", "replace")
    text = text.strip()
    scan = _make_scanner(numbers) if numbers else _scan
    if scan is None:
        import json

        return json.loads(text, parse_int=numbers, parse_float=numbers)
    try:
        value, end = scan(text, 0)
    except (StopIteration, ValueError):
        raise ValueError(f"not JSON: {text[:60]!r}") from None
    if end != len(text):
        raise ValueError(f"not JSON: {text[end : end + 60]!r} after the value")
    return value


def _encode_text(text: str) -> str:
    from _json import encode_basestring

    out: str = encode_basestring(text)
    if "\u2028" in out or "\u2029" in out:
        out = out.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return out


def dumps(value: Any, *, indent: str = "", level: int = 0) -> str:
    """Encode a value as Go does: UTF-8, no spaces, or each element on an indented line."""
    if isinstance(value, str):
        return str.__str__(value) if type(value).__name__ == "Number" else _encode_text(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _encode_float(value)
    inner = "\n" + indent * (level + 1) if indent else ""
    outer = "\n" + indent * level if indent else ""
    if isinstance(value, dict):
        if not value:
            return "{}"
        colon = ": " if indent else ":"
        pairs = (
            f"{inner}{_encode_text(str(k))}{colon}{dumps(v, indent=indent, level=level + 1)}"
            for k, v in value.items()
        )
        return "{" + ",".join(pairs) + outer + "}"
    items = [inner + dumps(item, indent=indent, level=level + 1) for item in value]
    return "[" + ",".join(items) + outer + "]" if items else "[]"


def _encode_float(value: float) -> str:
    """Write a number as encoding/json does: an exponent below 1e-6 and from 1e21 only."""
    from lading.cli.format.values import plain_digits, shortest_digits

    digits, point = shortest_digits(abs(value))
    sign = "-" if value < 0 else ""
    if value and not -6 <= point - 1 < 21:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{point - 1:+d}"
    return sign + plain_digits(digits, point)
