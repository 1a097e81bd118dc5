"""Go's comparison functions: eq, ne, lt, le, gt, ge."""

from __future__ import annotations

from lading.cli.format.lexer import TemplateError
from lading.cli.format.values import Map, Moment, Pointer, Slice, Struct, is_nil, show, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

INCOMPATIBLE = "incompatible types for comparison"
INVALID = "invalid type for comparison"


def _kind(value: object) -> str:
    """Name the class of basic types that a value belongs to; empty for all others."""
    if isinstance(value, Moment):
        return ""
    for kind, types in (("bool", bool), ("int", int), ("float", float), ("string", str)):
        if isinstance(value, types):
            return kind
    return ""


def eq(*args: object) -> bool:
    """Tell whether the first argument equals any of the others."""
    first, rest = args[0], args[1:]
    if not rest:
        raise TemplateError("missing argument for comparison")
    return any(_equal(first, other) for other in rest)


def _equal(one: object, other: object) -> bool:
    kind = _kind(one)
    if kind != _kind(other):
        if one is not None and other is not None:
            raise TemplateError(INCOMPATIBLE)
        return False
    if kind:
        return one == other
    if is_nil(one) or is_nil(other):
        return is_nil(one) == is_nil(other)
    for value in (one, other):
        if isinstance(value, list | dict | Slice | Map):
            raise TemplateError(f"non-comparable type {show(value)}: {type_name(value)}")
    if isinstance(one, Struct) and isinstance(other, Struct):
        return one.type is other.type and one.values == other.values
    return one is other if isinstance(one, Pointer) else one == other


def ne(one: object, other: object) -> bool:
    """Tell whether two values differ."""
    return not eq(one, other)


def lt(one: object, other: object) -> bool:
    """Tell whether the first value comes before the second."""
    kinds = _kind(one), _kind(other)
    if "" in kinds:
        raise TemplateError(INVALID)
    if kinds[0] != kinds[1]:
        raise TemplateError(INCOMPATIBLE)
    if isinstance(one, str) and isinstance(other, str):
        return one.encode() < other.encode()
    if isinstance(one, bool) or not isinstance(one, int | float):
        raise TemplateError(INVALID)
    assert isinstance(other, int | float)
    return one < other


def le(one: object, other: object) -> bool:
    """Tell whether the first value comes before the second or equals it."""
    return lt(one, other) or eq(one, other)


def gt(one: object, other: object) -> bool:
    """Tell whether the first value comes after the second."""
    return not le(one, other)


def ge(one: object, other: object) -> bool:
    """Tell whether the first value does not come before the second."""
    return not lt(one, other)


COMPARISONS: dict[str, Callable[..., bool]] = {
    "eq": eq,
    "ne": ne,
    "lt": lt,
    "le": le,
    "gt": gt,
    "ge": ge,
}
