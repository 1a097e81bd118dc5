"""Steps that run hooks: programs that get the container's state on their standard input.

Source: OCI runtime-spec 1.2, config.md, "POSIX-platform Hooks".
"""

from __future__ import annotations

import os
import select
import signal
from typing import TYPE_CHECKING, Any

import msgspec

from lading.kernel.process import pidfd_open, pidfd_send_signal, wait_pidfd
from lading.oci.channel import AwaitHooks, GoOn
from lading.oci.spec import Hook
from lading.oci.steps.base import Context, Refused, Step

if TYPE_CHECKING:
    from collections.abc import Iterable

_LARGEST_REPORT = 4096  # bytes of a failing hook's stderr that are told


class RunHooks(Step, frozen=True):
    """Run the hooks of one point of the container's life, one after the other."""

    point: str
    hooks: tuple[Hook, ...]

    def describe(self) -> str:
        """Name the point and the programs."""
        return f"run the {self.point} hooks {', '.join(hook.path for hook in self.hooks)}"

    def execute(self, ctx: Context) -> None:
        """Run them; the first that fails ends it."""
        ctx.state.pid = ctx.pid or ctx.host_pid
        if self.point == "startContainer":
            ctx.state.status = "created"
        run(self.point, self.hooks, ctx.state.document())


class LearnPid(Step, frozen=True):
    """Learn this process's pid on the host, which the hooks are told."""

    def describe(self) -> str:
        """Say so."""
        return "learn the host's pid of this process"

    def execute(self, ctx: Context) -> None:
        """Ask the host's /proc: getpid(2) tells the container's pid."""
        ctx.host_pid = int(os.readlink("/proc/self"))


class AwaitRuntimeHooks(Step, frozen=True):
    """Wait while the runtime runs its hooks on the mounted, but not yet entered root."""

    def describe(self) -> str:
        """Say so."""
        return "let the runtime run its hooks"

    def execute(self, ctx: Context) -> None:
        """Tell it, and wait for its word."""
        channel = ctx.link()
        channel.send(AwaitHooks())
        message, _ = channel.receive()
        if not isinstance(message, GoOn):
            os._exit(1)  # the runtime is gone, and with it whoever would be told


def run(point: str, hooks: Iterable[Hook], state: dict[str, Any]) -> None:
    """Run *hooks* with *state* on their standard input. Raises Refused when one fails."""
    text = msgspec.json.encode(state)
    for hook in hooks:
        _run_one(point, hook, text)


def _run_one(point: str, hook: Hook, state: bytes) -> None:
    stdin = os.memfd_create("lading-state")
    stderr = os.memfd_create("lading-hook")
    try:
        os.write(stdin, state)
        os.lseek(stdin, 0, os.SEEK_SET)
        pid = _spawn(point, hook, stdin, stderr)
        status = _wait(pid, hook.timeout)
        said = os.pread(stderr, _LARGEST_REPORT, 0).decode(errors="replace").strip()
    finally:
        os.close(stdin)
        os.close(stderr)
    if status is None:
        raise Refused(f"{point} hook {hook.path} took longer than {hook.timeout} s", 0)
    if status:
        because = f": {said}" if said else ""
        raise Refused(f"{point} hook {hook.path} ended with status {status}{because}", 0)


def _spawn(point: str, hook: Hook, stdin: int, stderr: int) -> int:
    actions = [
        (os.POSIX_SPAWN_DUP2, stdin, 0),
        (os.POSIX_SPAWN_DUP2, stderr, 1),
        (os.POSIX_SPAWN_DUP2, stderr, 2),
    ]
    try:
        return os.posix_spawn(
            hook.path,
            hook.args or [hook.path],
            dict(entry.partition("=")[::2] for entry in hook.env),
            file_actions=actions,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise Refused(f"{point} hook {hook.path}: {reason}", error.errno or 0) from error


def _wait(pid: int, timeout: int | None) -> int | None:
    """Reap the hook; None if it had to be killed for its timeout (in seconds)."""
    pidfd = pidfd_open(pid)
    try:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        in_time = bool(poller.poll(None if timeout is None else timeout * 1000))
        if not in_time:
            pidfd_send_signal(pidfd, signal.SIGKILL)
        ended = wait_pidfd(pidfd)
    finally:
        os.close(pidfd)
    return ended.status if in_time and ended is not None else None
