"""The instructions of a Dockerfile as types; values as written, variables not yet replaced.

Source: Docker's Dockerfile reference; the flags of RUN, COPY and ADD are BuildKit's.
"""

from __future__ import annotations

from dataclasses import dataclass

from lading.build.lines import Heredoc


@dataclass(frozen=True, slots=True)
class Command:
    """What RUN, CMD, ENTRYPOINT and HEALTHCHECK take: an argument list, or one shell line."""

    args: tuple[str, ...]
    by_shell: bool


@dataclass(frozen=True, slots=True)
class Instruction:
    """What all instructions share: the line they start on and their text as written."""

    line: int
    original: str


@dataclass(frozen=True, slots=True)
class From(Instruction):
    """`FROM [--platform=p] image [AS name]`."""

    image: str
    name: str
    platform: str


@dataclass(frozen=True, slots=True)
class Arg(Instruction):
    """`ARG name[=default] …`; a default of None asks the caller or the stages above."""

    values: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Env(Instruction):
    """`ENV key=value …` or `ENV key value`."""

    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Label(Instruction):
    """`LABEL key=value …`."""

    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RunMount:
    """One `RUN --mount=…`, its options by name; a bare option's value is "true"."""

    options: tuple[tuple[str, str], ...]

    @property
    def origin(self) -> str | None:
        """What its files come from, as COPY's `from_`; None when there are none."""
        given = dict(self.options)
        if given.get("type", "bind") == "bind":
            return given.get("from", "")
        return given.get("from") or None


@dataclass(frozen=True, slots=True)
class Run(Instruction):
    """`RUN [--mount=…] [--network=…] [--security=…] command`."""

    command: Command
    mounts: tuple[RunMount, ...]
    network: str
    security: str
    heredocs: tuple[Heredoc, ...]


@dataclass(frozen=True, slots=True)
class Copy(Instruction):
    """`COPY` and `ADD`; `add` tells them apart."""

    add: bool
    sources: tuple[str, ...]
    destination: str
    from_: str
    chown: str
    chmod: str
    link: bool
    parents: bool
    exclude: tuple[str, ...]
    checksum: str
    keep_git_dir: bool
    unpack: bool | None
    heredocs: tuple[Heredoc, ...]


@dataclass(frozen=True, slots=True)
class Cmd(Instruction):
    """`CMD`: the default command of the image."""

    command: Command


@dataclass(frozen=True, slots=True)
class Entrypoint(Instruction):
    """`ENTRYPOINT`: the program that CMD and the caller's arguments are given to."""

    command: Command


@dataclass(frozen=True, slots=True)
class Expose(Instruction):
    """`EXPOSE port[/protocol] …`."""

    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Volume(Instruction):
    """`VOLUME path …`."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class User(Instruction):
    """`USER name[:group]`."""

    user: str


@dataclass(frozen=True, slots=True)
class Workdir(Instruction):
    """`WORKDIR path`, relative to the one before it."""

    path: str


@dataclass(frozen=True, slots=True)
class Shell(Instruction):
    """`SHELL ["program", "flag"]`: what runs the shell forms below it."""

    args: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Onbuild(Instruction):
    """`ONBUILD instruction`: text that runs when the image is built upon."""

    trigger: str


@dataclass(frozen=True, slots=True)
class StopSignal(Instruction):
    """`STOPSIGNAL signal`."""

    signal: str


@dataclass(frozen=True, slots=True)
class Healthcheck(Instruction):
    """`HEALTHCHECK NONE` (no command) or `HEALTHCHECK [options] CMD command`; times in ns."""

    command: Command | None
    interval: int
    timeout: int
    start_period: int
    start_interval: int
    retries: int


@dataclass(frozen=True, slots=True)
class Maintainer(Instruction):
    """`MAINTAINER name`: the author; a label is what is recommended today."""

    author: str
