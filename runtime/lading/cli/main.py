"""The entry of `lading`: global options, the command's module, and what becomes of its failures.

Everything that a command does not need is imported late or not at all: `lading version` has to be
done in the time that a Go program takes.
"""

from __future__ import annotations

import os
import sys

from lading.cli import flags, registry
from lading.cli.command import STDOUT, Command, Context
from lading.cli.failures import CliError, Exit, UsageError
from lading.cli.flags import Flag, HelpAsked, Options
from lading.cli.kinds import BOOL, LIST, STRING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

INTERRUPTED, PIPE_CLOSED = 130, 141

GLOBAL_FLAGS = (
    Flag("config", "", STRING, "Directory of the configuration file config.json"),
    Flag("debug", "D", BOOL, "Show where an unexpected error came from"),
    Flag("host", "H", LIST, "Daemon to talk to: unix:///path, tcp://host:port, ssh://host"),
    Flag("log-level", "l", STRING, "Accepted for compatibility", hidden=True),
    Flag("context", "c", STRING, "Accepted for compatibility", hidden=True),
    Flag("tls", "", BOOL, "Use TLS, without checking the daemon's certificate"),
    Flag("tlscacert", "", STRING, "Trust certificates signed by this CA only"),
    Flag("tlscert", "", STRING, "Client certificate for TLS"),
    Flag("tlskey", "", STRING, "Key of the client certificate"),
    Flag("tlsverify", "", BOOL, "Use TLS and check the daemon's certificate"),
    Flag("version", "v", BOOL, "Show the version and end"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command line and give the exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = False
    try:
        context, options = _global_options(words)
        debug = context.debug
        return _dispatch(context, options)
    except Exit as ending:
        return ending.status
    except CliError as error:
        _say(error.shown())
        return error.status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return PIPE_CLOSED
    except Exception as error:
        if debug:
            raise
        _say(f"lading: {_sentence(error)}\n")
        return 1


def _say(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        pass


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return f"unexpected {type(error).__name__}: {error}; run again with -D to see where"


def _forget_stdout() -> None:
    """Point stdout at nothing, so that Python does not complain when it flushes at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, STDOUT)


def _global_options(words: list[str]) -> tuple[Context, Options]:
    try:
        options = flags.parse(GLOBAL_FLAGS, words, interspersed=False)
    except HelpAsked:
        from lading.cli import help as help_

        _print(help_.overview(GLOBAL_FLAGS))
        raise Exit(0) from None
    except UsageError as error:
        error.hint = "See 'lading --help'."
        raise
    hosts = options.items("host")
    if len(hosts) > 1:
        raise UsageError("specify only one -H", 1)
    context = Context(
        host=hosts[0] if hosts else "", config_dir=options.text("config"), tls=_tls(options)
    )
    context.debug = options.on("debug")
    return context, options


def _tls(options: Options) -> dict[str, Any] | None:
    """Give the settings of TLS, None for plain TCP; --tlsverify=false is TLS as well."""
    environ = os.environ
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    if options.given("tlsverify"):
        verify = options.on("tlsverify")
    elif not (verify or (options.on("tls") if options.given("tls") else environ.get("DOCKER_TLS"))):
        return None
    files = {name: options.text(f"tls{name}") for name in ("cert", "key")}
    return {"verify": verify, "ca": options.text("tlscacert"), **files}


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _dispatch(context: Context, options: Options) -> int:
    words = options.args
    if options.on("version"):
        from lading import __version__

        _print(f"Lading version {__version__}\n")
        return 0
    if not words or words[0] == "help":
        return _help(words[1:])
    found = registry.find(words)
    if found is None:
        return _no_command(words)
    module, name, used = found
    command = _load(module, name)
    called = " ".join(words[:used])
    context.command = called
    rest = ["--", *words[used:]] if name == registry.COMPLETE else words[used:]
    try:
        parsed = flags.parse(command.flags, rest, interspersed=command.interspersed)
    except HelpAsked:
        from lading.cli import help as help_

        _print(help_.command_help(command, called, registry.spellings(module, name)))
        return 0
    except UsageError as error:
        raise _with_usage(error, command, called) from None
    _check_count(command, called, parsed.args)
    return command.run(context, parsed)


def _load(module: str, name: str) -> Command:
    path = f"lading.cli.commands.{module}"
    __import__(path)
    commands: dict[str, Command] = sys.modules[path].COMMANDS
    return commands[name]


def _with_usage(error: UsageError, command: Command, called: str) -> UsageError:
    usage = f"Usage:  lading {called} {command.usage}".rstrip()
    see = f"See 'lading {called} --help'."
    error.hint = "\n\n".join(part for part in (error.hint, usage, see) if part)
    return error


def _check_count(command: Command, called: str, args: list[str]) -> None:
    least, most = command.arguments
    if len(args) >= least and (most is None or len(args) <= most):
        return
    plural = "argument" if (most or least) == 1 else "arguments"
    if most is None:
        wanted = f"requires at least {least} {'argument' if least == 1 else 'arguments'}"
    elif most == 0:
        wanted = "accepts no arguments"
    elif least == most:
        wanted = f"requires {most} {plural}"
    elif least == 0:
        wanted = f"requires at most {most} {plural}"
    else:
        wanted = f"requires at least {least} and at most {most} {plural}"
    raise _with_usage(UsageError(f"'lading {called}' {wanted}", 1), command, called)


def _help(words: list[str]) -> int:
    from lading.cli import help as help_

    if not words:
        _print(help_.overview(GLOBAL_FLAGS))
        return 0
    found = registry.find(words)
    if found:
        module, name, used = found
        spellings = registry.spellings(module, name)
        _print(help_.command_help(_load(module, name), " ".join(words[:used]), spellings))
        return 0
    return _no_command([*words, "--help"])


def _no_command(words: list[str]) -> int:
    """Show a group's help, or say that there is no such command and which is near."""
    group = words[0] if words[0] in registry.GROUPS else ""
    if group and (len(words) == 1 or words[1] in ("--help", "-h", "help")):
        from lading.cli import help as help_

        _print(help_.group_help(group))
        return 0
    from lading.cli.nearest import nearest

    known = list(registry.GROUPS[group][1]) if group else registry.all_words()
    wrong = words[1] if group else words[0]
    near = nearest(wrong, known)
    called = f"lading {group}".rstrip()
    hint = f"Did you mean '{called} {near}'?\n\n" if near else ""
    raise UsageError(f"unknown command: {called} {wrong}", 1, hint=f"{hint}See '{called} --help'.")
