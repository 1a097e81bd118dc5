"""Docker's JSON to and from the model: lenient about nulls, faithful about empty fields."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import msgspec

from lading.errors import InvalidParameter

Model = TypeVar("Model")

_MAPS_WITH_NULLS = frozenset(
    {"PortBindings", "Ports", "EndpointsConfig", "ExposedPorts", "Volumes", "Networks"}
)
"""Fields that are maps in which null is a value: `{"80/tcp": null}` has the key `80/tcp`."""


class Wire(msgspec.Struct, rename="pascal", kw_only=True):
    """A type of Docker's API: snake_case here, Docker's CamelCase in JSON."""

    OMIT_EMPTY: ClassVar[frozenset[str]] = frozenset()
    """JSON names of fields that Docker leaves out when they are empty."""


def _without_nulls(value: Any, *, is_map: bool = False) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_nulls(item, is_map=key in _MAPS_WITH_NULLS and not is_map)
            for key, item in value.items()
            if is_map or item is not None
        }
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def convert(value: Any, kind: type[Model]) -> Model:
    """Make a `kind` of decoded JSON; a null stands for a field's default, unknown keys are ignored.

    Raises InvalidParameter where a value is not of its field's type.
    """
    try:
        return msgspec.convert(_without_nulls(value), kind)
    except msgspec.ValidationError as error:
        raise InvalidParameter(f"invalid JSON: {error}") from error


def decode(raw: bytes | str, kind: type[Model]) -> Model:
    """Read a `kind` from a request's JSON body; raises InvalidParameter if it is malformed."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidParameter(f"invalid JSON: {error}") from error
    except RecursionError as error:
        raise InvalidParameter("invalid JSON: nested too deeply") from error
    return convert(value, kind)


def to_wire(value: Any) -> Any:
    """Give a model value as Docker's API shows it: plain dicts and lists, JSON names, omissions."""
    if isinstance(value, Wire):
        omitted = value.OMIT_EMPTY
        shown: dict[str, Any] = {}
        for attribute, name in _fields(type(value)):
            item = getattr(value, attribute)
            if name not in omitted or not _is_empty(item):
                shown[name] = to_wire(item)
        return shown
    if isinstance(value, dict):
        return {key: to_wire(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_wire(item) for item in value]
    return value


def _is_empty(item: Any) -> bool:
    """Tell whether Go's `omitempty` leaves a value out; a struct is never empty."""
    return item is None or (not isinstance(item, Wire) and not item)


_field_names: dict[type, tuple[tuple[str, str], ...]] = {}


def _fields(kind: type[Wire]) -> tuple[tuple[str, str], ...]:
    """Pair each attribute of a model type with its JSON name."""
    found = _field_names.get(kind)
    if found is None:
        found = tuple(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
        _field_names[kind] = found
    return found
