"""Steps by which the runtime and the container's process wait for each other."""

from __future__ import annotations

import os

from lading.kernel.errors import Attempt
from lading.oci.channel import GoOn, Ready, Start
from lading.oci.steps.base import Context, Step

START_FIFO = "exec.fifo"
"""The fifo in the state directory that a created container waits at, as runc's does."""

_GONE = 1  # the exit status of a process whose runtime has gone before the start


class AwaitRuntime(Step, frozen=True):
    """Wait until the runtime has done what only it may: id maps, cgroup, limits."""

    def describe(self) -> str:
        """Say so."""
        return "wait for the runtime to map ids and set limits"

    def execute(self, ctx: Context) -> None:
        """Wait for the runtime's word."""
        message, _ = ctx.link().receive()
        if not isinstance(message, GoOn):
            os._exit(_GONE)


class ReportReady(Step, frozen=True):
    """Tell the runtime that only the start is left."""

    def describe(self) -> str:
        """Say so."""
        return "report that the container is created"

    def execute(self, ctx: Context) -> None:
        """Send the timings so far."""
        ctx.link().send(Ready(timings=ctx.timings))
        ctx.timings = []


class AwaitStart(Step, frozen=True):
    """Wait for the runtime that made the container to say start."""

    def describe(self) -> str:
        """Say so."""
        return "wait for the start"

    def execute(self, ctx: Context) -> None:
        """Wait; a runtime that goes away takes the container along."""
        message, _ = ctx.link().receive()
        if not isinstance(message, Start):
            os._exit(_GONE)


class MakeStartFifo(Step, frozen=True):
    """Make the fifo by which another process says start."""

    def describe(self) -> str:
        """Say so."""
        return f"make {START_FIFO} in the state directory"

    def execute(self, ctx: Context) -> None:
        """Make it, open to whoever the container's process will be by then."""
        path = os.path.join(ctx.directory, START_FIFO)
        with Attempt("make fifo", path):
            os.mkfifo(path)
            os.chmod(path, 0o622)
            flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
            ctx.start_directory = os.open(ctx.directory, flags)

    def undo(self, ctx: Context) -> None:
        """Remove it."""
        os.unlink(os.path.join(ctx.directory, START_FIFO))


class AwaitStartFifo(Step, frozen=True):
    """Wait until some process opens the fifo to read: that is the start."""

    def describe(self) -> str:
        """Say so."""
        return f"wait for the start at {START_FIFO}"

    def execute(self, ctx: Context) -> None:
        """Hang up on the creator, then wait; the fifo's end tells the starter of the execve."""
        ctx.link().close()
        ctx.channel = None
        with Attempt("open", START_FIFO):
            flags = os.O_WRONLY | os.O_CLOEXEC
            fifo = os.open(START_FIFO, flags, dir_fd=ctx.start_directory)
            os.write(fifo, b"0")
        ctx.fifo = fifo
