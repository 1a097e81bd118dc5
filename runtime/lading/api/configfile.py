"""The configuration file of `ladingd`: JSON with the names of Docker's daemon.json."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from lading.api.options import Option, UsageError

_SHAPES: dict[str, Any] = {
    "text": str,
    "int": int,
    "flag": bool,
    "list": list[str],
    "map": dict[str, str],
    "ulimits": dict[str, dict[str, Any]],
    "pools": list[dict[str, Any]],
}

_WORDS = {
    "text": "a string",
    "int": "a whole number",
    "flag": "true or false",
    "list": "a list of strings",
    "map": "an object of strings",
    "ulimits": "an object of {Name, Soft, Hard}",
    "pools": "a list of {base, size}",
}


def read(path: Path, options: Iterable[Option]) -> dict[str, Any]:
    """Return the settings in a configuration file by their names.

    Raises UsageError for a file that cannot be read, is not JSON, has names that Lading does not
    have, or values of another type.
    """
    known = {option.key: option for option in options}
    try:
        content = msgspec.json.decode(path.read_bytes() or b"{}")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path} must hold a JSON object")
    if unknown := sorted(content.keys() - known.keys()):
        raise UsageError(
            "the following directives don't match any configuration option: "
            f"{', '.join(unknown)} (in {path})"
        )
    return {key: _checked(path, known[key], value) for key, value in content.items()}


def _checked(path: Path, option: Option, value: Any) -> Any:
    try:
        checked = msgspec.convert(value, _SHAPES[option.kind])
    except msgspec.ValidationError:
        raise UsageError(
            f"{option.key} in {path} must be {_WORDS[option.kind]}, not {value!r}"
        ) from None
    if option.choices and checked not in option.choices:
        raise UsageError(
            f"{option.key} in {path} must be one of {', '.join(option.choices)}, not {value!r}"
        )
    return checked
