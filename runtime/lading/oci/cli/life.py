"""Commands of a container's life: create, run, start, state, kill, delete."""

from __future__ import annotations

import signal as signals
from pathlib import Path
from typing import TYPE_CHECKING

from lading.errors import InvalidParameter, NotFound
from lading.oci.cli.output import print_json, write_pid
from lading.oci.cli.store import container_of, directory_of, make_root

if TYPE_CHECKING:
    import argparse

    from lading.oci.creation import Created
    from lading.oci.spec import Spec


def run_create(options: argparse.Namespace) -> int:
    """Create a container; this command ends, and `start` finds it by its fifo."""
    from lading.oci import spec
    from lading.oci.cli import console

    config = spec.load(Path(options.bundle))
    wants_terminal = config.process is not None and config.process.terminal
    console.check(options.console_socket, wanted=wants_terminal, detached=True)
    created = _create(options, config, exec_fifo=True)
    try:
        terminal = created.ready().terminal
        if terminal is not None:
            console.hand_over(options.console_socket, terminal)
        write_pid(options.pid_file, created.pid)
    except BaseException:
        created.abort()
        raise
    created.close()
    return 0


def run_run(options: argparse.Namespace) -> int:
    """Create and start a container; gives its exit status unless it is detached."""
    from lading.oci import spec
    from lading.oci.cli import console

    config = spec.load(Path(options.bundle))
    wants_terminal = config.process is not None and config.process.terminal
    console.check(options.console_socket, wanted=wants_terminal, detached=options.detach)
    with console.Foreground() as foreground:
        created = _create(options, config, exec_fifo=False)
        try:
            terminal = created.ready().terminal
            if terminal is not None and options.console_socket:
                console.hand_over(options.console_socket, terminal)
                terminal = None
            write_pid(options.pid_file, created.pid)
            created.start()
        except BaseException:
            created.abort()
            raise
        if options.detach:
            created.close()
            return 0
        try:
            ended = foreground.attend(created.pidfd, terminal)
        finally:
            if not options.keep:
                created.container.delete(force=True)
            created.close()
    return ended.status


def _create(options: argparse.Namespace, config: Spec, *, exec_fifo: bool) -> Created:
    from lading.oci.creation import create

    make_root(options)
    return create(
        Path(options.bundle),
        config,
        container_id=options.id,
        state_dir=directory_of(options),
        exec_fifo=exec_fifo,
        pivot=not options.no_pivot,
        preserve_fds=options.preserve_fds,
        keep_config=True,
    )


def run_start(options: argparse.Namespace) -> int:
    """Let a created container execute its program."""
    container_of(options).start()
    return 0


def run_state(options: argparse.Namespace) -> int:
    """Print the state."""
    container = container_of(options)
    document = container.state().document()
    document.setdefault("pid", 0)
    print_json({**document, "created": container.record.created})
    return 0


def run_kill(options: argparse.Namespace) -> int:
    """Send a signal."""
    container_of(options).kill(parse_signal(options.signal), everyone=options.all)
    return 0


def parse_signal(text: str) -> int:
    """Read a signal's name, with or without SIG, or its number. Raises InvalidParameter."""
    if text.isdigit() and 0 < int(text) < signals.NSIG:
        return int(text)
    name = text.upper()
    try:
        return signals.Signals[name if name.startswith("SIG") else f"SIG{name}"]
    except KeyError:
        raise InvalidParameter(f"unknown signal {text!r}; TERM or 15 would be one") from None


def run_delete(options: argparse.Namespace) -> int:
    """Remove a container; with --force one that is not there is fine."""
    try:
        container = container_of(options)
    except NotFound:
        if options.force:
            return 0
        raise
    container.delete(force=options.force)
    return 0
