"""What the instructions that write no file do to an image's configuration.

Source: Docker's Dockerfile reference; `docker commit --change` takes a part of them.
"""

from __future__ import annotations

import copy
import posixpath
import re
from collections.abc import Sequence
from functools import singledispatchmethod

from lading.build import instructions as ins
from lading.build.dockerfile import parse_instruction
from lading.build.errors import DockerfileError, WordError
from lading.build.lines import LogicalLine
from lading.build.words import Expander
from lading.durations import written
from lading.errors import InvalidParameter
from lading.image.model import Config, Healthcheck
from lading.kernel.signals import parse_signal

DEFAULT_SHELL = ("/bin/sh", "-c")
_CHANGES = frozenset(
    [
        "CMD",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "HEALTHCHECK",
        "LABEL",
        "ONBUILD",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    ]
)
_PORT = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)


class Configurator:
    """A configuration that instructions are applied to, one after the other.

    `config` is a copy of the one given; `author` is MAINTAINER's; `notes` are what the user should
    be told of the instructions applied so far.
    """

    def __init__(self, base: Config, escape: str = "\\") -> None:
        self.config = copy.deepcopy(base)
        self.author = ""
        self.notes: list[str] = []
        self._escape = escape
        self._cmd_set = False

    def variables(self) -> dict[str, str]:
        """ENV as a mapping."""
        pairs = (entry.partition("=") for entry in self.config.env or [])
        return {name: value for name, _, value in pairs}

    def shell_form(self, command: ins.Command) -> list[str]:
        """The argument list of a command: a shell line is given to SHELL's program."""
        if not command.by_shell:
            return list(command.args)
        return [*(self.config.shell or DEFAULT_SHELL), *command.args]

    def apply(self, instruction: ins.Instruction, scope: dict[str, str]) -> str:
        """Change the configuration; give the text that the image's history shows.

        `scope` holds the variables, ENV's and the build arguments'. Raises DockerfileError.
        """
        try:
            return self._apply(instruction, Expander(scope, self._escape))
        except WordError as error:
            raise DockerfileError(error.message, instruction.line) from None

    def set_env(self, name: str, value: str) -> None:
        """Set one variable, in its old place if it has one."""
        env = self.config.env = list(self.config.env or [])
        entry = f"{name}={value}"
        for index, old in enumerate(env):
            if old.partition("=")[0] == name:
                env[index] = entry
                return
        env.append(entry)

    @singledispatchmethod
    def _apply(self, instruction: ins.Instruction, _expand: Expander) -> str:
        raise TypeError(f"{type(instruction).__name__} does not configure an image")

    @_apply.register
    def _env(self, instruction: ins.Env, expand: Expander) -> str:
        shown: list[str] = []
        for name, value in instruction.values:
            key, text = expand.word(name), expand.word(value)
            self.set_env(key, text)
            shown.append(f"{key}={text}")
        return f"ENV {' '.join(shown)}"

    @_apply.register
    def _label(self, instruction: ins.Label, expand: Expander) -> str:
        labels = self.config.labels = dict(self.config.labels or {})
        shown: list[str] = []
        for name, value in instruction.values:
            key, text = expand.word(name), expand.word(value)
            labels[key] = text
            shown.append(f"{key}={text}")
        return f"LABEL {' '.join(shown)}"

    @_apply.register
    def _cmd(self, instruction: ins.Cmd, _expand: Expander) -> str:
        self.config.cmd = self.shell_form(instruction.command)
        self._cmd_set = bool(instruction.command.args)
        return f"CMD {_go_list(self.config.cmd)}"

    @_apply.register
    def _entrypoint(self, instruction: ins.Entrypoint, _expand: Expander) -> str:
        self.config.entrypoint = self.shell_form(instruction.command) or None
        if not self._cmd_set:
            # An inherited CMD was meant for the inherited ENTRYPOINT.
            self.config.cmd = None
        return f"ENTRYPOINT {_go_list(self.config.entrypoint or [])}"

    @_apply.register
    def _expose(self, instruction: ins.Expose, expand: Expander) -> str:
        ports = dict(self.config.exposed_ports or {})
        specs = [part for word in instruction.ports for part in expand.words(word)]
        for spec in specs:
            for port in _ports(spec, instruction.line):
                ports.setdefault(port, {})
        self.config.exposed_ports = ports
        return f"EXPOSE {' '.join(sorted(specs))}"

    @_apply.register
    def _volume(self, instruction: ins.Volume, expand: Expander) -> str:
        paths = [expand.word(path) for path in instruction.paths]
        self.config.volumes = {**(self.config.volumes or {}), **{path: {} for path in paths}}
        return f"VOLUME [{' '.join(paths)}]"

    @_apply.register
    def _user(self, instruction: ins.User, expand: Expander) -> str:
        self.config.user = expand.word(instruction.user)
        return f"USER {self.config.user}"

    @_apply.register
    def _workdir(self, instruction: ins.Workdir, expand: Expander) -> str:
        path = expand.word(instruction.path)
        if not path:
            raise WordError("WORKDIR requires a path, and its variables left none")
        joined = posixpath.join("/", self.config.working_dir, path)
        self.config.working_dir = posixpath.normpath(joined)
        return f"WORKDIR {self.config.working_dir}"

    @_apply.register
    def _shell(self, instruction: ins.Shell, _expand: Expander) -> str:
        self.config.shell = list(instruction.args)
        return f"SHELL [{' '.join(instruction.args)}]"

    @_apply.register
    def _onbuild(self, instruction: ins.Onbuild, _expand: Expander) -> str:
        self.config.on_build = [*(self.config.on_build or []), instruction.trigger]
        return f"ONBUILD {instruction.trigger}"

    @_apply.register
    def _stopsignal(self, instruction: ins.StopSignal, expand: Expander) -> str:
        text = expand.word(instruction.signal)
        try:
            parse_signal(text)
        except InvalidParameter:
            raise DockerfileError(f"Invalid signal: {text}", instruction.line) from None
        self.config.stop_signal = text
        return f"STOPSIGNAL {text}"

    @_apply.register
    def _healthcheck(self, instruction: ins.Healthcheck, _expand: Expander) -> str:
        before = self.config.healthcheck or Healthcheck()
        if before.test and before.test != ["NONE"]:
            self.notes.append(f"overriding previous HEALTHCHECK: [{' '.join(before.test)}]")
        made = _healthcheck_of(instruction)
        lengths = (made.interval, made.timeout, made.start_period, made.start_interval)
        words = " ".join(made.test or ())
        shown = f"[{words}] {' '.join(map(written, lengths))} {made.retries}"
        # What an instruction leaves open stays as it was, as Docker merges it with the parent's.
        made.interval = made.interval or before.interval
        made.timeout = made.timeout or before.timeout
        made.start_period = made.start_period or before.start_period
        made.start_interval = made.start_interval or before.start_interval
        made.retries = made.retries or before.retries
        self.config.healthcheck = made
        return f"HEALTHCHECK &{{{shown}}}"

    @_apply.register
    def _maintainer(self, instruction: ins.Maintainer, _expand: Expander) -> str:
        self.author = instruction.author
        return f"MAINTAINER {instruction.author}"


