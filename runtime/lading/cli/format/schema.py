"""The Go types behind `inspect`, `version` and `info`, and JSON decoded by them.

Docker's command line decodes those answers into Go structs before a template sees them. That shows:
fields have Go's names (`.ID` for "Id"), absent ones have zero values, `{{.State}}` prints `{running
true …}`, `{{json .}}` has Go's order. The types in `structs` were read off `docker inspect --format
'{{printf "%#v" .}}'`.

Notation of a struct: one field a word, `Name[=jsonKey][?]:type`. `?` is omitempty, `@pkg.Type`
embeds a struct. Types: string, bool, int, int64, uint64, float64, time, any, []T, [2]T,
map[string]T, *T and names of structs.
"""

from __future__ import annotations

from lading.cli.format import structs
from lading.cli.format.values import Map, Moment, Pointer, Slice, Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SCALARS: dict[str, Any] = {"string": "", "bool": False, "float64": 0.0, "any": None}
SCALARS.update(dict.fromkeys(("int", "int64", "uint64", "uint16", "uint32", "uint"), 0))
SCALARS.update({"time.Time": Moment(""), "[]uint8": ""})

_known: dict[str, Type] = {}


class FieldType:
    """One field of a struct: its Go name, its JSON key, whether it is left out when empty."""

    __slots__ = ("embedded", "key", "name", "omit_empty", "type")

    def __init__(self, word: str) -> None:
        name, _, type_text = word.partition(":")
        self.embedded = name.startswith("@")
        self.omit_empty = name.endswith("?")
        name = name.strip("@?")
        if self.embedded:
            type_text = name
            name = name.lstrip("*").rpartition(".")[2]
        self.name, _, key = name.partition("=")
        self.key = key or self.name
        self.type = type_of(type_text)


class Type:
    """A Go type: its name and, by kind, the type of its elements or its fields."""

    __slots__ = ("_fields", "elem", "kind", "name")

    def __init__(self, name: str, kind: str, elem: Type | None) -> None:
        self.name = name
        self.kind = kind
        self.elem = elem
        self._fields: list[FieldType] | None = None

    @property
    def fields(self) -> list[FieldType]:
        """The fields, if this is a struct; read on first use, as types can hold themselves."""
        if self._fields is None:
            self._fields = [FieldType(word) for word in structs.STRUCTS.get(self.name, "").split()]
        return self._fields

    def zero(self) -> Any:
        """Make the value that a variable of this type starts with."""
        return self.decode(None)

    def decode(self, data: Any) -> Any:
        """Make a value of this type from decoded JSON; null gives the zero value."""
        match self.kind:
            case "pointer":
                assert self.elem
                return Pointer(self, None if data is None else self.elem.decode(data))
            case "slice":
                assert self.elem
                return self._decode_list(data if isinstance(data, list) else None, self.elem)
            case "map":
                assert self.elem
                pairs = data if isinstance(data, dict) else None
                decode = self.elem.decode
                return Map(
                    self, None if pairs is None else {k: decode(v) for k, v in pairs.items()}
                )
            case "struct":
                return self._decode_struct(data if isinstance(data, dict) else {})
        return self._decode_scalar(data)

    def _decode_scalar(self, data: Any) -> Any:
        """Take a scalar over; one of another type than expected counts as absent."""
        if self.name == "any":
            return data
        if self.name == "time.Time":
            return Moment(data if isinstance(data, str) else "")
        wanted = type(SCALARS[self.name])
        fits = isinstance(data, wanted) and (wanted is bool or not isinstance(data, bool))
        return data if fits else SCALARS[self.name]

    def _decode_list(self, data: list[Any] | None, elem: Type) -> Slice:
        size = self.name[1:].partition("]")[0]
        if data is None and size.isdigit():
            data = [None] * int(size)
        return Slice(self, None if data is None else [elem.decode(item) for item in data])

    def _decode_struct(self, data: dict[str, Any]) -> Struct:
        lowered: dict[str, str] | None = None
        values: dict[str, Any] = {}
        for field in self.fields:
            if field.embedded:
                values[field.name] = field.type.decode(data)
                continue
            key = field.key
            if key not in data:
                lowered = lowered or {name.lower(): name for name in data}
                key = lowered.get(key.lower(), key)
            values[field.name] = field.type.decode(data.get(key))
        return Struct(self, values)


def type_of(text: str) -> Type:
    """Read the notation of a type; the same text gives the same object."""
    if text not in _known:
        _known[text] = _make(text)
    return _known[text]


def _make(text: str) -> Type:
    if text.startswith("*"):
        return Type(text, "pointer", type_of(text[1:]))
    if text == "[]uint8" or text in SCALARS:
        return Type(text, "scalar", None)
    if text.startswith("["):
        return Type(text, "slice", type_of(text.partition("]")[2]))
    if text.startswith("map["):
        return Type(text, "map", type_of(text.partition("]")[2]))
    if text in structs.ALIASES:
        same = type_of(structs.ALIASES[text])
        return Type(text, same.kind, same.elem)
    return Type(text, "struct", None)


def plain(value: Any) -> Any:
    """Turn a typed value back into what JSON shows of it, as Go's json.Marshal does."""
    match value:
        case Pointer():
            return plain(value.target)
        case Slice():
            return None if value.nil else [plain(item) for item in value]
        case Map():
            return None if value.nil else {k: plain(value[k]) for k in sorted(value)}
        case Struct():
            return _plain_struct(value)
        case dict():
            return {k: plain(value[k]) for k in sorted(value)}
        case list():
            return [plain(item) for item in value]
        case Moment():
            return str(value) or "0001-01-01T00:00:00Z"
        case None | str() | int() | float():
            return value
    return value.plain()


def _plain_struct(value: Struct) -> dict[str, Any]:
    if not value.type.fields:
        return {}
    out: dict[str, Any] = {}
    for field, inner in value.fields():
        if field.embedded:
            out.update(plain(inner) or {})
        elif not (field.omit_empty and _empty(inner)):
            out[field.key] = plain(inner)
    return out


def _empty(value: Any) -> bool:
    if isinstance(value, Pointer):
        return value.target is None
    return not isinstance(value, Struct | Moment) and not value
