"""The shapes an instruction's arguments come in: JSON list, shell line, key=value, words."""

from __future__ import annotations

import json

from lading.build.errors import DockerfileError
from lading.build.flags import Flags
from lading.build.instructions import Command, Healthcheck
from lading.build.lines import LogicalLine
from lading.build.words import split_words
from lading.durations import nanoseconds


def json_list(text: str) -> tuple[str, ...] | None:
    """`["a", "b"]` as its strings; None when the text is not a JSON list of strings."""
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return None
    return tuple(value)


def command_of(text: str) -> Command:
    """The exec form when `text` is a JSON list, else the shell form."""
    listed = json_list(text)
    return Command((text,), by_shell=True) if listed is None else Command(listed, by_shell=False)


def word_list(text: str, escape: str) -> list[str]:
    """Words split at blanks, quotes and escapes kept for the expansion to come."""
    return split_words(text, escape)


def key_values(keyword: str, text: str, escape: str, line: int) -> tuple[tuple[str, str], ...]:
    """`k=v k2="v 2"`, or the old `k rest of line`.

    Raises DockerfileError: a word without `=`, an empty name.
    """
    words = split_words(text, escape)
    if "=" not in words[0]:
        name, _, value = text.partition(" ")
        if not value.strip():
            raise DockerfileError(f"{keyword} must have two arguments", line)
        return ((name, value.strip()),)
    pairs: list[tuple[str, str]] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise DockerfileError(
                f'Syntax error - can\'t find = in "{word}". Must be of the form: name=value', line
            )
        if not name:
            raise DockerfileError(f"{keyword} names can not be blank", line)
        pairs.append((name, value))
    return tuple(pairs)


def arg_values(text: str, escape: str, line: int) -> tuple[tuple[str, str | None], ...]:
    """`name`, `name=default` … of ARG.

    Raises DockerfileError: an empty name.
    """
    pairs: list[tuple[str, str | None]] = []
    for word in split_words(text, escape):
        name, equals, value = word.partition("=")
        if not name:
            raise DockerfileError("ARG names can not be blank", line)
        pairs.append((name, value if equals else None))
    return tuple(pairs)


def healthcheck_of(text: str, flags: Flags, line: LogicalLine) -> Healthcheck:
    """`NONE`, or the options and the command of a HEALTHCHECK.

    Raises DockerfileError: another type, no command, a time below one millisecond.
    """
    kind, _, rest = text.partition(" ")
    rest = rest.strip()
    if kind.upper() == "NONE":
        if rest:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments", line.number)
        return Healthcheck(line.number, line.text, None, 0, 0, 0, 0, 0)
    if kind.upper() != "CMD":
        raise DockerfileError(
            f'Unknown type "{kind}" in HEALTHCHECK (try CMD or NONE)', line.number
        )
    if not rest:
        raise DockerfileError("Missing command after HEALTHCHECK CMD", line.number)
    retries = flags.text("retries") or "0"
    if not retries.isdigit():
        raise DockerfileError(f"--retries must be a whole number, not {retries}", line.number)
    times = (
        _nanoseconds(name, flags.text(name), line.number)
        for name in ("interval", "timeout", "start-period", "start-interval")
    )
    interval, timeout, start_period, start_interval = times
    return Healthcheck(
        line.number,
        line.text,
        command_of(rest),
        interval,
        timeout,
        start_period,
        start_interval,
        int(retries),
    )


def _nanoseconds(name: str, text: str, line: int) -> int:
    if not text:
        return 0
    total = nanoseconds(text)
    if total is None:
        raise DockerfileError(f'--{name}: "{text}" is no duration; write one as 30s or 1m30s', line)
    if 0 < total < 10**6:
        raise DockerfileError(f"Interval '{name}' cannot be less than 1ms", line)
    return total
