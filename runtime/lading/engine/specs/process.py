"""The process of a container, or of an exec in it, as OCI describes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lading.engine.model import Container, ExecConfig, Ulimit
from lading.engine.specs.security import (
    UNCONFINED,
    capability_names,
    capability_sets,
    parse_security_options,
)
from lading.engine.users import Identity
from lading.oci import defaults
from lading.oci.spec import Box, POSIXRlimit, Process, User

INIT_PATH = "/sbin/docker-init"
"""Where `--init` finds its program inside the container, as in Docker."""

_UNLIMITED = 2**64 - 1


def container_process(
    record: Container,
    identity: Identity,
    *,
    no_new_privileges: bool = False,
    ulimits: dict[str, tuple[int, int]] | None = None,
    init: bool = False,
    variables: Sequence[str] = (),
) -> Process:
    """Give a container's first process; the flags and ulimits are the daemon's defaults."""
    config, host = record.config, record.host_config
    options = parse_security_options(host.security_opt)
    words = [record.path, *record.args]
    names = capability_names(host, defaults.CAPABILITIES, defaults.all_capabilities())
    return Process(
        cwd=config.working_dir or "/",
        args=[INIT_PATH, "--", *words] if init else words,
        env=environment(record, tty=config.tty, identity=identity, before=variables),
        terminal=config.tty,
        console_size=_console_size(host.console_size) if config.tty else None,
        user=_user(identity),
        capabilities=capability_sets(names, uid=identity.uid),
        rlimits=_rlimits(host.ulimits, ulimits or {}),
        no_new_privileges=options.no_new_privileges or no_new_privileges,
        apparmor_profile=confinement(record),
        oom_score_adj=host.oom_score_adj,
    )


def confinement(record: Container) -> str:
    """Give the profile for a process; none where it would be `unconfined` anyway."""
    return "" if record.app_armor_profile == UNCONFINED else record.app_armor_profile


def exec_process(record: Container, config: ExecConfig, identity: Identity) -> Process:
    """Give a further process of a container: with `privileged` it has every capability."""
    host = record.host_config
    options = parse_security_options(host.security_opt)
    everything = defaults.all_capabilities()
    if config.privileged:
        names = everything
    else:
        names = capability_names(host, defaults.CAPABILITIES, everything)
    return Process(
        cwd=config.working_dir or record.config.working_dir or "/",
        args=list(config.cmd or ()),
        env=environment(record, tty=config.tty, identity=identity, extra=config.env or ()),
        terminal=config.tty,
        console_size=_console_size(config.console_size) if config.tty else None,
        user=_user(identity),
        capabilities=capability_sets(names, uid=identity.uid),
        no_new_privileges=options.no_new_privileges,
        apparmor_profile=confinement(record),
        oom_score_adj=host.oom_score_adj,
    )


def environment(
    record: Container,
    *,
    tty: bool,
    identity: Identity,
    before: Sequence[str] = (),
    extra: Sequence[str] = (),
) -> list[str]:
    """Put an environment together: PATH, HOSTNAME, TERM, `before`, the container's, `extra`, HOME.

    A variable without `=` removes one that stands before it.
    """
    base = [f"PATH={defaults.PATH}", f"HOSTNAME={record.config.hostname}"]
    if tty:
        base.append("TERM=xterm")
    found = {variable.partition("=")[0]: variable for variable in base}
    for variable in (*before, *(record.config.env or ()), *extra):
        name, equals, _ = variable.partition("=")
        if equals:
            found[name] = variable
        else:
            found.pop(name, None)
    found.setdefault("HOME", f"HOME={identity.home}")
    found.pop("", None)
    return list(found.values())


def _user(identity: Identity) -> User:
    """Give the user; the primary group is an additional one, too, so that it cannot be shed."""
    groups = dict.fromkeys((identity.gid, *identity.groups))
    return User(uid=identity.uid, gid=identity.gid, additional_gids=list(groups))


def _console_size(size: Sequence[int] | None) -> Box | None:
    if not size or not any(size):
        return None
    return Box(height=size[0], width=size[1])


def _rlimits(
    ulimits: Iterable[Ulimit] | None, daemon: dict[str, tuple[int, int]]
) -> list[POSIXRlimit]:
    limits = {name: (soft, hard) for name, (soft, hard) in daemon.items()}
    limits.update({each.name: (each.soft, each.hard) for each in ulimits or ()})
    return [
        POSIXRlimit(
            type=f"RLIMIT_{name.upper()}",
            soft=_UNLIMITED if soft < 0 else soft,
            hard=_UNLIMITED if hard < 0 else hard,
        )
        for name, (soft, hard) in limits.items()
    ]
