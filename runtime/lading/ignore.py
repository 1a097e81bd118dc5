"""The patterns of `.dockerignore` and `COPY --exclude`: which paths they leave out.

Used on both sides of the API: the command line packs a build's context without the excluded
paths, the builder applies the same file to contexts that other clients sent. Source: Docker's
documentation, "Build context", ".dockerignore files".
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

from lading.errors import InvalidParameter


@dataclass(frozen=True, slots=True)
class _Pattern:
    regex: re.Pattern[str]
    exclude: bool
    text: str


class IgnoreRules:
    """An ordered list of patterns; of those that match a path, the last one decides.

    A pattern that matches a directory decides for all that is below it as well. Paths are
    relative, separated by `/`.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [made for text in patterns if (made := _compile(text)) is not None]
        self._readmits = any(not pattern.exclude for pattern in self._patterns)

    @classmethod
    def parse(cls, text: str) -> IgnoreRules:
        """The rules of a `.dockerignore` file's text.

        Raises InvalidParameter: a pattern with an unclosed bracket, or `!` alone.
        """
        lines = text.removeprefix("\ufeff").splitlines()
        return cls(line.strip() for line in lines if not line.startswith("#"))

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def excluded(self, path: str) -> bool:
        """Whether the file or directory `path` itself is left out."""
        path = path.strip("/")
        heads = _with_parents(path)
        verdict = False
        for pattern in self._patterns:
            if pattern.exclude != verdict and any(map(pattern.regex.fullmatch, heads)):
                verdict = pattern.exclude
        return verdict

    def prunes(self, directory: str) -> bool:
        """Whether an excluded `directory` need not be walked, as nothing in it can come back."""
        if not self._readmits:
            return True
        prefix = directory.strip("/") + "/"
        return not any(
            _may_match_below(pattern.text, prefix)
            for pattern in self._patterns
            if not pattern.exclude
        )


def _with_parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]


def _may_match_below(pattern: str, prefix: str) -> bool:
    fixed = re.split(r"[*?\[\\]", pattern, maxsplit=1)[0]
    return fixed.startswith(prefix) or prefix.startswith(fixed)


def _compile(text: str) -> _Pattern | None:
    text = text.strip()
    if not text:
        return None
    exclude = not text.startswith("!")
    body = text if exclude else text[1:].strip()
    if not body:
        raise InvalidParameter('illegal exclusion pattern: "!" needs a pattern behind it')
    cleaned = posixpath.normpath(body).lstrip("/")
    if cleaned == ".":
        return None
    return _Pattern(re.compile(_regex(cleaned, text), re.DOTALL), exclude, cleaned)


def _regex(pattern: str, shown: str) -> str:
    """Go's filepath.Match syntax, and `**` for any number of directories."""
    out: list[str] = []
    index = 0
    while index < len(pattern):
        char = pattern[index]
        if pattern.startswith("**", index):
            index += 2
            if pattern.startswith("/", index):
                index += 1
                out.append("(?:.*/)?")
            else:
                out.append(".*")
            continue
        if char == "[":
            piece, index = _bracket(pattern, index, shown)
            out.append(piece)
            continue
        if char == "\\" and index + 1 < len(pattern):
            index += 1
            out.append(re.escape(pattern[index]))
        else:
            out.append({"*": "[^/]*", "?": "[^/]"}.get(char) or re.escape(char))
        index += 1
    return "".join(out)


def _bracket(pattern: str, index: int, shown: str) -> tuple[str, int]:
    end = pattern.find("]", index + 2)
    if end < 0:
        raise InvalidParameter(f"syntax error in pattern {shown!r}: the bracket is not closed")
    body = pattern[index + 1 : end]
    negated = body.startswith("^")
    members = re.sub(r"([\\\[\]^&~|])", r"\\\1", body[1:] if negated else body)
    regex = f"[{'^' if negated else ''}{members}]"
    try:
        re.compile(regex)
    except re.error:
        raise InvalidParameter(f"syntax error in pattern {shown!r}: a bad range") from None
    return f"(?!/){regex}", end + 1
