"""Mounts: mount(2) and its kin, the mount API of Linux 5.2, propagation, recursive read-only."""

from __future__ import annotations

import ctypes
import errno
import os
from enum import Enum, IntFlag

from lading.kernel.errors import KernelError
from lading.kernel.mountinfo import MountInfo, mountinfo, under
from lading.kernel.syscalls import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    check,
    libc,
    path_bytes,
    raw,
)

__all__ = [
    "FileSystem",
    "MountAttr",
    "MountFlag",
    "MountInfo",
    "Propagation",
    "UmountFlag",
    "bind",
    "fsopen",
    "mount",
    "mount_setattr",
    "mountinfo",
    "move_mount",
    "open_tree",
    "pivot_root",
    "remount_bind",
    "set_propagation",
    "set_readonly_recursive",
    "umount",
]

Path = str | os.PathLike[str]


class MountFlag(IntFlag):
    """Flags of mount(2)."""

    RDONLY = 0x1
    NOSUID = 0x2
    NODEV = 0x4
    NOEXEC = 0x8
    SYNCHRONOUS = 0x10
    REMOUNT = 0x20
    MANDLOCK = 0x40
    DIRSYNC = 0x80
    NOSYMFOLLOW = 0x100
    NOATIME = 0x400
    NODIRATIME = 0x800
    BIND = 0x1000
    MOVE = 0x2000
    REC = 0x4000
    SILENT = 0x8000
    POSIXACL = 0x10000
    UNBINDABLE = 0x20000
    PRIVATE = 0x40000
    SLAVE = 0x80000
    SHARED = 0x100000
    RELATIME = 0x200000
    I_VERSION = 0x800000
    STRICTATIME = 0x1000000
    LAZYTIME = 0x2000000


class Propagation(Enum):
    """How mounts made below one mount reach others (mount_namespaces(7)); OCI's names."""

    PRIVATE = "private"
    RPRIVATE = "rprivate"
    SLAVE = "slave"
    RSLAVE = "rslave"
    SHARED = "shared"
    RSHARED = "rshared"
    UNBINDABLE = "unbindable"
    RUNBINDABLE = "runbindable"

    @property
    def flag(self) -> MountFlag:
        """The flags that mount(2) wants to set it."""
        name = self.value
        recursive = name.startswith("r")
        kind = MountFlag[name.removeprefix("r").upper()]
        return kind | MountFlag.REC if recursive else kind


class UmountFlag(IntFlag):
    """Flags of umount2(2)."""

    FORCE = 1
    DETACH = 2
    EXPIRE = 4
    NOFOLLOW = 8


class MountAttr(IntFlag):
    """Attributes of one mount for fsmount(2) and mount_setattr(2)."""

    RDONLY = 0x1
    NOSUID = 0x2
    NODEV = 0x4
    NOEXEC = 0x8
    RELATIME = 0x0
    NOATIME = 0x10
    STRICTATIME = 0x20
    ATIME_MASK = 0x70
    NODIRATIME = 0x80
    IDMAP = 0x100000
    NOSYMFOLLOW = 0x200000


OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH = 0x4, 0x40
FSOPEN_CLOEXEC = FSMOUNT_CLOEXEC = 1


def mount(
    source: Path | None,
    target: Path,
    fstype: str | None = None,
    flags: MountFlag | int = 0,
    data: str | None = None,
) -> None:
    """Call mount(2); *data* is the file system's comma-separated options (under one page)."""
    result = libc.mount(
        path_bytes(source),
        path_bytes(target),
        path_bytes(fstype),
        ctypes.c_ulong(int(flags)),
        path_bytes(data),
    )
    what = fstype or ("bind " + str(source) if int(flags) & MountFlag.BIND else "")
    check(result, f"mount {what} on" if what else "mount on", target)


def umount(target: Path, flags: UmountFlag | int = 0) -> None:
    """Detach the mount at *target* (umount2(2))."""
    check(libc.umount2(path_bytes(target), ctypes.c_int(int(flags))), "umount", target)


def pivot_root(new_root: Path, put_old: Path) -> None:
    """Make *new_root* the root of this mount namespace, with the old one at *put_old*."""
    check(raw("pivot_root", path_bytes(new_root), path_bytes(put_old)), "pivot_root to", new_root)


def bind(source: Path, target: Path, *, recursive: bool = False) -> None:
    """Bind *source*, with the mounts below it if *recursive*, to the existing *target*."""
    mount(source, target, None, MountFlag.BIND | (MountFlag.REC if recursive else 0))


_LOCKABLE = (
    (os.ST_RDONLY, MountFlag.RDONLY),
    (os.ST_NOSUID, MountFlag.NOSUID),
    (os.ST_NODEV, MountFlag.NODEV),
    (os.ST_NOEXEC, MountFlag.NOEXEC),
    (os.ST_NOATIME, MountFlag.NOATIME),
    (os.ST_NODIRATIME, MountFlag.NODIRATIME),
    (os.ST_RELATIME, MountFlag.RELATIME),
)


def current_flags(target: Path) -> MountFlag:
    """Give the per-mount flags in force at *target* (statvfs(3))."""
    word = os.statvfs(target).f_flag
    flags = MountFlag(0)
    for bit, flag in _LOCKABLE:
        if word & bit:
            flags |= flag
    return flags


