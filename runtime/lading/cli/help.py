"""What `--help` shows: the usage, a paragraph, examples, and the options by what they are for."""

from __future__ import annotations

import os
import textwrap
from importlib import import_module

from lading.cli import registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lading.cli.command import Command
    from lading.cli.flags import Flag

START = """Start here:
  lading run -it --rm debian bash      a shell in a new container, gone afterwards
  lading run -d -p 8080:80 nginx       a server in the background, on port 8080
  lading ps ; lading logs -f NAME      what runs, and what it says
  lading explain NAME                  how that container's start went, step by step"""


def _width() -> int:
    try:
        columns = os.get_terminal_size(1).columns
    except OSError:
        columns = 100
    return max(60, min(columns, 120))


def load(module: str, name: str) -> Command:
    """Import the module of a command and give the command."""
    commands: dict[str, Command] = import_module(f"lading.cli.commands.{module}").COMMANDS
    return commands[name]


def command_help(command: Command, called: str, spellings: list[str]) -> str:
    """Make the help of one command, which the user called by the name `called`."""
    parts = [f"Usage:  lading {called} {command.usage}".rstrip(), _filled(command.summary + ".")]
    if command.about:
        parts.append(_filled(command.about))
    others = [spelling for spelling in spellings if spelling != f"lading {called}"]
    if others:
        parts.append("Also called:  " + ", ".join(others))
    if command.examples:
        lines = [f"  lading {line}\n      {what}" for line, what in command.examples]
        parts.append("Examples:\n" + "\n".join(lines))
    parts += _options(command.flags)
    return "\n\n".join(parts) + "\n"


def _filled(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), _width())


def _options(flags: tuple[Flag, ...]) -> list[str]:
    groups: dict[str, list[Flag]] = {}
    for flag in sorted(flags, key=lambda f: f.name.lower()):
        if not flag.hidden:
            groups.setdefault(flag.group or "Options", []).append(flag)
    order = list(dict.fromkeys(flag.group or "Options" for flag in flags if not flag.hidden))
    left = max((len(_left(flag)) for flag in flags if not flag.hidden), default=0) + 3
    return [
        f"{group}:\n" + "\n".join(_option(flag, left) for flag in groups[group]) for group in order
    ]


def _left(flag: Flag) -> str:
    short = f"-{flag.short}, " if flag.short else "    "
    label = f" {flag.kind.label}" if flag.kind.label else ""
    return f"  {short}--{flag.name}{label}"


def _option(flag: Flag, left: int) -> str:
    text = flag.help
    shown = flag.shown_default
    if not shown and flag.default not in (None, "", 0, (), False):
        shown = str(flag.default).lower() if isinstance(flag.default, bool) else str(flag.default)
    if shown:
        text += f" (default {shown})"
    lines = textwrap.wrap(text, max(30, _width() - left)) or [""]
    indent = "\n" + " " * left
    return _left(flag).ljust(left) + indent.join(lines)


def group_help(group: str) -> str:
    """Make the help of a group of commands."""
    purpose, commands = registry.GROUPS[group]
    rows = [(word, load(*target.split(":")).summary) for word, target in sorted(commands.items())]
    return (
        f"Usage:  lading {group} COMMAND\n\n{purpose}\n\nCommands:\n{_rows(rows)}\n\n"
        f"Run 'lading {group} COMMAND --help' for more information on a command.\n"
    )


def _rows(rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows) + 4
    return "\n".join(f"  {name.ljust(width)}{text}" for name, text in rows)


def overview(global_flags: tuple[Flag, ...]) -> str:
    """Make the help of `lading` itself."""
    parts = [
        "Usage:  lading [OPTIONS] COMMAND",
        "A container engine that speaks Docker's own API",
        START,
    ]
    for section, commands in registry.SECTIONS.items():
        names = sorted(commands) if section == "Commands" else list(commands)
        rows = [(name, load(commands[name], name).summary) for name in names]
        parts.append(f"{section}:\n{_rows(rows)}")
    groups = [(name, purpose) for name, (purpose, _) in registry.GROUPS.items()]
    parts.insert(4, "Management commands:\n" + _rows(groups))
    parts += [text.replace("Options:", "Global options:", 1) for text in _options(global_flags)]
    parts.append(
        "The daemon is the one that -H, LADING_HOST or DOCKER_HOST names, else root's own.\n"
        "Run 'lading COMMAND --help' for more information on a command."
    )
    return "\n\n".join(parts) + "\n"
