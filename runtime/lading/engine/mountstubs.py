"""What mounts leave in a container's layer: the empty files and directories they were mounted on.

A build's layer should not tell of the mounts that its RUN had.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable

from lading.build.destination import View
from lading.kernel.paths import Resolve, openat2
from lading.storage.archive.extract import OPAQUE

_INSIDE = Resolve.BENEATH | Resolve.NO_SYMLINKS


def remove_stubs(upper: int, merged: View, below: View, targets: Iterable[str]) -> None:
    """Remove what was made for mounts on `targets` and is still empty.

    `upper` is a descriptor of the layer's directory, `merged` what the container saw, `below` the
    image alone. Directories above that were copied up for the mount and nothing else go, too.
    """
    for target in targets:
        path = merged.resolve(os.fsencode(target))
        while path and (below.lstat(path) is None or _same(upper, path, below)):
            if not _removed(upper, path):
                break
            path = path.rpartition(b"/")[0]


def _same(upper: int, path: bytes, below: View) -> bool:
    """Tell whether a directory of the layer is the image's own, as far as attributes go."""
    old = below.lstat(path)
    try:
        found = openat2(upper, os.fsdecode(path), os.O_RDONLY | os.O_DIRECTORY, resolve=_INSIDE)
    except OSError:
        return False
    try:
        new = os.fstat(found)
        if old is None or OPAQUE in os.listxattr(found):
            return False
        return (old.st_mode, old.st_uid, old.st_gid) == (new.st_mode, new.st_uid, new.st_gid)
    finally:
        os.close(found)


def _removed(upper: int, path: bytes) -> bool:
    """Remove an empty directory or file of the layer; False when there is something in it."""
    front, _, name = path.rpartition(b"/")
    try:
        parent = openat2(
            upper, os.fsdecode(front) or ".", os.O_RDONLY | os.O_DIRECTORY, resolve=_INSIDE
        )
    except OSError:
        return False
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(name, dir_fd=parent)
        elif stat.S_ISREG(found.st_mode) and not found.st_size:
            os.unlink(name, dir_fd=parent)
        else:
            return False
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.ENOENT):
            raise
        return False
    finally:
        os.close(parent)
    return True
