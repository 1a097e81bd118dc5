"""Options on the command line, as Docker's users know them: those of Go's pflag.

`--name value`, `--name=value`, `-n value`, `-nvalue`, `-n=value`, joined short switches (`-it`),
switches with a value (`--rm=false`), `--` to end them. click would bring 30 ms of imports to a
program that has to be done in less.
"""

from __future__ import annotations

from lading.cli.failures import UsageError
from lading.cli.kinds import BOOL, Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class Flag:
    """One option: long name, short name (or ""), kind of value, what it does, where it is listed.

    `default` is what the option has if it is not given; `hidden` options work but are not listed,
    and so do `aliases`.
    """

    __slots__ = (
        "aliases",
        "default",
        "group",
        "help",
        "hidden",
        "kind",
        "name",
        "short",
        "shown_default",
    )

    def __init__(
        self,
        name: str,
        short: str,
        kind: Kind,
        help: str,  # noqa: A002
        *,
        default: Any = None,
        group: str = "",
        hidden: bool = False,
        shown_default: str = "",
        aliases: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.short = short
        self.kind = kind
        self.help = help
        self.default = kind.empty if default is None else default
        self.group = group
        self.hidden = hidden
        self.shown_default = shown_default
        self.aliases = aliases

    @property
    def spelling(self) -> str:
        """Show the option as error messages do: `-m, --memory`."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"

    def read(self, text: str) -> Any:
        """Convert what was given for the option; raises UsageError in pflag's words."""
        try:
            return self.kind.convert(text)
        except ValueError as error:
            quoted = text.replace("\\", "\\\\").replace('"', '\\"')
            message = f'invalid argument "{quoted}" for "{self.spelling}" flag: {error}'
            raise UsageError(message) from None


class Options:
    """The options and arguments that a command was given."""

    __slots__ = ("_flags", "_given", "args")

    def __init__(self, flags: Iterable[Flag]) -> None:
        self._flags = {flag.name: flag for flag in flags}
        self._given: dict[str, Any] = {}
        self.args: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self._flags

    def given(self, name: str) -> bool:
        """Tell whether the option stood on the command line."""
        return name in self._given

    def value(self, name: str) -> Any:
        """Give the converted value of an option, its default if it was not given."""
        return self._given[name] if name in self._given else self._flags[name].default

    def on(self, name: str) -> bool:
        """Give the state of a switch."""
        return bool(self.value(name))

    def text(self, name: str) -> str:
        """Give the value of an option that is text."""
        return str(self.value(name))

    def number(self, name: str) -> int:
        """Give the value of an option that is a whole number."""
        return int(self.value(name))

    def items(self, name: str) -> list[Any]:
        """Give the values of an option that may be repeated, in their order."""
        return list(self.value(name))

    def mapping(self, name: str) -> dict[str, str]:
        """Give the `key=value` pairs of an option that may be repeated.

        The last of a key counts.
        """
        pairs = (item.partition("=") for item in self.value(name))
        return {key: value for key, _, value in pairs}

    def set(self, flag: Flag, text: str) -> None:
        """Take what the command line gives for an option."""
        made = flag.read(text)
        if not flag.kind.many:
            self._given[flag.name] = made
        else:
            have = self._given.setdefault(flag.name, [])
            have.extend(made if flag.kind.splits else [made])


class HelpAsked(Exception):
    """`--help` stood among the options."""


def parse(flags: Iterable[Flag], words: list[str], *, interspersed: bool = True) -> Options:
    """Read options and arguments; raises UsageError for what is wrong, HelpAsked for `--help`.

    Without `interspersed`, everything from the first argument on is arguments: options after the
    image of a `run` are the container's.
    """
    options = Options(flags)
    by_name = dict(options._flags)  # noqa: SLF001
    by_name.update({alias: flag for flag in options._flags.values() for alias in flag.aliases})  # noqa: SLF001
    by_short = {flag.short: flag for flag in by_name.values() if flag.short}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            options.args += rest
            break
        if not word.startswith("-") or word == "-":
            options.args.append(word)
            if not interspersed:
                options.args += rest
                break
        elif word.startswith("--"):
            _long(word, rest, options, by_name)
        else:
            _short(word, rest, options, by_short)
    return options


def _long(word: str, rest: list[str], options: Options, by_name: dict[str, Flag]) -> None:
    name, equals, value = word[2:].partition("=")
    if not name or name.startswith("-"):
        raise UsageError(f"bad flag syntax: {word}")
    if name not in by_name:
        if name == "help":
            raise HelpAsked
        raise UsageError(f"unknown flag: --{name}", hint=_suggest(name, by_name))
    flag = by_name[name]
    if equals:
        options.set(flag, value)
    elif flag.kind is BOOL:
        options.set(flag, "true")
    elif rest:
        options.set(flag, rest.pop(0))
    else:
        raise UsageError(f"flag needs an argument: --{name}")


def _short(word: str, rest: list[str], options: Options, by_short: dict[str, Flag]) -> None:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter not in by_short:
            if letter == "h":
                raise HelpAsked
            raise UsageError(f"unknown shorthand flag: '{letter}' in -{letter}{letters}")
        flag = by_short[letter]
        if letters.startswith("=") and len(letters) > 1:
            options.set(flag, letters[1:])
            return
        if flag.kind is BOOL:
            options.set(flag, "true")
            continue
        if letters:
            options.set(flag, letters)
        elif rest:
            options.set(flag, rest.pop(0))
        else:
            raise UsageError(f"flag needs an argument: '{letter}' in -{word[1:]}")
        return


def _suggest(name: str, by_name: dict[str, Flag]) -> str:
    from lading.cli.nearest import nearest

    found = nearest(name, [flag.name for flag in by_name.values() if not flag.hidden])
    return f"Did you mean --{found}?" if found else ""
