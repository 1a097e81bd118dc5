"""Steps that mount into the container's root: file systems, binds, cgroups."""

from __future__ import annotations

import errno
import os
import signal
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lading.kernel import mounts
from lading.kernel.errors import Attempt, KernelError
from lading.kernel.mounts import MountAttr, MountFlag
from lading.kernel.namespaces import CloneFlag, Namespace, clone3, path_of, write_id_maps
from lading.kernel.process import pidfd_send_signal, wait_pidfd
from lading.oci.mount_options import Options
from lading.oci.overlays import overlay_tree
from lading.oci.rootfs import lookup, make_directory, make_file, through
from lading.oci.steps.base import Context, Refused, Step
from lading.oci.steps.copyup import mount_with_copy
from lading.oci.steps.namespaces import IdMap

if TYPE_CHECKING:
    from collections.abc import Iterator

_BIND_ONLY = MountFlag.BIND | MountFlag.REC | MountFlag.REMOUNT


@contextmanager
def target(ctx: Context, destination: str, *, is_file: bool = False) -> Iterator[str]:
    """Give a path that names *destination* inside the root; what is missing of it is made."""
    make = make_file if is_file else make_directory
    descriptor = make(ctx.root, destination)
    try:
        yield through(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def mounted(ctx: Context, destination: str) -> Iterator[str]:
    """Give a path that names what is mounted at *destination* by now."""
    descriptor = lookup(ctx.root, destination)
    try:
        yield through(descriptor)
    finally:
        os.close(descriptor)


def _spread(ctx: Context, destination: str, options: Options) -> None:
    """Set the propagation, and what holds for all mounts below, too."""
    if not (options.propagations or options.recursive_set or options.recursive_clear):
        return
    with mounted(ctx, destination) as path:
        for propagation in options.propagations:
            mounts.set_propagation(path, propagation)
        if (options.recursive_set, options.recursive_clear) == (MountAttr.RDONLY, 0):
            mounts.set_readonly_recursive(path)
        elif options.recursive_set or options.recursive_clear:
            mounts.mount_setattr(
                path,
                set_attributes=options.recursive_set,
                clear=options.recursive_clear,
                recursive=True,
            )


class MountFileSystem(Step, frozen=True):
    """Mount a new instance of a file system: proc, sysfs, tmpfs, devpts, mqueue …"""

    destination: str
    fstype: str
    source: str
    options: Options

    def describe(self) -> str:
        """Say what, where and how."""
        with_data = f" ({self.options.data})" if self.options.data else ""
        readonly = " read-only" if self.options.readonly else ""
        return f"mount {self.fstype} on {self.destination}{readonly}{with_data}"

    def execute(self, ctx: Context) -> None:
        """Mount it; with tmpcopyup what was at the destination is copied into it."""
        flags, data = self.options.flags, self.options.data or None
        with target(ctx, self.destination) as path:
            try:
                if self.options.copy_up:
                    mount_with_copy(path, self.source, flags, data)
                else:
                    mounts.mount(self.source or None, path, self.fstype, flags, data)
            except KernelError as error:
                raise _at(error, f"mount {self.fstype} on", self.destination) from error
        _spread(ctx, self.destination, self.options)


class BindMount(Step, frozen=True):
    """Bind a file or directory of the host into the container.

    `opened` tells that the runtime has opened the source as a detached mount: because the
    process, in its user namespace, may not reach it, or to map its ids.
    """

    source: str
    destination: str
    options: Options
    opened: bool = False

    def describe(self) -> str:
        """Say what, where and how."""
        readonly = " read-only" if self.options.readonly else ""
        mapped = ", ids mapped" if self.options.id_map else ""
        return f"bind {self.source} on {self.destination}{readonly}{mapped}"

    def execute(self, ctx: Context) -> None:
        """Bind it; flags take a remount of their own."""
        tree = ctx.trees.get(self.destination) if self.opened else None
        source = self.source if tree is None else through(tree)
        try:
            is_file = not _is_directory(source)
            with target(ctx, self.destination, is_file=is_file) as path:
                _refuse_proc(ctx, path, self.destination)
                if tree is None:
                    mounts.bind(source, path, recursive=bool(self.options.flags & MountFlag.REC))
                else:
                    mounts.move_mount(tree, _inside(path))
        except KernelError as error:
            raise _at(error, f"bind {self.source} on", self.destination) from error
        wanted = MountFlag(self.options.flags) & ~_BIND_ONLY
        if wanted:
            with mounted(ctx, self.destination) as path:
                mounts.remount_bind(path, wanted)
        _spread(ctx, self.destination, self.options)


class MountImage(Step, frozen=True):
    """Mount an image's layers, or a subpath of them, read-only into the container's root.

    `directory` is what the layers' short names are relative to.
    """

    destination: str
    options: Options
    directory: str
    subpath: str = ""

    def describe(self) -> str:
        """Say what, and where."""
        part = f"{self.subpath} of " if self.subpath else ""
        return f"mount {part}an image on {self.destination} read-only"

    def execute(self, ctx: Context) -> None:
        """Mount it elsewhere, and move what is wanted of it."""
        tree = overlay_tree(self.directory, self.options.data, self.subpath)
        try:
            is_file = not stat.S_ISDIR(os.fstat(tree).st_mode)
            with target(ctx, self.destination, is_file=is_file) as path:
                _refuse_proc(ctx, path, self.destination)
                mounts.move_mount(tree, _inside(path))
        except KernelError as error:
            raise _at(error, "mount an image on", self.destination) from error
        finally:
            os.close(tree)
        _spread(ctx, self.destination, self.options)


def _is_directory(source: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(source).st_mode)
    except FileNotFoundError:
        raise Refused(f"bind source path does not exist: {source}", errno.ENOENT) from None


def _inside(path: str) -> int:
    """Give the descriptor number that a path of `through` carries."""
    return int(path.rpartition("/")[2])


_PROC_FILES = frozenset(
    (
        "/proc/cpuinfo",
        "/proc/diskstats",
        "/proc/loadavg",
        "/proc/meminfo",
        "/proc/net/dev",
        "/proc/slabinfo",
        "/proc/stat",
        "/proc/swaps",
        "/proc/uptime",
        "/proc/sys/crypto/fips_enabled",
        "/proc/sys/kernel/ns_last_pid",
    )
)
"""Files of /proc that may be replaced, as LXCFS does; others there could fool the runtime."""


def _refuse_proc(ctx: Context, path: str, destination: str) -> None:
    place = os.readlink(path).removeprefix(ctx.rootfs.rstrip("/"))
    if place.startswith("/proc/") and place not in _PROC_FILES:
        raise Refused(f'"{destination}" cannot be mounted because it is inside /proc', errno.EINVAL)


class OpenMountSource(Step, frozen=True):
    """Open the source of a bind as a detached mount, before the process is in its namespaces.

    With *uids* and *gids* it is an id-mapped mount: files that belong to an id inside appear as
    those of the id outside.
    """

    source: str
    destination: str
    recursive: bool
    uids: IdMap = ()
    gids: IdMap = ()
    map_recursively: bool = False

    def describe(self) -> str:
        """Say which."""
        mapped = ", with ids mapped" if self.uids else ""
        return f"open {self.source} to be mounted on {self.destination}{mapped}"

    def execute(self, ctx: Context) -> None:
        """Clone the mount; the process attaches it."""
        tree = mounts.open_tree(self.source, recursive=self.recursive)
        ctx.trees[self.destination] = tree
        if self.uids:
            with user_namespace(self.uids, self.gids) as descriptor:
                mounts.mount_setattr(tree, userns_fd=descriptor, recursive=self.map_recursively)

    def undo(self, ctx: Context) -> None:
        """Let the detached mount go."""
        descriptor = ctx.trees.pop(self.destination, None)
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def user_namespace(uids: IdMap, gids: IdMap) -> Iterator[int]:
    """Give a descriptor of a user namespace with these maps; a helper process holds it."""
    pid, pidfd = clone3(CloneFlag.NEWUSER)
    if pid == 0:
        while True:
            signal.pause()
    descriptor = -1
    try:
        write_id_maps(pid, uids, gids)
        path = path_of(pid, Namespace.USER)
        with Attempt("open namespace", path):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        yield descriptor
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        pidfd_send_signal(pidfd, signal.SIGKILL)
        wait_pidfd(pidfd)
        os.close(pidfd)


class MountCgroupsV2(Step, frozen=True):
    """Mount cgroup2: the container's own part of it, or the host's without a cgroup namespace."""

    destination: str
    options: Options
    host: str

    def describe(self) -> str:
        """Say where."""
        readonly = " read-only" if self.options.readonly else ""
        return f"mount cgroup2 on {self.destination}{readonly}"

    def execute(self, ctx: Context) -> None:
        """Mount it; a user namespace without a cgroup namespace may only bind the host's."""
        with target(ctx, self.destination) as path:
            try:
                mounts.mount(
                    "cgroup", path, "cgroup2", self.options.flags, self.options.data or None
                )
            except KernelError as error:
                if error.errno not in (errno.EPERM, errno.EBUSY) or ctx.cgroup is None:
                    raise _at(error, "mount cgroup2 on", self.destination) from error
                mounts.bind(self.host + ctx.cgroup.path, path)
                with mounted(ctx, self.destination) as bound:
                    mounts.remount_bind(bound, self.options.flags)
        _spread(ctx, self.destination, self.options)


class MountCgroupsV1(Step, frozen=True):
    """Lay out the v1 hierarchies below a tmpfs, as the host has them.

    `hierarchies` gives for each (host mount point, its controllers). Without a cgroup namespace
    each shows the container's cgroup by a bind mount.
    """

    destination: str
    options: Options
    hierarchies: tuple[tuple[str, tuple[str, ...]], ...]
    own_namespace: bool

    def describe(self) -> str:
        """Say where, and how many."""
        readonly = " read-only" if self.options.readonly else ""
        count = len(self.hierarchies)
        return f"mount {count} cgroup hierarchies on {self.destination}{readonly}"

    def execute(self, ctx: Context) -> None:
        """Mount the tmpfs, and each hierarchy in a directory of its name on the host."""
        flags = self.options.flags & ~MountFlag.RDONLY
        with target(ctx, self.destination) as path:
            mounts.mount("tmpfs", path, "tmpfs", flags, "mode=755")
        with mounted(ctx, self.destination) as base:
            for host, controllers in self.hierarchies:
                name = os.path.basename(host)
                place = f"{base}/{name}"
                os.mkdir(place, 0o755)
                if self.own_namespace:
                    mounts.mount("cgroup", place, "cgroup", self.options.flags, _data(controllers))
                else:
                    self._bind(ctx, host, place)
                for alias in controllers:
                    if alias != name and "=" not in alias:
                        os.symlink(name, f"{base}/{alias}")
        _spread(ctx, self.destination, self.options)

    def _bind(self, ctx: Context, host: str, place: str) -> None:
        path = ctx.cgroup.path if ctx.cgroup is not None else ""
        mounts.bind(host + path, place)
        mounts.remount_bind(place, self.options.flags)


def _data(controllers: tuple[str, ...]) -> str:
    return ",".join(controllers)


class RemountReadonly(Step, frozen=True):
    """Make a mount read-only that had to be written to until now (/dev)."""

    destination: str
    flags: int

    def describe(self) -> str:
        """Say which."""
        return f"make {self.destination} read-only"

    def execute(self, ctx: Context) -> None:
        """Remount it."""
        with mounted(ctx, self.destination) as path:
            mounts.remount_bind(path, self.flags | MountFlag.RDONLY)


def _at(error: KernelError, call: str, destination: str) -> KernelError:
    """Name the place as the spec does, not by the descriptor it was reached through."""
    return KernelError(error.errno or errno.EIO, call, destination)
