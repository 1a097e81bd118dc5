"""The command exec: one more process in a container."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from lading.errors import InvalidParameter
from lading.oci import spec
from lading.oci.cli import console
from lading.oci.cli.output import write_pid
from lading.oci.cli.store import container_of
from lading.oci.execing import exec_process
from lading.oci.spec import LinuxCapabilities, Process, User

if TYPE_CHECKING:
    import argparse

    from lading.oci.managed import Container


def run_exec(options: argparse.Namespace) -> int:
    """Run it; gives its exit status unless it is detached."""
    container = container_of(options)
    process = _process(options, container)
    console.check(options.console_socket, wanted=process.terminal, detached=options.detach)
    with console.Foreground() as foreground:
        executed = exec_process(container, process, preserve_fds=options.preserve_fds)
        try:
            terminal = executed.terminal
            if terminal is not None and options.console_socket:
                console.hand_over(options.console_socket, terminal)
                terminal = None
            write_pid(options.pid_file, executed.pid)
            return 0 if options.detach else foreground.attend(executed.pidfd, terminal).status
        finally:
            os.close(executed.pidfd)


def _process(options: argparse.Namespace, container: Container) -> Process:
    """Read the process from its file, or change the container's own by the options."""
    if options.process:
        text = read_text(options.process)
        process = spec.decode_process(text, options.process)
        return replace(process, terminal=True) if options.tty else process
    arguments = options.args[1:] if options.args[:1] == ["--"] else options.args
    if not arguments:
        raise InvalidParameter("exec needs a command, or --process with a file")
    own = container.spec.process or Process(cwd="/")
    return Process(
        args=arguments,
        cwd=options.cwd or own.cwd,
        env=[*own.env, *options.env],
        terminal=options.tty,
        user=_user(options, own),
        capabilities=_capabilities(own, options.cap),
        rlimits=own.rlimits,
        no_new_privileges=own.no_new_privileges or options.no_new_privs,
        apparmor_profile=options.apparmor or own.apparmor_profile,
        selinux_label=options.process_label or own.selinux_label,
        oom_score_adj=own.oom_score_adj,
        scheduler=own.scheduler,
        io_priority=own.io_priority,
    )


def _user(options: argparse.Namespace, own: Process) -> User:
    if not options.user:
        return replace(own.user, additional_gids=own.user.additional_gids + options.additional_gids)
    uid, _, gid = options.user.partition(":")
    if not uid.isdigit() or (gid and not gid.isdigit()):
        raise InvalidParameter(f"--user {options.user}: numbers are needed, as 1000 or 1000:1000")
    return User(uid=int(uid), gid=int(gid or 0), additional_gids=options.additional_gids)


def _capabilities(own: Process, added: list[str]) -> LinuxCapabilities | None:
    sets = own.capabilities
    if not added:
        return sets
    sets = sets or LinuxCapabilities()
    return LinuxCapabilities(
        bounding=[*sets.bounding, *added],
        effective=[*sets.effective, *added],
        permitted=[*sets.permitted, *added],
        inheritable=sets.inheritable,
        ambient=sets.ambient,
    )


def read_text(path: str) -> bytes:
    """Read a file, or standard input for "-". Raises InvalidParameter when it cannot be read."""
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidParameter(f"cannot read {path}: {error.strerror}") from error
