"""A Dockerfile's text → typed instructions.

Source: Docker's Dockerfile reference. Errors carry the line and, for an unknown word, the
nearest right one.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from lading.build import instructions as ins
from lading.build.errors import DockerfileError
from lading.build.flags import Flags
from lading.build.lines import LogicalLine, read_lines
from lading.build.shapes import (
    arg_values,
    command_of,
    healthcheck_of,
    json_list,
    key_values,
    word_list,
)
from lading.errors import InvalidParameter


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """All instructions in order, the escape character, and the directives above them."""

    instructions: tuple[ins.Instruction, ...]
    escape: str
    directives: dict[str, str]


@dataclass(frozen=True, slots=True)
class Statement:
    """One instruction cut into its parts, before its own grammar is looked at."""

    line: LogicalLine
    keyword: str
    flags: Flags
    rest: str
    escape: str

    def fail(self, message: str) -> DockerfileError:
        """The error `message`, at this statement's line."""
        return DockerfileError(message, self.line.number)


def parse(text: str) -> Dockerfile:
    """Read a Dockerfile.

    Raises DockerfileError: an unknown instruction or flag, a wrong form; and InvalidParameter
    if there is no instruction at all.
    """
    source = read_lines(text)
    if not source.lines:
        raise InvalidParameter("failed to parse Dockerfile: file with no instructions")
    parsed = tuple(parse_instruction(line, source.escape) for line in source.lines)
    return Dockerfile(parsed, source.escape, source.directives)


def parse_instruction(line: LogicalLine, escape: str = "\\") -> ins.Instruction:
    """One logical line → its instruction (also an image's ONBUILD trigger).

    Raises DockerfileError as `parse` does.
    """
    keyword, _, rest = line.text.partition(" ")
    if "\t" in keyword:
        keyword, _, tail = line.text.partition("\t")
        rest = tail
    name = keyword.upper()
    if name not in _PARSERS:
        near = difflib.get_close_matches(name, _PARSERS, n=1, cutoff=0.6)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise DockerfileError(f"unknown instruction: {keyword}{hint}", line.number)
    flags, rest = Flags.split(name, rest.strip(), line.number)
    statement = Statement(line, name, flags, rest, escape)
    if not rest:
        raise statement.fail(f"{name} requires {_NEEDS.get(name, 'exactly one argument')}")
    return _PARSERS[name](statement)


_TWO = "at least two arguments, but only one was provided. Destination could not be determined"
_NEEDS = {
    "FROM": "either one or three arguments",
    "COPY": _TWO,
    "ADD": _TWO,
    "ARG": "at least one argument",
    "ENV": "at least one argument",
    "LABEL": "at least one argument",
    "EXPOSE": "at least one argument",
    "VOLUME": "at least one argument",
    "RUN": "a command",
    "CMD": "a command",
    "ENTRYPOINT": "a command",
    "SHELL": 'a command in JSON form, as SHELL ["executable", "parameters"]',
}


def _from(s: Statement) -> ins.From:
    words = s.rest.split()
    if len(words) == 1:
        return ins.From(s.line.number, s.line.text, words[0], "", s.flags.text("platform"))
    if len(words) != 3:
        raise s.fail("FROM requires either one or three arguments")
    if words[1].upper() != "AS":
        raise s.fail(f"FROM {words[0]}: expected AS before the stage's name, got {words[1]}")
    name = words[2].lower()
    if not name[0].isalpha() or not all(c.isalnum() or c in "-_." for c in name):
        raise s.fail(
            f'invalid name for build stage: "{words[2]}", name can\'t start with a number or '
            "contain symbols"
        )
    return ins.From(s.line.number, s.line.text, words[0], name, s.flags.text("platform"))


def _arg(s: Statement) -> ins.Arg:
    return ins.Arg(s.line.number, s.line.text, arg_values(s.rest, s.escape, s.line.number))


def _env(s: Statement) -> ins.Env:
    return ins.Env(s.line.number, s.line.text, key_values("ENV", s.rest, s.escape, s.line.number))


def _label(s: Statement) -> ins.Label:
    values = key_values("LABEL", s.rest, s.escape, s.line.number)
    return ins.Label(s.line.number, s.line.text, values)


