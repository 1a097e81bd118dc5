"""The values that templates see, and how Go prints them.

Plain JSON (str, int, float, bool, None, list, dict) stands for itself: `map[string]interface {}`,
`[]interface {}`. What Docker's own command line decodes into Go structs comes as `Struct`,
`Pointer`, `Slice`, `Map` and `Moment` (made by `schema`), and the rows of listings as `Row`.
"""

from __future__ import annotations

from lading.cli.format.lexer import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from lading.cli.format.schema import FieldType, Type

#: Go prints the address of a pointer inside a value; ours have none worth showing.
SOME_ADDRESS = "0xc000000000"
#: Powers of ten from which Go's %g writes an exponent.
EXPONENT_FROM = 6


class Number(str):
    """A JSON number as it was written (Go's json.Number), met where a value has no known type."""

    __slots__ = ()


class Moment(str):
    """A point in time, as RFC 3339 text; Go prints it in its own way."""

    __slots__ = ()

    def shown(self) -> str:
        """Show `2024-01-01T00:00:00.5Z` as `2024-01-01 00:00:00.5 +0000 UTC`."""
        text = str(self) or "0001-01-01T00:00:00Z"
        date, _, rest = text.partition("T")
        zone_at = max(rest.find("Z"), rest.find("+"), rest.find("-"))
        clock, zone = rest[:zone_at], rest[zone_at:]
        if "." in clock:
            clock = clock.rstrip("0").rstrip(".")
        offset = "+0000 UTC" if zone == "Z" else f"{zone.replace(':', '')} {zone.replace(':', '')}"
        return f"{date} {clock} {offset}"


class Struct:
    """A Go struct: the type says which fields there are and in what order."""

    __slots__ = ("type", "values")

    def __init__(self, type_: Type, values: dict[str, Any]) -> None:
        self.type = type_
        self.values = values

    def field(self, name: str) -> tuple[bool, Any]:
        """Look a field up, also in embedded structs: whether there is one, and its value."""
        if name in self.values:
            return True, self.values[name]
        for field in self.type.fields:
            if field.embedded:
                inner = self.values[field.name]
                inner = inner.target if isinstance(inner, Pointer) else inner
                found = inner.field(name) if isinstance(inner, Struct) else (False, None)
                if found[0]:
                    return found
        return False, None

    def fields(self) -> list[tuple[FieldType, Any]]:
        """List the fields and their values in the order of the type."""
        return [(field, self.values[field.name]) for field in self.type.fields]


class Pointer:
    """A Go pointer; `target` is None where it is nil."""

    __slots__ = ("target", "type")

    def __init__(self, type_: Type, target: Any) -> None:
        self.type = type_
        self.target = target


class Slice(list["Any"]):
    """A Go slice or array of a known type; `nil` tells null from [] in JSON."""

    __slots__ = ("nil", "type")

    def __init__(self, type_: Type, items: list[Any] | None) -> None:
        super().__init__(items or ())
        self.type = type_
        self.nil = items is None


class Map(dict["Any", "Any"]):
    """A Go map of a known type; `nil` tells null from {} in JSON."""

    __slots__ = ("nil", "type")

    def __init__(self, type_: Type, items: dict[Any, Any] | None) -> None:
        super().__init__(items or {})
        self.type = type_
        self.nil = items is None


class Method:
    """A method of a row that takes one string: `{{.Label "name"}}`."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[str], object]) -> None:
        self.call = call


class Row:
    """One row of a listing: names, each with a function that makes its value on demand."""

    __slots__ = ("getters", "type_name")

    def __init__(self, type_name: str, getters: dict[str, Callable[[], object]]) -> None:
        self.type_name = type_name
        self.getters = getters

    def plain(self) -> dict[str, object]:
        """Make all values that need no argument, by name, sorted, as `{{json .}}` shows them."""
        made = {name: get() for name, get in sorted(self.getters.items())}
        return {name: value for name, value in made.items() if not isinstance(value, Method)}


def type_name(value: object) -> str:
    """Name a value's type as Go does in its messages."""
    if isinstance(value, Row):
        return value.type_name
    if isinstance(value, Struct | Pointer | Slice | Map):
        return value.type.name
    names: dict[type, str] = {bool: "bool", int: "int", float: "float64", str: "string"}
    names.update({list: "[]interface {}", dict: "map[string]interface {}"})
    names.update({Number: "json.Number", Moment: "time.Time", bytes: "[]uint8"})
    return names.get(type(value), "<nil>" if value is None else type(value).__name__)