def apply_changes(base: Config, changes: Sequence[str]) -> Config:
    """The configuration with `--change` instructions applied (import and commit).

    Raises InvalidParameter: an instruction that is not one of the eleven, or a malformed one.
    """
    configurator = Configurator(base)
    for number, text in enumerate(changes, 1):
        keyword = text.split(maxsplit=1)[0].upper() if text.strip() else ""
        if keyword not in _CHANGES:
            raise InvalidParameter(f"{keyword or 'an empty line'} is not a valid change command")
        instruction = parse_instruction(LogicalLine(number, text.strip()))
        configurator.apply(instruction, configurator.variables())
    return configurator.config


def _healthcheck_of(instruction: ins.Healthcheck) -> Healthcheck:
    """Give what an instruction says by itself."""
    if instruction.command is None:
        return Healthcheck(test=["NONE"])
    kind = "CMD-SHELL" if instruction.command.by_shell else "CMD"
    return Healthcheck(
        test=[kind, *instruction.command.args],
        interval=instruction.interval,
        timeout=instruction.timeout,
        start_period=instruction.start_period,
        start_interval=instruction.start_interval,
        retries=instruction.retries,
    )


def _ports(spec: str, line: int) -> list[str]:
    match = _PORT.fullmatch(spec)
    first = int(match[1]) if match else 0
    last = int(match[2] or match[1]) if match else 0
    if match is None or not 0 < first <= last <= 65535:
        raise DockerfileError(f"invalid containerPort: {spec}", line)
    protocol = (match[3] or "tcp").lower()
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def _go_list(words: Sequence[str]) -> str:
    quoted = (word.replace("\\", "\\\\").replace('"', '\\"') for word in words)
    return "[" + " ".join(f'"{word}"' for word in quoted) + "]"
