"""Propose what could follow on a command line.

The shells' completion scripts ask `lading __complete WORD…`.
"""

from __future__ import annotations

from lading.cli import help as help_
from lading.cli import registry
from lading.cli.failures import CliError
from lading.cli.kinds import BOOL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lading.cli.command import Command, Context

#: What an argument of a command is, by the word for it in the usage; the first that fits counts.
KINDS = ("NETWORK", "VOLUME", "CONTAINER", "IMAGE", "NAME", "REPOSITORY")
VALUES = {
    "network": "NETWORK",
    "volumes-from": "CONTAINER",
    "restart": ("no", "on-failure", "always", "unless-stopped"),
    "pull": ("always", "missing", "never"),
    "signal": ("SIGTERM", "SIGKILL", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2"),
    "type": ("container", "image", "network", "volume"),
    "format": ("json", "table"),
    "cache-from": "IMAGE",
    "progress": ("auto", "plain", "tty"),
}


def complete(context: Context, words: list[str]) -> list[str]:
    """List what the last of the words could become; the words are those after `lading`."""
    before, last = words[:-1], words[-1] if words else ""
    try:
        found = _candidates(context, before, last)
    except CliError:
        found = []
    return sorted({word for word in found if word.startswith(last)})


def _candidates(context: Context, before: list[str], last: str) -> list[str]:
    before = _without_globals(before)
    if not before:
        return registry.all_words()
    found = registry.find(before)
    if found is None:
        group = registry.GROUPS.get(before[0])
        return list(group[1]) if group and len(before) == 1 else []
    module, name, used = found
    command = help_.load(module, name)
    if last.startswith("-"):
        return [f"--{flag.name}" for flag in command.flags if not flag.hidden] + ["--help"]
    previous = before[-1] if len(before) > used else ""
    if wanted := _value_wanted(command, previous):
        return _values(context, wanted)
    return _arguments(context, command, before[used:])


def _without_globals(words: list[str]) -> list[str]:
    rest = list(words)
    while rest and rest[0].startswith("-"):
        takes_value = rest[0] in (
            "-H",
            "--host",
            "--config",
            "-l",
            "--log-level",
            "-c",
            "--context",
        )
        del rest[: 2 if takes_value else 1]
    return rest


def _value_wanted(command: Command, previous: str) -> str:
    """Give the name of the option whose value comes next, "" if none does."""
    for flag in command.flags:
        if flag.kind is not BOOL and previous in (f"--{flag.name}", f"-{flag.short}"):
            return flag.name
    return ""


def _values(context: Context, option: str) -> list[str]:
    known = VALUES.get(option, ())
    return _objects(context, known) if isinstance(known, str) else list(known)


def _arguments(context: Context, command: Command, given: list[str]) -> list[str]:
    """List objects of the kind that the command's usage names for its next argument."""
    if command.name in ("run", "create", "exec") and any(
        not word.startswith("-") for word in given
    ):
        return []
    words = command.usage.replace("[", " ").replace("]", " ").split()
    kind = next((k for word in words for k in KINDS if word.startswith(k)), "")
    return _objects(context, kind)


def _objects(context: Context, kind: str) -> list[str]:
    get = context.client.get
    match kind:
        case "CONTAINER":
            return _container_names(get("/containers/json", {"all": True}))
        case "IMAGE" | "REPOSITORY":
            return [tag for image in get("/images/json") for tag in image.get("RepoTags") or ()]
        case "NETWORK":
            return [network["Name"] for network in get("/networks")]
        case "VOLUME":
            return [volume["Name"] for volume in get("/volumes").get("Volumes") or ()]
        case "NAME":
            return _objects(context, "CONTAINER") + _objects(context, "IMAGE")
    return []


def _container_names(containers: list[dict[str, Any]]) -> list[str]:
    return [name.removeprefix("/") for c in containers for name in c.get("Names") or ()]