def indirect(value: object) -> object:
    """Follow a pointer to what it points at; None for nil."""
    return value.target if isinstance(value, Pointer) else value


def is_nil(value: object) -> bool:
    """Tell whether a value is Go's nil: of no type, or a nil pointer, slice or map."""
    if isinstance(value, Pointer):
        return value.target is None
    return value is None or (isinstance(value, Slice | Map) and value.nil)


def truth(value: object) -> bool:
    """Tell whether Go's templates take a value as true: it is not zero, nil or empty."""
    if isinstance(value, Struct | Row):
        return True
    if isinstance(value, Pointer):
        return value.target is not None
    return bool(value)


def float_text(value: float) -> str:
    """Print a float as Go's %v: shortest digits, an exponent below 1e-4 and from 1e6."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "+Inf", "-inf": "-Inf"}.get(repr(value), "NaN")
    digits, point = shortest_digits(abs(value))
    sign = "-" if value < 0 or repr(value).startswith("-") else ""
    if value and not -4 <= point - 1 < EXPONENT_FROM:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{point - 1:+03d}"
    return sign + plain_digits(digits, point)


def shortest_digits(value: float) -> tuple[str, int]:
    """Give the fewest digits that mean this number, and where its point is in them."""
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole.lstrip("0") + fraction
    point = len(whole.lstrip("0")) + int(exponent or 0)
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    return (stripped.rstrip("0") or "0"), (point if stripped.rstrip("0") else 1)


def plain_digits(digits: str, point: int) -> str:
    """Write digits with their point and no exponent."""
    if point <= 0:
        return "0." + "0" * -point + digits
    if point >= len(digits):
        return digits + "0" * (point - len(digits))
    return f"{digits[:point]}.{digits[point:]}"


def show(value: object, *, names: bool = False, top: bool = True) -> str:
    """Print a value as Go's %v does, or with `names` as %+v."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case Moment():
            return value.shown()
        case str() | int():
            return str(value)
        case float():
            return float_text(value)
        case bytes():
            return "[" + " ".join(str(byte) for byte in value) + "]"
        case Pointer():
            return _show_pointer(value, names=names, top=top)
        case list() | tuple():
            return "[" + " ".join(show(v, names=names, top=False) for v in value) + "]"
        case dict():
            pairs = (f"{show(k)}:{show(v, names=names, top=False)}" for k, v in sorted_items(value))
            return "map[" + " ".join(pairs) + "]"
        case Struct():
            parts = (
                (f"{f.name}:" if names else "") + show(v, names=names, top=False)
                for f, v in value.fields()
            )
            return "{" + " ".join(parts) + "}"
        case Row():
            return show(value.plain(), names=names, top=top)
    return str(value)


def _show_pointer(value: Pointer, *, names: bool, top: bool) -> str:
    target = value.target
    if target is None:
        return "<nil>"
    if top and isinstance(target, Struct | list | dict):
        return "&" + show(target, names=names, top=False)
    return SOME_ADDRESS


def print_value(value: object) -> str:
    """Print what an action of a template came to: one pointer is followed, no value says so."""
    if value is None:
        return "<no value>"
    if isinstance(value, Pointer) and value.target is not None:
        value = value.target
    return show(value)


def sorted_items(mapping: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """List a map's pairs in the order in which Go prints and ranges over them: by key."""
    return sorted(mapping.items(), key=lambda pair: pair[0])


def show_quoted(value: object) -> str:
    """Print a value as Go's %q does, elements of collections one by one."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return "[" + " ".join(show_quoted(item) for item in value) + "]"
    return show(value)
