"""Steps that make the container's root file system its root."""

from __future__ import annotations

import os
from contextlib import suppress

from lading.kernel import mounts
from lading.kernel.errors import Attempt
from lading.kernel.mountinfo import find, mountinfo
from lading.kernel.mounts import MountFlag, Propagation, UmountFlag
from lading.oci.rootfs import make_directory
from lading.oci.steps.base import Context, Step


class SetRootPropagation(Step, frozen=True):
    """Say how mounts spread between the host and the new mount namespace."""

    propagation: Propagation

    def describe(self) -> str:
        """Say how."""
        return f"make the mounts of the new namespace {self.propagation.value}"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Set it on all of them, or on the root alone."""
        mounts.set_propagation("/", self.propagation)


class MakeParentPrivate(Step, frozen=True):
    """Keep the mount that the root lies on from spreading: pivot_root wants it."""

    def describe(self) -> str:
        """Say so."""
        return "make the mount below the root private"

    def execute(self, ctx: Context) -> None:
        """Find it, and make it private if it is shared."""
        parent = find(os.path.realpath(ctx.rootfs), mountinfo())
        if parent is not None and parent.shared is not None:
            mounts.set_propagation(parent.mount_point, Propagation.PRIVATE)


class MountOverlay(Step, frozen=True):
    """Mount the container's layers as its root."""

    options: str
    directory: str
    flags: int

    def describe(self) -> str:
        """Count the layers."""
        layers = next((o for o in self.options.split(",") if o.startswith("lowerdir=")), "")
        return f"mount an overlay of {layers.count(':') + bool(layers)} layers as the root"

    def execute(self, ctx: Context) -> None:
        """Mount it from the directory that the layers' short names are relative to.

        The kernel takes one page of options: short names let more layers fit.
        """
        if self.directory:
            with Attempt("enter the directory of layers", self.directory):
                os.chdir(self.directory)
        mounts.mount("overlay", ctx.rootfs, "overlay", self.flags, self.options)
        _open_root(ctx)


class BindRoot(Step, frozen=True):
    """Make the root a mount of its own."""

    def describe(self) -> str:
        """Say so."""
        return "bind the root onto itself"

    def execute(self, ctx: Context) -> None:
        """Bind it, with what is mounted below it; what the host mounts there later stays out."""
        mounts.bind(ctx.rootfs, ctx.rootfs, recursive=True)
        mounts.set_propagation(ctx.rootfs, Propagation.PRIVATE)
        _open_root(ctx)


def _open_root(ctx: Context) -> None:
    with Attempt("open the root", ctx.rootfs):
        ctx.root = os.open(ctx.rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


class MakeWorkingDirectory(Step, frozen=True):
    """Make the working directory, if the root lacks it."""

    path: str

    def describe(self) -> str:
        """Say which."""
        return f"make the working directory {self.path} if it is missing"

    def execute(self, ctx: Context) -> None:
        """Look, and make what is missing (mode 0755)."""
        os.close(make_directory(ctx.root, self.path))


class PivotRoot(Step, frozen=True):
    """Make the container's root the root of the mount namespace, and let the host's go."""

    def describe(self) -> str:
        """Say so."""
        return "pivot_root into the root, and unmount the host's"

    def execute(self, ctx: Context) -> None:
        """Stack the old root on the new one, and detach it (pivot_root(2), NOTES)."""
        with Attempt("open", "/"):
            old = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with Attempt("enter", ctx.rootfs):
                os.fchdir(ctx.root)
            mounts.pivot_root(".", ".")
            with Attempt("enter", "the old root"):
                os.fchdir(old)
            mounts.set_propagation(".", Propagation.RSLAVE)
            mounts.umount(".", UmountFlag.DETACH)
            os.chdir("/")
        finally:
            os.close(old)


class MoveRoot(Step, frozen=True):
    """Move the container's root over the host's, where pivot_root cannot be (an initramfs)."""

    def describe(self) -> str:
        """Say so."""
        return "move the root over the host's and chroot into it"

    def execute(self, ctx: Context) -> None:
        """Detach the host's /proc and /sys first, through which the host could be reached."""
        for entry in reversed(mountinfo()):
            below = entry.mount_point.startswith(ctx.rootfs.rstrip("/") + "/")
            if entry.fstype in ("proc", "sysfs") and not below:
                with suppress(OSError):
                    mounts.umount(entry.mount_point, UmountFlag.DETACH)
        os.fchdir(ctx.root)
        mounts.mount(ctx.rootfs, "/", None, MountFlag.MOVE)
        with Attempt("chroot", ctx.rootfs):
            os.chroot(".")
            os.chdir("/")


class SpreadRoot(Step, frozen=True):
    """Say how mounts spread from the container's root."""

    propagation: Propagation

    def describe(self) -> str:
        """Say how."""
        return f"make the container's root {self.propagation.value}"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Set it."""
        mounts.set_propagation("/", self.propagation)


class ReadonlyRoot(Step, frozen=True):
    """Take writing to the root away."""

    def describe(self) -> str:
        """Say so."""
        return "make the root read-only"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Remount it, keeping its other flags."""
        mounts.remount_bind("/", mounts.current_flags("/") | MountFlag.RDONLY)
