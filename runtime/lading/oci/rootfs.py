"""Paths inside a container's root, looked up so that no symbolic link leads out of it.

Everything that is mounted or made below the root goes through a descriptor from here. openat2(2)
does the work where it may be called; where it may not, or where something is missing and to be
made, the path is walked one component at a time.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lading.kernel.errors import Attempt, KernelError
from lading.kernel.paths import Resolve, openat2

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_LINKS = 40
_ABSENT = errno.ENOENT
_NOT_ALLOWED = (errno.ENOSYS, errno.EPERM)


def through(descriptor: int) -> str:
    """Give a path that names what *descriptor* is, for calls that take only paths."""
    return f"/proc/self/fd/{descriptor}"


def lookup(root: int, path: str) -> int:
    """Open what *path* names inside *root*, as an O_PATH descriptor. Raises KernelError."""
    try:
        return openat2(root, path, os.O_PATH, resolve=Resolve.IN_ROOT | Resolve.NO_MAGICLINKS)
    except KernelError as error:
        if error.errno not in _NOT_ALLOWED:
            raise
    return _Walk(root, path, make=False).to_end()


def make_directory(root: int, path: str) -> int:
    """Open the directory *path* inside *root*; what is missing of it is made (mode 0755)."""
    try:
        return lookup(root, path)
    except KernelError as error:
        if error.errno != _ABSENT:
            raise
    return _Walk(root, path, make=True).to_end()


def make_file(root: int, path: str) -> int:
    """Open the file *path* inside *root*; it and its directories are made if they are missing."""
    try:
        return lookup(root, path)
    except KernelError as error:
        if error.errno != _ABSENT:
            raise
    return _Walk(root, path, make=True, last_is_file=True).to_end()


@contextmanager
def parent_of(root: int, path: str) -> Iterator[tuple[int, str]]:
    """Give (descriptor of the directory of *path*, which is made if missing; the last name)."""
    directory, name = os.path.split(os.path.normpath("/" + path))
    descriptor = make_directory(root, directory)
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)


class _Walk:
    """A path being walked: the directories entered so far, and the names still to come."""

    def __init__(self, root: int, path: str, *, make: bool, last_is_file: bool = False) -> None:
        self.path = path
        self.make = make
        self.last_is_file = last_is_file
        self.names = _names(path)
        self.entered = [os.dup(root)]
        self.links = 0

    def to_end(self) -> int:
        """Walk all names; give the descriptor of the last."""
        try:
            with Attempt("open", self.path):
                while self.names:
                    self._step(self.names.pop(0))
            return self.entered.pop()
        finally:
            for descriptor in self.entered:
                os.close(descriptor)

    def _step(self, name: str) -> None:
        if name == "..":
            if len(self.entered) > 1:
                os.close(self.entered.pop())
            return
        here = self.entered[-1]
        found = self._open(here, name)
        if found is None:
            self._make(here, name)
            found = self._open(here, name)
            if found is None:
                raise KernelError(errno.ENOENT, "open", self.path)
        if stat.S_ISLNK(os.fstat(found).st_mode):
            os.close(found)
            self._follow(here, name)
        else:
            self.entered.append(found)

    def _open(self, here: int, name: str) -> int | None:
        try:
            return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
        except FileNotFoundError:
            if not self.make:
                raise
            return None

    def _make(self, here: int, name: str) -> None:
        if self.last_is_file and not self.names:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o755, dir_fd=here))
        else:
            os.mkdir(name, 0o755, dir_fd=here)

    def _follow(self, here: int, name: str) -> None:
        self.links += 1
        if self.links > _MOST_LINKS:
            raise KernelError(errno.ELOOP, "open", self.path)
        target = os.readlink(name, dir_fd=here)
        if target.startswith("/"):
            while len(self.entered) > 1:
                os.close(self.entered.pop())
        self.names = _names(target) + self.names


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]
