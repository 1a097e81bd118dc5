"""Which module holds which command: `main` imports only the one that is asked for."""

from __future__ import annotations

#: Section of the overview, then each command with its module and its name in there.
SECTIONS: dict[str, dict[str, str]] = {
    "Common commands": {
        "run": "run",
        "exec": "execute",
        "ps": "ps",
        "build": "build",
        "pull": "registries",
        "push": "registries",
        "images": "images",
        "login": "credentials",
        "logout": "credentials",
        "search": "registries",
        "version": "version",
        "info": "info",
    },
    "Commands": {
        "attach": "attach",
        "commit": "commit",
        "cp": "copy",
        "create": "run",
        "diff": "files",
        "events": "events",
        "explain": "explain",
        "export": "files",
        "history": "history",
        "import": "archives",
        "inspect": "inspect",
        "kill": "lifecycle",
        "load": "archives",
        "logs": "logs",
        "pause": "lifecycle",
        "port": "port",
        "rename": "lifecycle",
        "restart": "lifecycle",
        "rm": "lifecycle",
        "rmi": "images",
        "save": "archives",
        "start": "start",
        "stats": "stats",
        "stop": "lifecycle",
        "tag": "images",
        "top": "top",
        "unpause": "lifecycle",
        "update": "update",
        "wait": "lifecycle",
    },
}

#: Groups of commands: what the group is for, then each command as module:name.
GROUPS: dict[str, tuple[str, dict[str, str]]] = {
    "builder": ("Manage builds", {"build": "build:build", "prune": "prune:builder prune"}),
    "completion": (
        "Write the completion script for a shell",
        {
            "bash": "completion:completion bash",
            "fish": "completion:completion fish",
            "zsh": "completion:completion zsh",
        },
    ),
    "container": (
        "Manage containers",
        {
            **{
                name: f"{SECTIONS['Commands'][name]}:{name}"
                for name in (
                    "attach",
                    "commit",
                    "cp",
                    "create",
                    "diff",
                    "export",
                    "kill",
                    "logs",
                    "pause",
                    "port",
                    "rename",
                    "restart",
                    "rm",
                    "start",
                    "stats",
                    "stop",
                    "top",
                    "unpause",
                    "update",
                    "wait",
                )
            },
            "exec": "execute:exec",
            "inspect": "inspect:container inspect",
            "ls": "ps:ps",
            "prune": "prune:container prune",
            "run": "run:run",
        },
    ),
    "image": (
        "Manage images",
        {
            "build": "build:build",
            "history": "history:history",
            "import": "archives:import",
            "inspect": "inspect:image inspect",
            "load": "archives:load",
            "ls": "images:images",
            "prune": "prune:image prune",
            "pull": "registries:pull",
            "push": "registries:push",
            "rm": "images:rmi",
            "save": "archives:save",
            "tag": "images:tag",
        },
    ),
    "network": (
        "Manage networks",
        {
            "connect": "networks:network connect",
            "create": "networks:network create",
            "disconnect": "networks:network disconnect",
            "inspect": "inspect:network inspect",
            "ls": "networks:network ls",
            "prune": "prune:network prune",
            "rm": "networks:network rm",
        },
    ),
    "system": (
        "Manage the daemon",
        {
            "df": "disk:system df",
            "dial-stdio": "dialstdio:system dial-stdio",
            "events": "events:events",
            "info": "info:info",
            "prune": "prune:system prune",
        },
    ),
    "volume": (
        "Manage volumes",
        {
            "create": "volumes:volume create",
            "inspect": "inspect:volume inspect",
            "ls": "volumes:volume ls",
            "prune": "prune:volume prune",
            "rm": "volumes:volume rm",
        },
    ),
}

#: The command that completion scripts ask; it is not listed.
COMPLETE = "__complete"

ALIASES = {
    "container": {"list": "ls", "ps": "ls", "remove": "rm"},
    "image": {"list": "ls", "remove": "rm"},
    "network": {"list": "ls", "remove": "rm"},
    "volume": {"list": "ls", "remove": "rm"},
}


def find(words: list[str]) -> tuple[str, str, int] | None:
    """Find a command: its module, its name in there and how many words it took.

    None if there is none.
    """
    first = words[0]
    if first == COMPLETE:
        return "completion", COMPLETE, 1
    for commands in SECTIONS.values():
        if first in commands:
            return commands[first], first, 1
    if first in GROUPS and len(words) > 1:
        second = ALIASES.get(first, {}).get(words[1], words[1])
        if target := GROUPS[first][1].get(second):
            module, _, name = target.partition(":")
            return module, name, 2
    return None


def all_words() -> list[str]:
    """List everything that can follow `lading`."""
    return sorted({name for names in SECTIONS.values() for name in names} | set(GROUPS))


def spellings(module: str, name: str) -> list[str]:
    """List all ways to call a command, such as `lading ps` and `lading container ls`."""
    found = [
        f"lading {n}" for s in SECTIONS.values() for n, m in s.items() if (m, n) == (module, name)
    ]
    for group, (_, commands) in GROUPS.items():
        for word, target in commands.items():
            if target == f"{module}:{name}":
                found.append(f"lading {group} {word}")
    return found
