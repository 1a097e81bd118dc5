"""Device nodes and special files."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from lading.kernel.errors import Attempt

KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
"""File type bits by OCI's device type."""


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What a device file is: OCI type ("c", "b" or "p"), numbers, permission bits and owner."""

    kind: str
    major: int
    minor: int
    mode: int
    uid: int
    gid: int


def make_node(
    path: str,
    kind: str,
    major: int = 0,
    minor: int = 0,
    mode: int = 0o666,
    uid: int = 0,
    gid: int = 0,
) -> None:
    """Create the device or FIFO *path* with exactly *mode* and owner, whatever the umask.

    *kind* is "c", "u", "b" or "p". Raises KernelError; EPERM where devices may not be made.
    """
    with Attempt("mknod", path):
        os.mknod(path, KINDS[kind] | mode, 0 if kind == "p" else os.makedev(major, minor))
        os.chmod(path, mode)
        if uid or gid:
            os.chown(path, uid, gid)


def inspect(path: str) -> DeviceInfo | None:
    """Tell what device *path* is, following links; None if it is no device or FIFO."""
    with Attempt("stat", path):
        found = os.stat(path)
    for kind in ("c", "b", "p"):
        if stat.S_IFMT(found.st_mode) == KINDS[kind]:
            major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
            mode = stat.S_IMODE(found.st_mode)
            return DeviceInfo(kind, major, minor, mode, found.st_uid, found.st_gid)
    return None
