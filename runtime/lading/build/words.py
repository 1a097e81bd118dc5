"""Words of a Dockerfile: quoting, and the substitution of variables in them.

Source: Docker's Dockerfile reference, "Environment replacement".
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping

from lading.build.errors import DockerfileError, WordError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPECIAL = frozenset("@*#?-$!0123456789")


def split_words(text: str, escape: str = "\\") -> list[str]:
    """Split at blanks that are neither quoted nor escaped; quotes stay in the words."""
    words: list[str] = []
    current: list[str] = []
    quote = ""
    index = 0
    while index < len(text):
        char = text[index]
        if char == escape and quote != "'" and index + 1 < len(text):
            current.append(text[index : index + 2])
            index += 2
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char.isspace():
            if current:
                words.append("".join(current))
                current = []
            index += 1
            continue
        current.append(char)
        index += 1
    if current:
        words.append("".join(current))
    return words


def expand_word(
    text: str, scope: Mapping[str, str], escape: str, line: int, *, keep_quotes: bool = False
) -> str:
    """Replace the variables in a word of line `line`; raises DockerfileError."""
    try:
        return Expander(scope, escape, keep_quotes=keep_quotes).word(text)
    except WordError as error:
        raise DockerfileError(error.message, line) from None


class Expander:
    """Expands variables and removes quotes, as a shell would in one word.

    `used` gathers the names that were looked up: the cache wants to know which build
    arguments an instruction depends on.
    """

    def __init__(
        self, variables: Mapping[str, str], escape: str = "\\", *, keep_quotes: bool = False
    ) -> None:
        self._variables = variables
        self._escape = escape
        self._keep_quotes = keep_quotes
        self.used: set[str] = set()

    def word(self, text: str) -> str:
        """`text` with its variables replaced and, unless kept, its quotes removed.

        Raises WordError: an unclosed quote or brace, an unknown modifier, `${x:?message}` unset.
        """
        value, end = self._run(text, 0, "")
        if end != len(text):
            raise WordError(f"unexpected {text[end]!r} in {text!r}")
        return value

    def words(self, text: str) -> list[str]:
        """`text` expanded, then split at the blanks that its quotes do not protect."""
        return [self.word(part) for part in split_words(text, self._escape)]

    def _run(self, text: str, index: int, stop: str) -> tuple[str, int]:
        """Expand from `index` to the first unquoted character of `stop`, or to the end."""
        out: list[str] = []
        while index < len(text) and text[index] not in stop:
            char = text[index]
            if self._keep_quotes and char in "'\"":
                out.append(char)
                index += 1
            elif char == "'":
                piece, index = self._single(text, index)
                out.append(piece)
            elif char == '"':
                piece, index = self._double(text, index)
                out.append(piece)
            elif char == "$":
                piece, index = self._dollar(text, index)
                out.append(piece)
            elif char == self._escape:
                piece, index = self._escaped(text, index)
                out.append(piece)
            else:
                out.append(char)
                index += 1
        return "".join(out), index

    def _escaped(self, text: str, index: int) -> tuple[str, int]:
        following = text[index + 1 : index + 2]
        if not following:
            return self._escape, index + 1
        if self._keep_quotes and following != "$":
            return text[index : index + 2], index + 2
        return following, index + 2

    def _single(self, text: str, index: int) -> tuple[str, int]:
        end = text.find("'", index + 1)
        if end < 0:
            raise WordError(
                f"unexpected end of statement while looking for matching single-quote in {text!r}"
            )
        return text[index + 1 : end], end + 1

    def _double(self, text: str, index: int) -> tuple[str, int]:
        out: list[str] = []
        index += 1
        while index < len(text):
            char = text[index]
            if char == '"':
                return "".join(out), index + 1
            if char == "$":
                piece, index = self._dollar(text, index)
                out.append(piece)
                continue
            if char == self._escape and text[index + 1 : index + 2] in ('"', "$", self._escape):
                char = text[index + 1]
                index += 1
            out.append(char)
            index += 1
        raise WordError(
            f"unexpected end of statement while looking for matching double-quote in {text!r}"
        )

    def _dollar(self, text: str, index: int) -> tuple[str, int]:
        index += 1
        if text[index : index + 1] == "{":
            return self._braced(text, index + 1)
        name = _NAME.match(text, index)
        if name is not None:
            return self._value(name[0]) or "", name.end()
        if text[index : index + 1] in _SPECIAL and index < len(text):
            return self._value(text[index]) or "", index + 1
        return "$", index

    def _braced(self, text: str, index: int) -> tuple[str, int]:
        match = _NAME.match(text, index)
        name = match[0] if match else text[index : index + 1]
        if match is None and name not in _SPECIAL:
            raise WordError(f"syntax error: missing or bad name in a ${{…}} of {text!r}")
        index += len(name)
        if text[index : index + 1] == "}":
            return self._value(name) or "", index + 1
        for operator in (":-", ":+", ":?", "##", "%%", "//", "-", "+", "?", "#", "%", "/"):
            if text.startswith(operator, index):
                return self._modified(text, index + len(operator), name, operator)
        if index >= len(text):
            raise WordError(f"syntax error: missing '}}' in {text!r}")
        raise WordError(f"unsupported modifier ({text[index : index + 2]}) in substitution")

    def _modified(self, text: str, index: int, name: str, operator: str) -> tuple[str, int]:
        replacement = ""
        if operator in ("/", "//"):
            word, index = self._run(text, index, "/}")
            if text[index : index + 1] == "/":
                replacement, index = self._run(text, index + 1, "}")
        else:
            word, index = self._run(text, index, "}")
        if text[index : index + 1] != "}":
            raise WordError(f"syntax error: missing '}}' in {text!r}")
        value = self._value(name)
        if operator in ("#", "##", "%", "%%"):
            return _trim(value or "", word, operator), index + 1
        if operator in ("/", "//"):
            return _replace(value or "", word, replacement, every=operator == "//"), index + 1
        return self._defaulted(name, value, word, operator), index + 1

    def _defaulted(self, name: str, value: str | None, word: str, operator: str) -> str:
        present = bool(value) if operator.startswith(":") else value is not None
        kind = operator[-1]
        if kind == "-":
            return value or "" if present else word
        if kind == "+":
            return word if present else ""
        if present:
            return value or ""
        raise WordError(f"{name}: {word or 'is not allowed to be unset'}")

    def _value(self, name: str) -> str | None:
        self.used.add(name)
        return self._variables.get(name)


def _trim(value: str, pattern: str, operator: str) -> str:
    """`${x#p}` and its kin: remove the shortest or longest head or tail that matches."""
    cuts = range(len(value) + 1)
    if operator in ("#", "##"):
        order = reversed(cuts) if operator == "##" else iter(cuts)
        for cut in order:
            if _matches(value[:cut], pattern):
                return value[cut:]
        return value
    order = iter(cuts) if operator == "%%" else reversed(cuts)
    for cut in order:
        if _matches(value[cut:], pattern):
            return value[:cut]
    return value


def _replace(value: str, pattern: str, replacement: str, *, every: bool) -> str:
    """`${x/p/r}` and `${x//p/r}`: replace the longest match at each place, from the left."""
    out: list[str] = []
    start = 0
    while start < len(value):
        ends = range(len(value), start, -1)
        end = next((e for e in ends if _matches(value[start:e], pattern)), None)
        if end is None:
            out.append(value[start])
            start += 1
            continue
        out.append(replacement)
        start = end
        if not every:
            break
    return "".join(out) + value[start:]


def _matches(text: str, pattern: str) -> bool:
    # A Dockerfile's patterns know * and ?; a bracket stands for itself.
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))
