"""Directories below a root by descriptor, and whole trees: walked, measured, removed.

Nothing here follows a symbolic link that the kernel would follow on its own: every directory is
opened with O_NOFOLLOW from its parent's descriptor, and links are expanded here, inside the root.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lading.errors import InvalidParameter
from lading.storage.archive.entries import shown

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_LINKS = 40
"""As many symbolic links as the kernel follows in one path (path_resolution(7))."""


class Tree:
    """The directories below `root`, a descriptor that stays the caller's.

    Descriptors that `directory` gives belong to the tree and are good until the next call. An
    absolute link begins at the root. With `clamp`, `..` at the root stays there, as in a chroot;
    otherwise a link that leads above the root is an error.
    """

    def __init__(self, root: int, *, clamp: bool = False, limit: int = 64) -> None:
        self.root = root
        self._clamp = clamp
        self._limit = limit
        self._open: dict[bytes, tuple[int, bytes]] = {}
        self.made: list[bytes] = []
        """Directories that were made because an entry needed them, by canonical path."""

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *ended: object) -> None:
        self.forget()

    def forget(self) -> None:
        """Close all descriptors: a directory was replaced or moved."""
        for descriptor, _ in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def directory(self, path: bytes, *, create: bool = False) -> tuple[int, bytes]:
        """Open the directory at the clean relative `path`: its descriptor and canonical path.

        With `create` missing ones are made, root's and 0755. Raises FileNotFoundError and
        NotADirectoryError, and InvalidParameter for a link that leads out of the root.
        """
        found = self._open.get(path)
        if found is not None:
            return found
        return self._descend(path, create, 0)

    def _descend(self, path: bytes, create: bool, links: int) -> tuple[int, bytes]:
        if not path:
            return self.root, b""
        todo: list[bytes] = []
        front = path
        while front and front not in self._open:
            front, _, part = front.rpartition(b"/")
            todo.append(part)
        here = self._open[front] if front else (self.root, b"")
        while todo:
            part = todo.pop()
            front = front + b"/" + part if front else part
            here = self._step(here, part, create, links)
            self._remember(front, here)
        return here

    def _step(
        self, parent: tuple[int, bytes], part: bytes, create: bool, links: int
    ) -> tuple[int, bytes]:
        """Open one directory in its parent, or what a link in its place means."""
        canonical = parent[1] + b"/" + part if parent[1] else part
        try:
            return os.open(part, OPEN_DIRECTORY, dir_fd=parent[0]), canonical
        except FileNotFoundError:
            if not create:
                raise
            os.mkdir(part, 0o755, dir_fd=parent[0])
            os.chmod(part, 0o755, dir_fd=parent[0])
            self.made.append(canonical)
            return os.open(part, OPEN_DIRECTORY, dir_fd=parent[0]), canonical
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
        return self._follow(parent, part, create, links)

    def _follow(
        self, parent: tuple[int, bytes], part: bytes, create: bool, links: int
    ) -> tuple[int, bytes]:
        try:
            target = os.readlink(part, dir_fd=parent[0])
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), part) from None
            raise
        if links >= MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), part)
        front = b"" if target.startswith(b"/") else parent[1]
        here = self._descend(front, create, links + 1)
        for step in target.split(b"/"):
            if step in (b"", b"."):
                continue
            if step == b"..":
                front = self._above(front, part, target)
                here = self._descend(front, create, links + 1)
            else:
                here = self._descend_one(here, step, create, links + 1)
                front = here[1]
        # The descriptor in the table is the target's; the link's own name needs one of its own.
        return os.dup(here[0]), here[1]

    def _descend_one(
        self, here: tuple[int, bytes], step: bytes, create: bool, links: int
    ) -> tuple[int, bytes]:
        path = here[1] + b"/" + step if here[1] else step
        found = self._open.get(path)
        if found is None:
            found = self._step(here, step, create, links)
            self._remember(path, found)
        return found

    def _above(self, front: bytes, part: bytes, target: bytes) -> bytes:
        if not front and not self._clamp:
            raise _escapes(part, target)
        return front.rpartition(b"/")[0]

    def _remember(self, path: bytes, found: tuple[int, bytes]) -> None:
        if len(self._open) >= self._limit:
            oldest = next(iter(self._open))
            os.close(self._open.pop(oldest)[0])
        self._open[path] = found


def _escapes(link: bytes, target: bytes) -> InvalidParameter:
    return InvalidParameter(
        f"path escapes from parent: the symbolic link {shown(link)} -> {shown(target)} leads out of"
        " the root directory"
    )


def open_root(path: str | bytes | os.PathLike[str]) -> int:
    """Open a directory of our own as the root of a tree."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


_FS_IOC_GETFLAGS = 0x80086601
_FS_IOC_SETFLAGS = 0x40086602
_FS_IMMUTABLE = 0x10
_FS_APPEND = 0x20
_FS_TOPDIR = 0x20000


def make_mutable(descriptor: int) -> bool:
    """Clear the immutable and append-only flags (ioctl_iflags(2)); tell whether there were any."""
    try:
        word = fcntl.ioctl(descriptor, _FS_IOC_GETFLAGS, bytes(8))
        (flags,) = struct.unpack("i4x", word)
        if not flags & (_FS_IMMUTABLE | _FS_APPEND):
            return False
        flags &= ~(_FS_IMMUTABLE | _FS_APPEND)
        fcntl.ioctl(descriptor, _FS_IOC_SETFLAGS, struct.pack("i4x", flags))
    except OSError:
        return False
    return True


