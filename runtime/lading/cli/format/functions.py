"""The functions that templates can call: those of Go's text/template and those Docker adds."""

from __future__ import annotations

from lading.cli import fastjson
from lading.cli.format import reach
from lading.cli.format.compare import COMPARISONS
from lading.cli.format.schema import plain
from lading.cli.format.sprintf import sprint, sprintf
from lading.cli.format.values import Row, show, truth
from lading.cli.listing import escape_html

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Builtin:
    """A function with the kinds of its parameters: any, string, int or []string.

    `more` repeats the last one.
    """

    __slots__ = ("call", "more", "name", "params")

    def __init__(
        self, name: str, call: Callable[..., Any], *params: str, more: bool = False
    ) -> None:
        self.name = name
        self.call = call
        self.params = params
        self.more = more

    def wants(self, count: int) -> str:
        """Say what is wrong with this number of arguments; empty if nothing is."""
        fixed = len(self.params) - (1 if self.more else 0)
        if self.more and count < fixed:
            return f"wrong number of args for {self.name}: want at least {fixed} got {count}"
        if not self.more and count != fixed:
            return f"wrong number of args for {self.name}: want {fixed} got {count}"
        return ""

    def kind(self, position: int) -> str:
        """Give the kind of the parameter at a position."""
        return self.params[min(position, len(self.params) - 1)]


def _html(*args: object) -> str:
    text = sprint(args)
    pairs = (("&", "&amp;"), ("'", "&#39;"), ('"', "&#34;"), ("<", "&lt;"), (">", "&gt;"))
    for char, escape in (*pairs, ("\0", "\ufffd")):
        text = text.replace(char, escape)
    return text


def _js(*args: object) -> str:
    escapes = {"\\": "\\\\", "'": "\\'", '"': '\\"'}
    escapes.update({c: f"\\u{ord(c):04X}" for c in "<>&="})
    escapes.update({chr(code): f"\\u{code:04X}" for code in range(32)})
    return "".join(escapes.get(char, char) for char in sprint(args))


def _urlquery(*args: object) -> str:
    safe = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"
    encoded = sprint(args).encode()
    return "".join(chr(b) if b in safe else "+" if b == 0x20 else f"%{b:02X}" for b in encoded)


def _println(*args: object) -> str:
    return " ".join(show(arg) for arg in args) + "\n"


def _title(text: str) -> str:
    out = []
    start = True
    for char in text:
        out.append(char.upper() if start else char)
        word = char.isalnum() or char == "_"
        start = not word if char.isascii() else char.isspace()
    return "".join(out)


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else ""


def _truncate(text: str, length: int) -> str:
    raw = text.encode()
    return text if len(raw) < length else raw[:length].decode("utf-8", "replace")


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def _join(items: list[str], separator: str) -> str:
    return separator.join(items)


def _json(value: object) -> str:
    text = fastjson.dumps(plain(value))
    return escape_html(text) if isinstance(value, Row) else text


def _make(table: list[Builtin]) -> dict[str, Builtin]:
    return {function.name: function for function in table}


BUILTINS = _make(
    [
        Builtin("and", lambda *args: args[-1], "any", "any", more=True),
        Builtin("or", lambda *args: args[-1], "any", "any", more=True),
        Builtin("not", lambda value: not truth(value), "any"),
        Builtin("call", reach.call, "any", "any", more=True),
        Builtin("html", _html, "any", more=True),
        Builtin("index", reach.index, "any", "any", more=True),
        Builtin("js", _js, "any", more=True),
        Builtin("len", reach.length, "any"),
        Builtin("print", lambda *args: sprint(args), "any", more=True),
        Builtin("printf", lambda text, *args: sprintf(text, args), "string", "any", more=True),
        Builtin("println", _println, "any", more=True),
        Builtin("slice", reach.cut, "any", "any", more=True),
        Builtin("urlquery", _urlquery, "any", more=True),
        Builtin("eq", COMPARISONS["eq"], "any", "any", more=True),
        *(
            Builtin(name, COMPARISONS[name], "any", "any")
            for name in ("ne", "lt", "le", "gt", "ge")
        ),
    ]
)

DOCKER = _make(
    [
        Builtin("json", _json, "any"),
        Builtin("join", _join, "[]string", "string"),
        Builtin("lower", lambda text: text.lower(), "string"),
        Builtin("pad", _pad, "string", "int", "int"),
        Builtin("split", _split, "string", "string"),
        Builtin("title", _title, "string"),
        Builtin("truncate", _truncate, "string", "int"),
        Builtin("upper", lambda text: text.upper(), "string"),
    ]
)

#: While the header of a table is made, the functions give its words as they are.
HEADER = _make(
    [
        Builtin(name, lambda text, *_: text, "string", *DOCKER[name].params[1:])
        for name in ("json", "join", "lower", "split", "title", "truncate", "upper")
    ]
    + [DOCKER["pad"]]
)
