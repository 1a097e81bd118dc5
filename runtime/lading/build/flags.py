"""The `--name=value` flags between an instruction's keyword and its arguments."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from lading.build.errors import DockerfileError

_KNOWN = {
    "FROM": ("platform",),
    "RUN": ("mount", "network", "security"),
    "COPY": ("from", "chown", "chmod", "link", "parents", "exclude"),
    "ADD": ("chown", "chmod", "link", "exclude", "checksum", "keep-git-dir", "unpack"),
    "HEALTHCHECK": ("interval", "timeout", "start-period", "start-interval", "retries"),
}
_REPEATABLE = frozenset({"mount", "exclude"})
_BOOLEAN = frozenset({"link", "parents", "keep-git-dir", "unpack"})
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=(\"[^\"]*\"|\S*))?(?:\s+|$)")


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of one instruction, in the order given."""

    items: tuple[tuple[str, str], ...]
    line: int

    @classmethod
    def split(cls, keyword: str, rest: str, line: int) -> tuple[Flags, str]:
        """Cut the flags off the front of `rest`.

        Raises DockerfileError: an unknown flag, one given twice, one without its value.
        """
        known = _KNOWN.get(keyword, ())
        items: list[tuple[str, str]] = []
        while known and rest.startswith("--"):
            match = _FLAG.match(rest)
            if match is None:
                break
            name, value = match[1], match[2]
            cls._check(keyword, name, value, known, items, line)
            items.append((name, "true" if value is None else value.strip('"')))
            rest = rest[match.end() :]
        return cls(tuple(items), line), rest

    @staticmethod
    def _check(
        keyword: str,
        name: str,
        value: str | None,
        known: tuple[str, ...],
        items: list[tuple[str, str]],
        line: int,
    ) -> None:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise DockerfileError(f"{keyword}: unknown flag: --{name}{hint}", line)
        if value is None and name not in _BOOLEAN:
            raise DockerfileError(f"{keyword}: missing a value on flag: --{name}", line)
        if name in _BOOLEAN and value not in (None, "true", "false", "1", "0"):
            raise DockerfileError(f"{keyword}: --{name} takes true or false, not {value}", line)
        if name not in _REPEATABLE and any(name == seen for seen, _ in items):
            raise DockerfileError(f"{keyword}: duplicate flag specified: --{name}", line)

    def given(self, name: str) -> bool:
        """Whether the flag was written at all."""
        return any(name == seen for seen, _ in self.items)

    def text(self, name: str) -> str:
        """The flag's value, "" when it is not given."""
        return next((value for seen, value in self.items if seen == name), "")

    def true(self, name: str) -> bool:
        """Whether a yes-or-no flag is on."""
        return self.text(name) in ("true", "1")

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a flag that may be repeated."""
        return tuple(value for seen, value in self.items if seen == name)

    def pairs(self, name: str) -> tuple[tuple[tuple[str, str], ...], ...]:
        """Every `--name=key=value,key` as its pairs; a key alone has the value "true"."""
        return tuple(tuple(map(_pair, value.split(","))) for value in self.all(name))


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    return key.strip().lower(), value if equals else "true"
