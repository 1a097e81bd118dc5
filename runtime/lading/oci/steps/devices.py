"""Steps that fill /dev: nodes, links, and the files that hide others."""

from __future__ import annotations

import errno
import os
import stat

from lading.kernel import devices, mounts
from lading.kernel.errors import Attempt, KernelError
from lading.kernel.mounts import MountFlag
from lading.oci.rootfs import lookup, make_file, parent_of, through
from lading.oci.steps.base import Context, Step

_NULL_DEVICE = os.makedev(1, 3)


class MakeNode(Step, frozen=True):
    """Make a device node; `kind` is "c", "b", "u" or "p"."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int
    uid: int = 0
    gid: int = 0

    def describe(self) -> str:
        """Give what ls would show."""
        return f"make {self.path} {self.kind} {self.major}:{self.minor} mode {self.mode:04o}"

    def execute(self, ctx: Context) -> None:
        """Make it; a node that the root brings along stays."""
        with parent_of(ctx.root, self.path) as (directory, name):
            try:
                devices.make_node(
                    f"{through(directory)}/{name}",
                    self.kind,
                    self.major,
                    self.minor,
                    self.mode,
                    self.uid,
                    self.gid,
                )
            except KernelError as error:
                if error.errno != errno.EEXIST:
                    raise KernelError(error.errno or errno.EIO, "mknod", self.path) from error


class BindNode(Step, frozen=True):
    """Bind the host's device node: no nodes can be made in a user namespace."""

    path: str

    def describe(self) -> str:
        """Say which."""
        return f"bind the host's {self.path}"

    def execute(self, ctx: Context) -> None:
        """Bind it onto an empty file."""
        descriptor = make_file(ctx.root, self.path)
        try:
            mounts.bind(self.path, through(descriptor))
        finally:
            os.close(descriptor)


class MakeLink(Step, frozen=True):
    """Make a symbolic link in /dev."""

    path: str
    target: str
    replace: bool = False

    def describe(self) -> str:
        """Give it as ls would."""
        return f"link {self.path} → {self.target}"

    def execute(self, ctx: Context) -> None:
        """Make it; what is there already stays, unless it is to be replaced."""
        with parent_of(ctx.root, self.path) as (directory, name), Attempt("link", self.path):
            if self.replace:
                try:
                    os.unlink(name, dir_fd=directory)
                except FileNotFoundError:
                    pass
                except IsADirectoryError:
                    return
            try:
                os.symlink(self.target, name, dir_fd=directory)
            except FileExistsError:
                return


class HidePath(Step, frozen=True):
    """Hide a file behind the null device, or a directory behind an empty one."""

    path: str

    def describe(self) -> str:
        """Say which."""
        return f"hide {self.path}"

    def execute(self, ctx: Context) -> None:
        """Mount over it; what is not there needs no hiding."""
        descriptor = _find(ctx, self.path)
        if descriptor is None:
            return
        try:
            place = through(descriptor)
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                mounts.mount("tmpfs", place, "tmpfs", MountFlag.RDONLY, "nr_blocks=1,nr_inodes=1")
            else:
                mounts.bind(through(_null(ctx)), place)
        except KernelError as error:
            raise KernelError(error.errno or errno.EIO, "hide", self.path) from error
        finally:
            os.close(descriptor)


class ProtectPath(Step, frozen=True):
    """Make a path read-only, with what is mounted below it."""

    path: str

    def describe(self) -> str:
        """Say which."""
        return f"make {self.path} read-only"

    def execute(self, ctx: Context) -> None:
        """Bind it onto itself and remount that; what is not there needs no protection."""
        descriptor = _find(ctx, self.path)
        if descriptor is None:
            return
        try:
            place = through(descriptor)
            kept = mounts.current_flags(place)
            mounts.mount(place, place, None, MountFlag.BIND | MountFlag.REC)
        finally:
            os.close(descriptor)
        bound = lookup(ctx.root, self.path)
        try:
            mounts.remount_bind(through(bound), kept | MountFlag.RDONLY)
        finally:
            os.close(bound)


def _find(ctx: Context, path: str) -> int | None:
    try:
        return lookup(ctx.root, path)
    except KernelError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


def _null(ctx: Context) -> int:
    """Open the null device: the container's if it is the real one, else the host's."""
    if ctx.null >= 0:
        return ctx.null
    found = _find(ctx, "/dev/null")
    if found is not None and not _is_null(found):
        os.close(found)
        found = None
    if found is None:
        with Attempt("open", "/dev/null"):
            found = os.open("/dev/null", os.O_PATH | os.O_CLOEXEC)
    ctx.null = found
    return found


def _is_null(descriptor: int) -> bool:
    facts = os.fstat(descriptor)
    return stat.S_ISCHR(facts.st_mode) and facts.st_rdev == _NULL_DEVICE