def _run(s: Statement) -> ins.Run:
    mounts = tuple(ins.RunMount(one) for one in s.flags.pairs("mount"))
    network = s.flags.text("network") or "default"
    if network not in ("default", "none", "host"):
        raise s.fail(f"--network={network}: it takes default, none or host")
    return ins.Run(
        s.line.number,
        s.line.text,
        command_of(s.rest),
        mounts,
        network,
        s.flags.text("security"),
        s.line.heredocs,
    )


def _copy(s: Statement) -> ins.Copy:
    listed = json_list(s.rest)
    words = list(listed) if listed is not None else word_list(s.rest, s.escape)
    if len(words) < 2:
        raise s.fail(f"{s.keyword} requires {_NEEDS[s.keyword]}")
    return ins.Copy(
        s.line.number,
        s.line.text,
        add=s.keyword == "ADD",
        sources=tuple(words[:-1]),
        destination=words[-1],
        from_=s.flags.text("from"),
        chown=s.flags.text("chown"),
        chmod=s.flags.text("chmod"),
        link=s.flags.true("link"),
        parents=s.flags.true("parents"),
        exclude=s.flags.all("exclude"),
        checksum=s.flags.text("checksum"),
        keep_git_dir=s.flags.true("keep-git-dir"),
        unpack=s.flags.true("unpack") if s.flags.given("unpack") else None,
        heredocs=s.line.heredocs,
    )


def _cmd(s: Statement) -> ins.Cmd:
    return ins.Cmd(s.line.number, s.line.text, command_of(s.rest))


def _entrypoint(s: Statement) -> ins.Entrypoint:
    return ins.Entrypoint(s.line.number, s.line.text, command_of(s.rest))


def _expose(s: Statement) -> ins.Expose:
    return ins.Expose(s.line.number, s.line.text, tuple(word_list(s.rest, s.escape)))


def _volume(s: Statement) -> ins.Volume:
    listed = json_list(s.rest)
    paths = listed if listed is not None else tuple(word_list(s.rest, s.escape))
    if not all(path.strip() for path in paths):
        raise s.fail("VOLUME specified can not be an empty string")
    return ins.Volume(s.line.number, s.line.text, paths)


def _user(s: Statement) -> ins.User:
    return ins.User(s.line.number, s.line.text, _one(s))


def _workdir(s: Statement) -> ins.Workdir:
    return ins.Workdir(s.line.number, s.line.text, s.rest)


def _stopsignal(s: Statement) -> ins.StopSignal:
    return ins.StopSignal(s.line.number, s.line.text, _one(s))


def _maintainer(s: Statement) -> ins.Maintainer:
    return ins.Maintainer(s.line.number, s.line.text, s.rest)


def _shell(s: Statement) -> ins.Shell:
    args = json_list(s.rest)
    if not args:
        raise s.fail('SHELL requires the arguments to be in JSON form, as ["program", "flag"]')
    return ins.Shell(s.line.number, s.line.text, args)


def _onbuild(s: Statement) -> ins.Onbuild:
    trigger = s.rest.split()[0].upper()
    if trigger == "ONBUILD":
        raise s.fail("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("FROM", "MAINTAINER"):
        raise s.fail(f"{trigger} isn't allowed as an ONBUILD trigger")
    parse_instruction(LogicalLine(s.line.number, s.rest, s.line.heredocs), s.escape)
    documents = "".join(f"\n{doc.content}{doc.name}" for doc in s.line.heredocs)
    return ins.Onbuild(s.line.number, s.line.text, s.rest + documents)


def _healthcheck(s: Statement) -> ins.Healthcheck:
    return healthcheck_of(s.rest, s.flags, s.line)


def _one(s: Statement) -> str:
    if len(s.rest.split()) != 1:
        raise s.fail(f"{s.keyword} requires exactly one argument")
    return s.rest


_PARSERS: dict[str, Callable[[Statement], ins.Instruction]] = {
    "FROM": _from,
    "ARG": _arg,
    "ENV": _env,
    "LABEL": _label,
    "RUN": _run,
    "COPY": _copy,
    "ADD": _copy,
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "EXPOSE": _expose,
    "VOLUME": _volume,
    "USER": _user,
    "WORKDIR": _workdir,
    "STOPSIGNAL": _stopsignal,
    "MAINTAINER": _maintainer,
    "SHELL": _shell,
    "ONBUILD": _onbuild,
    "HEALTHCHECK": _healthcheck,
}
