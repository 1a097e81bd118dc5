"""Reach into collections as Go's `index`, `slice`, `len` and `call` do."""

from __future__ import annotations

from lading.cli.format.lexer import TemplateError
from lading.cli.format.values import Map, Pointer, Slice, indirect, type_name


def _int_index(value: object, limit: int, *, inclusive: bool = False) -> int:
    if value is None:
        raise TemplateError("cannot index slice/array with nil")
    if isinstance(value, bool) or not isinstance(value, int):
        raise TemplateError(f"cannot index slice/array with type {type_name(value)}")
    if value < 0 or value > limit or (value == limit and not inclusive):
        raise TemplateError(f"index out of range: {value}")
    return value


def index(item: object, *keys: object) -> object:
    """Follow keys and positions into maps, slices and strings."""
    if item is None:
        raise TemplateError("index of untyped nil")
    for key in keys:
        item = _index_one(item, indirect(key))
    return item


def _index_one(item: object, key: object) -> object:
    if isinstance(item, Pointer) and item.target is None:
        raise TemplateError("index of nil pointer")
    item = indirect(item)
    if isinstance(item, str):
        raw = item.encode()
        return raw[_int_index(key, len(raw))]
    if isinstance(item, list):
        return item[_int_index(key, len(item))]
    if isinstance(item, dict):
        if not isinstance(key, str):
            raise TemplateError(f"value has type {type_name(key)}; should be string")
        if key not in item and isinstance(item, Map) and item.type.elem:
            return item.type.elem.zero()
        return item.get(key)
    raise TemplateError(f"can't index item of type {type_name(item)}")


def cut(item: object, *bounds: object) -> object:
    """Take a part of a string or a slice: `slice x 1 2` is x[1:2]."""
    item = indirect(item)
    if item is None:
        raise TemplateError("slice of untyped nil")
    if len(bounds) > 3:
        raise TemplateError(f"too many slice indexes: {len(bounds)}")
    if isinstance(item, str) and len(bounds) == 3:
        raise TemplateError("cannot 3-index slice a string")
    if not isinstance(item, str | list):
        raise TemplateError(f"can't slice item of type {type_name(item)}")
    body = item.encode() if isinstance(item, str) else item
    ends = [_int_index(bound, len(body), inclusive=True) for bound in bounds]
    start, stop = [*ends, len(body)][:2] if ends else (0, len(body))
    if start > stop:
        raise TemplateError(f"invalid slice index: {start} > {stop}")
    part = body[start:stop]
    if isinstance(part, bytes):
        return part.decode("utf-8", "replace")
    return Slice(item.type, part) if isinstance(item, Slice) else part


def length(item: object) -> int:
    """Count the bytes of a string or the elements of a collection."""
    if isinstance(item, Pointer) and item.target is None:
        raise TemplateError("len of nil pointer")
    item = indirect(item)
    if item is None:
        raise TemplateError("reflect: call of reflect.Value.Type on zero Value")
    if isinstance(item, str):
        return len(item.encode())
    if isinstance(item, list | dict):
        return len(item)
    raise TemplateError(f"len of type {type_name(item)}")


def call(function: object, *_args: object) -> object:
    """Refuse: none of the values that Docker's templates see is a function."""
    if function is None:
        raise TemplateError("call of nil")
    raise TemplateError(f"non-function {type_name(function)} in call")
