"""RUN as a step: its arguments, what its outcome depends on, and the mounts it asks for."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256

from lading.build import instructions as ins
from lading.build.contracts import Host
from lading.build.errors import DockerfileError
from lading.build.lines import Heredoc
from lading.build.lookup import find, key
from lading.build.mounting import HostMount, Mounted, MountMaker
from lading.build.runmounts import BindMount, Mount, parse_mounts
from lading.build.sources import Source
from lading.build.stepimages import State, Words
from lading.errors import NotFound
from lading.files import temporary_name
from lading.threads import in_thread

PREDEFINED = frozenset(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (upper, upper.lower())
)
"""Build arguments that every RUN gets undeclared, and that the cache does not look at."""

_SCRIPTS = "/dev/pipes"
"""Where BuildKit shows a RUN its here-documents; in memory, and so never in a layer."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a RUN does: `env` is what it gets beside the image's, as `NAME=value`."""

    argv: list[str]
    env: list[str]
    words: Words
    mounts: tuple[Mount, ...] = ()
    script: Heredoc | None = None

    @asynccontextmanager
    async def mounted(
        self,
        host: Host,
        sources: Mapping[str, Source],
        secrets: Mapping[str, bytes],
        agents: Mapping[str, str],
    ) -> AsyncIterator[Mounted]:
        """Make what the command finds mounted, for as long as this is open.

        `sources` are the trees by the names in `from`. Raises NotFound for what is not there.
        """
        if not self.mounts and self.script is None:
            yield Mounted()
            return
        maker = MountMaker(host.caches, sources.__getitem__, secrets, agents)
        name = temporary_name()
        async with maker.mounted(self.mounts, host.files / name, host.memory / name) as made:
            if self.script is not None:
                place = host.files / name / "script"
                await in_thread(_write_script, str(place), self.script.content)
                made.mounts.append(HostMount(self.argv[0], str(place), read_only=True))
            yield made


def check_run(one: ins.Instruction) -> None:
    """Refuse what no RUN can be granted; raises DockerfileError."""
    if isinstance(one, ins.Run) and one.security not in ("", "sandbox"):
        raise DockerfileError(
            f"RUN --security={one.security}: a build's commands run in the sandbox only", one.line
        )


def plan_run(
    one: ins.Run, state: State, build_args: Mapping[str, str], sources: Mapping[str, Source]
) -> RunPlan:
    """Find what a RUN means; blocks, as the files it binds are hashed.

    Raises DockerfileError for a mount that cannot be read, NotFound for a missing source.
    """
    argv, script = _argv(one, state)
    own = state.configurator.variables()
    declared = sorted(f"{k}={v}" for k, v in state.args.items() if k not in own)
    proxies = sorted(
        f"{k}={v}" for k, v in build_args.items() if k in PREDEFINED and k not in state.args
    )
    shown = [f"|{len(declared)}", *declared, *argv] if declared or proxies else argv
    pairs = [
        # What `from` says was looked up when the stages were put in order.
        [(k, v if k == "from" else state.expand(v, one.line)) for k, v in mount.options]
        for mount in one.mounts
    ]
    mounts = parse_mounts(pairs, state.workdir, one.line)
    told = [_told(mount, sources) for mount in mounts]
    if script is not None:
        told.append(script.content)
    if one.network != "default":
        told.append(f"network {one.network}")
    hidden = f"sha256:{sha256(repr(told).encode()).hexdigest()}" if told else ""
    return RunPlan(argv, declared + proxies, Words(shown, hidden, runs=True), mounts, script)


def _told(mount: Mount, sources: Mapping[str, Source]) -> str:
    """Give what the outcome depends on: the options, and the content of what is bound."""
    if not isinstance(mount, BindMount):
        return repr(mount)
    source = sources[mount.from_]
    found = find(source, os.fsencode(mount.source))
    if found is None:
        raise NotFound(f"RUN --mount: stat {mount.source}: file does not exist")
    content = key(source, found[1], found[0].rpartition(b"/")[2], None)
    return repr((replace(mount, from_=""), content))


def _argv(one: ins.Run, state: State) -> tuple[list[str], Heredoc | None]:
    """Give RUN's argument list, and the here-document that is a program of its own.

    Other here-documents go to the shell, alone or with their command.
    """
    shell_form = state.configurator.shell_form
    if not one.heredocs or not one.command.by_shell:
        return shell_form(one.command), None
    text = one.command.args[0]
    if len(one.heredocs) == 1 and len(text.split()) == 1:
        script = one.heredocs[0]
        if script.content.startswith("#!"):
            return [f"{_SCRIPTS}/{script.name}"], script
        text = script.content
    else:
        text += "".join(f"\n{doc.content}{doc.name}" for doc in one.heredocs)
    return shell_form(ins.Command((text,), by_shell=True)), None


def _write_script(place: str, content: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(place, flags, 0o755), "w") as file:
        os.fchmod(file.fileno(), 0o755)
        file.write(content)