def spread(directory: int) -> None:
    """Ask ext4 to place each directory made in this one as if it were at the top: in other groups.

    ext4 does not reuse an inode for a minute after its removal, and passes over such inodes one by
    one. Where trees come and go in the same group, making a file took 600 µs instead of 10 here.
    Other file systems refuse the flag, and do not need it.
    """
    with contextlib.suppress(OSError):
        (flags,) = struct.unpack("i4x", fcntl.ioctl(directory, _FS_IOC_GETFLAGS, bytes(8)))
        fcntl.ioctl(directory, _FS_IOC_SETFLAGS, struct.pack("i4x", flags | _FS_TOPDIR))


def remove(name: str | bytes, directory: int) -> None:
    """Remove `name` in `directory` with all that is below, whatever it is; absent is fine.

    Needs no path longer than one name, so depth does not matter; links are removed, not followed;
    immutable files give way.
    """
    name = os.fsencode(name)
    try:
        _unlink(name, directory)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        _remove_directory(name, directory)


def remove_at(path: Path) -> None:
    """Remove what is at a path with all that is below, as `remove` does."""
    parent = open_root(path.parent)
    try:
        remove(path.name, parent)
    finally:
        os.close(parent)


def _unlink(name: bytes, directory: int) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except PermissionError:
        # EPERM is either a directory (POSIX's word for it) or an immutable file or parent.
        if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name) from None
        if not (make_mutable(directory) | _make_name_mutable(name, directory)):
            raise
        os.unlink(name, dir_fd=directory)


def _make_name_mutable(name: bytes, directory: int) -> bool:
    if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        return False
    descriptor = os.open(
        name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory
    )
    try:
        return make_mutable(descriptor)
    finally:
        os.close(descriptor)


def _remove_directory(name: bytes, directory: int) -> None:
    """Remove a tree depth first, holding two descriptors however deep it is."""
    current = os.open(name, OPEN_DIRECTORY, dir_fd=directory)
    path = [name]
    above_it = [_identity(directory)]
    try:
        waiting = [_empty(current)]
        while True:
            if waiting[-1]:
                below = waiting[-1].pop()
                deeper = os.open(below, OPEN_DIRECTORY, dir_fd=current)
                above_it.append(_identity(current))
                os.close(current)
                current = deeper
                path.append(below)
                waiting.append(_empty(current))
                continue
            waiting.pop()
            done = path.pop()
            if not path:
                break
            above = os.open("..", OPEN_DIRECTORY, dir_fd=current)
            os.close(current)
            current = above
            if _identity(current) != above_it.pop():
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), done)  # it was moved
            _rmdir(done, current)
    finally:
        os.close(current)
    _rmdir(name, directory)


def _identity(directory: int) -> tuple[int, int]:
    found = os.fstat(directory)
    return found.st_dev, found.st_ino


def _empty(directory: int) -> list[bytes]:
    """Remove what can be removed at once from a directory; return the directories that remain."""
    remaining = []
    with os.scandir(directory) as listing:
        entries = [
            (os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in listing
        ]
    for name, is_directory in entries:
        if not is_directory:
            _unlink(name, directory)
            continue
        try:
            os.rmdir(name, dir_fd=directory)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EPERM):
                raise
            remaining.append(name)
    return remaining


def _rmdir(name: bytes, directory: int) -> None:
    try:
        os.rmdir(name, dir_fd=directory)
    except PermissionError:
        descriptor = os.open(name, OPEN_DIRECTORY, dir_fd=directory)
        try:
            changed = make_mutable(descriptor) | make_mutable(directory)
        finally:
            os.close(descriptor)
        if not changed:
            raise
        os.rmdir(name, dir_fd=directory)


@dataclass(frozen=True, slots=True)
class Node:
    """Something found by `walk`: `path` from the root, and `name` in the directory `parent`.

    The descriptor `parent` is good until the walk goes on.
    """

    path: bytes
    name: bytes
    parent: int
    is_directory: bool

    def lstat(self) -> os.stat_result:
        """Return its own status, not that of what a link points at."""
        return os.stat(self.name, dir_fd=self.parent, follow_symlinks=False)


def walk(root: int) -> Iterator[Node]:
    """Yield all below `root`, names in the order of their bytes, a directory before its content.

    The number of descriptors held does not grow with the depth. What vanishes meanwhile is passed
    over; a directory that a container swaps for a link is not followed out of the root.
    """
    with Tree(root, clamp=True) as tree:
        levels = [(b"", _listing(root))]
        while levels:
            prefix, names = levels[-1]
            if not names:
                levels.pop()
                continue
            name, is_directory = names.pop()
            path = prefix + name
            try:
                parent, canonical = tree.directory(prefix[:-1])
                if canonical != prefix[:-1]:
                    continue
                yield Node(path, name, parent, is_directory)
                if is_directory:
                    below, canonical = tree.directory(path)
                    if canonical == path:
                        levels.append((path + b"/", _listing(below)))
            except (FileNotFoundError, NotADirectoryError):
                continue


def _listing(directory: int) -> list[tuple[bytes, bool]]:
    """List a directory, last name first."""
    with os.scandir(directory) as listing:
        found = [
            (os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in listing
        ]
    found.sort(reverse=True)
    return found


def size(root: int) -> int:
    """Return the bytes in a tree: the length of each inode that is no directory, once.

    This is how Docker counts a layer's and a volume's size.
    """
    seen: set[tuple[int, int]] = set()
    total = 0
    for node in walk(root):
        if node.is_directory:
            continue
        found = node.lstat()
        if found.st_nlink > 1:
            key = (found.st_dev, found.st_ino)
            if key in seen:
                continue
            seen.add(key)
        total += found.st_size
    return total
