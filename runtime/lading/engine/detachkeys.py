"""Key sequences that let a terminal go, such as `ctrl-p,ctrl-q`."""

from __future__ import annotations

from lading.errors import InvalidParameter

DEFAULT = b"\x10\x11"

_CONTROLS = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse(text: str) -> bytes:
    """Read keys separated by commas as the bytes that a terminal sends; empty is the default.

    Raises InvalidParameter for what is neither a character nor `ctrl-` and a key.
    """
    if not text:
        return DEFAULT
    return bytes(_key(word, text) for word in text.split(","))


def _key(word: str, text: str) -> int:
    if len(word) == 1 and word.isascii():
        return ord(word)
    prefix, _, key = word.partition("-")
    if prefix == "ctrl" and len(key) == 1:
        if "a" <= key.lower() <= "z":
            return ord(key.lower()) - ord("a") + 1
        if key in _CONTROLS:
            return _CONTROLS[key]
    raise InvalidParameter(f"Invalid detach keys ({text}) provided: Unknown character: '{word}'")
