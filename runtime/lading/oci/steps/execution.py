"""The last steps: where the program runs, which file it is, and execve(2)."""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import NoReturn

from lading.kernel.process import close_range
from lading.oci.channel import Starting
from lading.oci.steps.base import Context, Refused, Step

_PASSWD = "/etc/passwd"  # noqa: S105 (a path, not a secret)
_LARGEST_PASSWD = 1 << 20
_EXEC_FAILED = 255
"""The exit status of a container whose program the kernel would not execute, as runc has it."""


class EnterDirectory(Step, frozen=True):
    """Enter the working directory.

    The first try is root's; `again` is the user's, for where only that one may go.
    """

    path: str
    again: bool = False

    def describe(self) -> str:
        """Say which, and as whom."""
        return f"enter {self.path}{' as the user' if self.again else ''}"

    def execute(self, ctx: Context) -> None:
        """Enter it; what root may not is left to the user's try."""
        if self.again and ctx.entered:
            return
        try:
            os.chdir(self.path)
            ctx.entered = True
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM) and not self.again:
                return
            reason = os.strerror(error.errno or 0).lower()
            raise Refused(
                f'chdir to cwd ("{self.path}") set in config.json failed: {reason}',
                error.errno or 0,
            ) from error


class CloseDescriptors(Step, frozen=True):
    """Let no descriptor of the runtime's through the execve."""

    first: int

    def describe(self) -> str:
        """Say from which on."""
        return f"close descriptors from {self.first} on at the execve"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Mark them; those below are the container's."""
        close_range(self.first, cloexec=True)
        for descriptor in range(3, self.first):
            os.set_inheritable(descriptor, True)


class SealImports(Step, frozen=True):
    """Let no Python module be loaded from now on.

    The import path would lead into the container's root, and its code would run with the
    runtime's privileges.
    """

    def describe(self) -> str:
        """Say so."""
        return "stop loading modules"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Forget every finder; what is loaded stays. Nobody is left to ask what finders cached."""
        sys.meta_path.clear()
        sys.path_hooks.clear()
        sys.path.clear()


class PrepareEnvironment(Step, frozen=True):
    """Set the environment; HOME is the user's unless it is given."""

    entries: tuple[tuple[str, str], ...]
    uid: int

    def describe(self) -> str:
        """Count the entries."""
        return f"set {len(self.entries)} environment variables"

    def execute(self, ctx: Context) -> None:
        """Set it, with HOME looked up where it is missing or empty."""
        environment = dict(self.entries)
        if not environment.get("HOME"):
            environment["HOME"] = _home_of(self.uid)
        ctx.environment = environment


def _home_of(uid: int) -> str:
    """Look the home directory up in the container's passwd(5); "/" without an entry."""
    wanted = str(uid).encode()
    for line in _read_passwd().split(b"\n"):
        fields = line.split(b":")
        if len(fields) >= 6 and fields[2] == wanted:
            return os.fsdecode(fields[5]) or "/"
    return "/"


def _read_passwd() -> bytes:
    """Read the file if it is one: a fifo or a device in its place shall not stop us."""
    try:
        descriptor = os.open(_PASSWD, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        return os.read(descriptor, _LARGEST_PASSWD)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


class FindExecutable(Step, frozen=True):
    """Find the program: by its path, or by its name in the container's PATH."""

    name_given: str

    def describe(self) -> str:
        """Say which."""
        return f"look for the program {self.name_given}"

    def execute(self, ctx: Context) -> None:
        """Look, as the user; failures have runc's words, which clients match on."""
        ctx.executable = find_executable(self.name_given, ctx.environment.get("PATH", ""))


def find_executable(name: str, search_path: str) -> str:
    """Give the path of the program *name*. Raises Refused with ENOENT, EACCES or what stat says."""
    if "/" in name:
        number, reason = _why_not(name)
        if number:
            raise Refused(f'exec: "{name}": {reason}', number)
        return name
    if name:
        for directory in search_path.split(":"):
            path = os.path.join(directory or ".", name)
            if not _why_not(path)[0]:
                return path
    raise Refused(f'exec: "{name}": executable file not found in $PATH', errno.ENOENT)


def _why_not(path: str) -> tuple[int, str]:
    """Give (0, "") for a file that may be executed, else the errno and runc's words for it."""
    try:
        facts = os.stat(path)
    except OSError as error:
        number = error.errno or errno.EIO
        return number, f"stat {path}: {os.strerror(number).lower()}"
    if stat.S_ISDIR(facts.st_mode):
        return errno.EACCES, "is a directory: permission denied"
    if os.access(path, os.X_OK, effective_ids=True):
        return 0, ""
    return errno.EACCES, "permission denied"


class Execute(Step, frozen=True):
    """Become the program."""

    arguments: tuple[str, ...]

    def describe(self) -> str:
        """Give the command line."""
        return f"execute {' '.join(self.arguments)}"

    def execute(self, ctx: Context) -> NoReturn:
        """Call execve(2); a failure is the container's: on its stderr, with runc's status."""
        if ctx.channel is not None:
            ctx.channel.send(Starting(timings=ctx.timings))
        try:
            os.execve(ctx.executable, self.arguments, ctx.environment)  # noqa: S606
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            os.write(2, f"exec {ctx.executable}: {reason}\n".encode())
            os._exit(_EXEC_FAILED)
