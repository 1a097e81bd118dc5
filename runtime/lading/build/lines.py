"""The text of a Dockerfile as logical lines: directives, comments, continuations, heredocs.

Source: Docker's Dockerfile reference, "Format", "Parser directives" and "Here-Documents".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lading.build.errors import DockerfileError

_DIRECTIVE = re.compile(r"^#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*$")
_KNOWN_DIRECTIVES = frozenset({"syntax", "escape", "check"})
_HEREDOC_WORD = re.compile(r"^(\d*)<<(-?)(['\"]?)([A-Za-z_][\w.-]*)\3$")
_HEREDOC_USERS = frozenset({"ADD", "COPY", "RUN"})


@dataclass(frozen=True, slots=True)
class Heredoc:
    """One here-document: its delimiter, its text, and whether variables are expanded in it."""

    name: str
    content: str
    expand: bool
    strip_tabs: bool


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """One instruction as written, continuations joined; `number` is its first line, from 1."""

    number: int
    text: str
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A Dockerfile's logical lines and the directives above them."""

    lines: tuple[LogicalLine, ...]
    escape: str = "\\"
    directives: dict[str, str] = field(default_factory=dict)


def read_lines(text: str) -> Source:
    """Split a Dockerfile into logical lines.

    Raises DockerfileError: a repeated or wrong directive, a here-document without an end.
    """
    physical = text.removeprefix("\ufeff").splitlines()
    directives = _read_directives(physical)
    escape = directives.get("escape", "\\")
    return Source(tuple(_join(physical, escape)), escape, directives)


def _read_directives(physical: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(physical, 1):
        match = _DIRECTIVE.match(line.strip())
        name = match[1].lower() if match else ""
        if match is None or name not in _KNOWN_DIRECTIVES:
            break
        if name in found:
            raise DockerfileError(f"only one {name} parser directive can be used", number)
        found[name] = match[2]
        if name == "escape" and match[2] not in ("\\", "`"):
            raise DockerfileError(f"invalid ESCAPE '{match[2]}'. Must be ` or \\", number)
    return found


def _join(physical: list[str], escape: str) -> Iterator[LogicalLine]:
    continuation = re.compile(rf"{re.escape(escape)}[ \t]*$")
    index = 0
    while index < len(physical):
        start = index
        joined, index = _logical(physical, index, continuation)
        if not joined.strip():
            continue
        names = _heredoc_words(joined)
        heredocs: list[Heredoc] = []
        for match in names:
            document, index = _read_heredoc(physical, index, match, start + 1)
            heredocs.append(document)
        yield LogicalLine(start + 1, joined.strip(), tuple(heredocs))


def _logical(physical: list[str], index: int, continuation: re.Pattern[str]) -> tuple[str, int]:
    """The text of one logical line and the index behind it; comments and blanks in it vanish."""
    parts: list[str] = []
    while index < len(physical):
        line = physical[index]
        index += 1
        if line.lstrip().startswith("#") or (parts and not line.strip()):
            if not parts:
                return "", index
            continue
        if not parts:
            line = line.lstrip()
        stripped = continuation.sub("", line)
        parts.append(stripped)
        if stripped == line:
            break
    return "".join(parts), index


def _heredoc_words(text: str) -> list[re.Match[str]]:
    words = text.split()
    if words and words[0].upper() == "ONBUILD":
        words = words[1:]
    if not words or words[0].upper() not in _HEREDOC_USERS:
        return []
    return [match for word in words[1:] if (match := _HEREDOC_WORD.match(word))]


def _read_heredoc(
    physical: list[str], index: int, match: re.Match[str], line: int
) -> tuple[Heredoc, int]:
    strip_tabs, name = bool(match[2]), match[4]
    body: list[str] = []
    while index < len(physical):
        text = physical[index].lstrip("\t") if strip_tabs else physical[index]
        index += 1
        if text == name:
            content = "".join(f"{one}\n" for one in body)
            return Heredoc(name, content, not match[3], strip_tabs), index
        body.append(text)
    raise DockerfileError(f"unterminated heredoc: the end mark {name} is missing", line)
