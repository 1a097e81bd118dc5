"""Steps that connect the process to its terminal, or to the given descriptors."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from lading.kernel import mounts, pty
from lading.kernel.errors import Attempt
from lading.oci.channel import Terminal
from lading.oci.rootfs import lookup, make_file, through
from lading.oci.steps.base import Context, Refused, Step

_PTMX = os.makedev(5, 2)
_NULL_DEVICE = os.makedev(1, 3)


class OpenTerminal(Step, frozen=True):
    """Open a pty in the container's devpts and send its master side to the runtime."""

    rows: int
    columns: int

    def describe(self) -> str:
        """Say so, and its size."""
        size = f" of {self.columns}x{self.rows}" if self.rows or self.columns else ""
        return f"open a terminal{size} in /dev/pts"

    def execute(self, ctx: Context) -> None:
        """Open both sides; only the master travels."""
        master = open_container_master(ctx.root)
        try:
            ctx.terminal = pty.open_slave(master)
            if self.rows or self.columns:
                pty.set_size(master, self.rows, self.columns)
            ctx.link().send(Terminal(), master)
        finally:
            os.close(master)


def open_container_master(root: int) -> int:
    """Open a new pty of the devpts below *root*; what poses as its ptmx is refused."""
    multiplexer = lookup(root, "/dev/pts/ptmx")
    try:
        facts = os.fstat(multiplexer)
        if not stat.S_ISCHR(facts.st_mode) or facts.st_rdev != _PTMX:
            raise Refused("the container's /dev/pts/ptmx is not a terminal multiplexer", 0)
        return pty.open_master(through(multiplexer))
    finally:
        os.close(multiplexer)


class OpenContainerTerminal(Step, frozen=True):
    """Open a pty in the devpts of a running container, from outside."""

    pid: int
    rows: int
    columns: int

    def describe(self) -> str:
        """Say where, and its size."""
        size = f" of {self.columns}x{self.rows}" if self.rows or self.columns else ""
        return f"open a terminal{size} in /dev/pts of process {self.pid}"

    def execute(self, ctx: Context) -> None:
        """Open both sides; the process inherits the one, the runtime keeps the master."""
        path = f"/proc/{self.pid}/root"
        with Attempt("open", path):
            root = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            ctx.master = open_container_master(root)
        finally:
            os.close(root)
        ctx.terminal = pty.open_slave(ctx.master)
        if self.rows or self.columns:
            pty.set_size(ctx.master, self.rows, self.columns)

    def undo(self, ctx: Context) -> None:
        """Close the master."""
        if ctx.master >= 0:
            os.close(ctx.master)
            ctx.master = -1


class BindConsole(Step, frozen=True):
    """Show the terminal as /dev/console."""

    def describe(self) -> str:
        """Say so."""
        return "bind the terminal on /dev/console"

    def execute(self, ctx: Context) -> None:
        """Bind the process's side of it."""
        console = make_file(ctx.root, "/dev/console")
        try:
            mounts.mount(through(ctx.terminal), through(console), None, mounts.MountFlag.BIND)
        finally:
            os.close(console)


class StartSession(Step, frozen=True):
    """Lead a session, without a terminal yet."""

    def describe(self) -> str:
        """Say so."""
        return "start a session"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Call setsid(2)."""
        with Attempt("setsid"):
            os.setsid()


class ConnectTerminal(Step, frozen=True):
    """Make the terminal the controlling one, and 0, 1 and 2; it becomes the user's."""

    uid: int

    def describe(self) -> str:
        """Say whose."""
        return f"take the terminal as 0, 1 and 2, owned by user {self.uid}"

    def execute(self, ctx: Context) -> None:
        """Take it."""
        pty.set_controlling(ctx.terminal)
        with Attempt("give the terminal to user", self.uid):
            os.fchown(ctx.terminal, self.uid, -1)
        _become((ctx.terminal,) * 3)


class ConnectStdio(Step, frozen=True):
    """Make the given descriptors 0, 1 and 2; pipes become the user's, who may open them again."""

    uid: int

    def describe(self) -> str:
        """Say whose."""
        return f"take the given descriptors as 0, 1 and 2, owned by user {self.uid}"

    def execute(self, ctx: Context) -> None:
        """Take them; what cannot change its owner (the null device, a socket) keeps it."""
        _become(ctx.stdio)
        for descriptor in (0, 1, 2):
            facts = os.fstat(descriptor)
            if stat.S_ISCHR(facts.st_mode) and facts.st_rdev == _NULL_DEVICE:
                _reopen_null(descriptor)
            elif facts.st_uid != self.uid:
                with suppress(OSError):
                    os.fchown(descriptor, self.uid, -1)


def _reopen_null(descriptor: int) -> None:
    """Exchange the host's null device for the container's own, if that is one."""
    try:
        own = os.open("/dev/null", os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    facts = os.fstat(own)
    if stat.S_ISCHR(facts.st_mode) and facts.st_rdev == _NULL_DEVICE:
        os.set_blocking(own, True)
        os.dup2(own, descriptor, inheritable=True)
    os.close(own)


def _become(sources: tuple[int, int, int]) -> None:
    """Duplicate *sources* to 0, 1 and 2; those among them that are low already survive it."""
    with Attempt("connect the standard streams"):
        safe = [os.dup(source) if source < 3 else source for source in sources]
        for number, source in enumerate(safe):
            os.dup2(source, number, inheritable=True)
            if source != sources[number]:
                os.close(source)