def remount_bind(target: Path, flags: MountFlag | int) -> None:
    """Give the bind mount at *target* exactly *flags*.

    A mount that came from a more privileged user namespace has its restricting flags locked; a
    remount that would drop one gets EPERM. The locked ones are then kept besides *flags*.
    """
    wanted = MountFlag(int(flags)) | MountFlag.REMOUNT | MountFlag.BIND
    try:
        mount(None, target, None, wanted)
    except KernelError as error:
        kept = wanted | current_flags(target)
        if error.errno != errno.EPERM or kept == wanted:
            raise
        mount(None, target, None, kept)


def set_propagation(target: Path, propagation: Propagation) -> None:
    """Set how mounts below *target* propagate; the r… kinds do so for all below it, too."""
    call = f"make {propagation.value} the mount at"
    result = libc.mount(None, path_bytes(target), None, ctypes.c_ulong(propagation.flag), None)
    check(result, call, target)


class _MountAttributes(ctypes.Structure):
    """struct mount_attr of linux/mount.h."""

    _fields_ = [
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    ]


def mount_setattr(
    target: Path | int,
    *,
    set_attributes: MountAttr | int = 0,
    clear: MountAttr | int = 0,
    propagation: Propagation | None = None,
    recursive: bool = False,
    userns_fd: int | None = None,
) -> None:
    """Change attributes of the mount at *target*, a path or an O_PATH descriptor (Linux 5.12).

    *userns_fd* maps ids through that user namespace; the mount must be a detached copy from
    `open_tree` then. Raises KernelError, ENOSYS on an older kernel.
    """
    if userns_fd is not None:
        set_attributes |= MountAttr.IDMAP
    spread = int(propagation.flag) & ~MountFlag.REC if propagation else 0
    attributes = _MountAttributes(int(set_attributes), int(clear), spread, userns_fd or 0)
    directory, path = (target, b"") if isinstance(target, int) else (AT_FDCWD, path_bytes(target))
    flags = (AT_EMPTY_PATH if path == b"" else 0) | (AT_RECURSIVE if recursive else 0)
    size = ctypes.sizeof(attributes)
    result = raw("mount_setattr", directory, path, flags, ctypes.byref(attributes), size)
    check(result, "mount_setattr on", target)


def set_readonly_recursive(target: Path) -> None:
    """Make the mount at *target* and all mounts below it read-only.

    At once by mount_setattr(2); on kernels before 5.12 one remount for each mount.
    """
    try:
        mount_setattr(target, set_attributes=MountAttr.RDONLY, recursive=True)
    except KernelError as error:
        if error.errno != errno.ENOSYS:
            raise
        for entry in under(mountinfo(), os.path.realpath(target)):
            remount_bind(entry.mount_point, current_flags(entry.mount_point) | MountFlag.RDONLY)


def open_tree(
    path: Path, *, clone: bool = True, recursive: bool = False, directory: int = AT_FDCWD
) -> int:
    """Open the mount at *path*, with *clone* a detached copy of it; the caller closes it."""
    flags = os.O_CLOEXEC
    if clone:
        flags |= OPEN_TREE_CLONE | (AT_RECURSIVE if recursive else 0)
    return check(raw("open_tree", directory, path_bytes(path), flags), "open_tree", path)


def move_mount(descriptor: int, target: Path | int, *, directory: int = AT_FDCWD) -> None:
    """Attach the detached mount *descriptor* at *target*, a path or an O_PATH descriptor.

    Source: move_mount(2).
    """
    flags, path = MOVE_MOUNT_F_EMPTY_PATH, b""
    if isinstance(target, int):
        directory = target
        flags |= MOVE_MOUNT_T_EMPTY_PATH
    else:
        path = path_bytes(target) or b""
    result = raw("move_mount", descriptor, b"", directory, path, flags)
    check(result, "move_mount to", target)


class FileSystem:
    """A file system being set up by fsopen(2): set options, then make a detached mount.

    >>> with fsopen("tmpfs") as tmpfs:
    ...     tmpfs.set("size", "64k")
    ...     descriptor = tmpfs.mount(MountAttr.NOSUID)
    """

    _FLAG, _STRING, _CREATE = 0, 1, 6

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self.descriptor = descriptor

    def __enter__(self) -> FileSystem:
        return self

    def __exit__(self, *ended: object) -> None:
        os.close(self.descriptor)

    def set(self, key: str, value: str | None = None) -> None:
        """Set one option; without *value* a flag such as "ro"."""
        command = self._FLAG if value is None else self._STRING
        self._config(command, key, value)

    def mount(self, attributes: MountAttr | int = 0) -> int:
        """Create the file system and give a detached mount of it, for `move_mount`."""
        self._config(self._CREATE, None, None)
        result = raw("fsmount", self.descriptor, FSMOUNT_CLOEXEC, int(attributes))
        return check(result, "fsmount", self.name)

    def _config(self, command: int, key: str | None, value: str | None) -> None:
        result = raw("fsconfig", self.descriptor, command, path_bytes(key), path_bytes(value), 0)
        option = "" if key is None else f" {key}" if value is None else f" {key}={value}"
        check(result, f"fsconfig {self.name}{option}")


def fsopen(name: str) -> FileSystem:
    """Begin setting up a file system of type *name* (fsopen(2), Linux 5.2)."""
    return FileSystem(name, check(raw("fsopen", path_bytes(name), FSOPEN_CLOEXEC), "fsopen", name))
