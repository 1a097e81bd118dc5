"""Overlays of layers that are mounted beside the container's root: the trees of images."""

from __future__ import annotations

import os

from lading.kernel import mounts
from lading.kernel.errors import Attempt
from lading.kernel.mounts import MountFlag, UmountFlag
from lading.oci.rootfs import lookup, through


def overlay_tree(directory: str, options: str, subpath: str = "") -> int:
    """Mount a read-only overlay and give *subpath* of it as a detached mount, for `move_mount`.

    *options* name layers relative to *directory*, which becomes the current directory, and which
    the overlay covers for a moment: the mount namespace has to be the caller's own. A link in
    *subpath* cannot lead out of the overlay. Raises KernelError.
    """
    with Attempt("enter the directory of layers", directory):
        os.chdir(directory)
    mounts.mount("overlay", directory, "overlay", MountFlag.RDONLY, options)
    try:
        with Attempt("open", directory):
            root = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = lookup(root, subpath or "/")
            try:
                return mounts.open_tree(through(found))
            finally:
                os.close(found)
        finally:
            os.close(root)
    finally:
        mounts.umount(directory, UmountFlag.DETACH)
