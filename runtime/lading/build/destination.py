"""The image that files are copied into, as it was before: what is where, and where links lead."""

from __future__ import annotations

import errno
import os
import stat

from lading.errors import LadingError
from lading.kernel.paths import Resolve, openat2
from lading.storage.archive.entries import shown
from lading.storage.trees import MAX_LINKS

_JUST_LOOK = os.O_PATH | os.O_NOFOLLOW
_NO_LINKS = Resolve.IN_ROOT | Resolve.NO_SYMLINKS


class View:
    """An image's file system below the directory descriptor `root`; None is an empty one.

    Paths are from the root, without a slash in front. Nothing in there changes meanwhile.
    """

    def __init__(self, root: int | None) -> None:
        self._root = root

    def lstat(self, path: bytes) -> os.stat_result | None:
        """Give the status of a resolved path itself; None when it is not there."""
        if self._root is None:
            return None
        try:
            # A path that the layer makes may lead through what is a link down here: then it is new.
            found = openat2(self._root, os.fsdecode(path) or ".", _JUST_LOOK, resolve=_NO_LINKS)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return None
            raise
        try:
            return os.fstat(found)
        finally:
            os.close(found)

    def is_directory(self, path: bytes) -> bool:
        """Tell whether a resolved path is a directory."""
        found = self.lstat(path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def resolve(self, path: bytes, scope: bytes = b"") -> bytes:
        """Follow all links of a path, inside the directory `scope`, as far as there is something.

        What is not there stays as it is written. Raises LadingError for a loop of links.
        """
        floor = len(_parts(scope))
        done = _parts(scope)
        todo = path.split(b"/")[::-1]
        links = 0
        while todo:
            part = todo.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":
                del done[max(floor, len(done) - 1) :]
                continue
            target = self._link(b"/".join([*done, part]))
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > MAX_LINKS:
                raise LadingError(f"cannot follow {shown(path)}: too many symbolic links")
            if target.startswith(b"/"):
                del done[floor:]
            todo += target.split(b"/")[::-1]
        return b"/".join(done)

    def _link(self, path: bytes) -> bytes | None:
        """Give where a link leads; None for anything else, and for nothing."""
        if self._root is None:
            return None
        try:
            return os.readlink(path, dir_fd=self._root)
        except OSError:
            return None

    def read(self, path: bytes) -> bytes:
        """Give a regular file's content, links followed; nothing without one."""
        real = self.resolve(path)
        found = self.lstat(real)
        if self._root is None or found is None or not stat.S_ISREG(found.st_mode):
            return b""
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._root)
        with open(descriptor, "rb") as file:
            return file.read()


def _parts(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part]
