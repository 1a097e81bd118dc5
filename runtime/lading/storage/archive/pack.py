"""Files below a directory descriptor to a tar stream, in a fixed order.

The order is that of the bytes of names within each directory, a directory before what is in it, so
equal trees give equal archives.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from lading.errors import LadingError
from lading.storage.archive.encode import END, encode, padding
from lading.storage.archive.entries import (
    OPAQUE_MARK,
    PATH_MAX,
    WHITEOUT_PREFIX,
    Entry,
    Kind,
    kind_of,
    shown,
)
from lading.storage.archive.extract import OPAQUE, is_whiteout
from lading.storage.trees import Node, walk

_GATHER = 256 * 1024
_READ = 1 << 20
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CAPABILITY = "security.capability"


def pack_layer(root: int) -> Iterator[bytes]:
    """Yield an overlay upper directory as a layer: deletions become `.wh.` files."""
    return _Packer(layer=True).tree(root, b"")


def pack_tree(root: int, *, precise: bool = False) -> Iterator[bytes]:
    """Yield everything below a directory as it is, without the directory itself.

    Times are in whole seconds, as Docker writes them, unless `precise`.
    """
    return _Packer(precise=precise).tree(root, b"")


def pack_named(parent: int, name: bytes, shown_as: bytes) -> Iterator[bytes]:
    """Yield one file, or a directory with all below it, as entries that begin with `shown_as`."""
    packer = _Packer()
    shown_as = shown_as.rstrip(b"/")
    node = Node(shown_as, name, parent, is_directory=False)
    found = node.lstat()
    yield from packer.payload(node, packer.add(node, found, shown_as))
    if not stat.S_ISDIR(found.st_mode):
        yield packer.flush(END)
        return
    descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        yield from packer.tree(descriptor, shown_as + b"/")
    finally:
        os.close(descriptor)


class _Packer:
    """Gathers small pieces so that what is yielded is worth a system call."""

    def __init__(self, *, layer: bool = False, precise: bool = False) -> None:
        self._layer = layer
        self._precise = precise
        self._pending = bytearray()
        self._links: dict[tuple[int, int], bytes] = {}

    def tree(self, root: int, prefix: bytes) -> Iterator[bytes]:
        """Yield entries for all below `root`, then the end of the archive."""
        for node in walk(root):
            try:
                found = node.lstat()
            except FileNotFoundError:
                continue  # it was removed while a running container's files are read
            if self._layer and is_whiteout(found):
                self._whiteout(node, found)
                continue
            if stat.S_ISSOCK(found.st_mode):
                continue  # a socket means nothing without its process; tar has no type for it
            yield from self.payload(node, self.add(node, found, prefix + node.path))
            if len(self._pending) >= _GATHER:
                yield self.flush()
        yield self.flush(END)

    def flush(self, more: bytes = b"") -> bytes:
        """Return what was gathered, and `more`."""
        data = bytes(self._pending) + more
        self._pending.clear()
        return data

    def add(self, node: Node, found: os.stat_result, name: bytes) -> int:
        """Gather the header of one file; return how many bytes of content must follow."""
        if len(name) > PATH_MAX:
            raise LadingError(f"cannot pack {shown(name)}: the name has more than {PATH_MAX} bytes")
        kind = kind_of(found.st_mode)
        entry = Entry(
            name + b"/" if kind is Kind.DIRECTORY else name,
            kind,
            stat.S_IMODE(found.st_mode),
            found.st_uid,
            found.st_gid,
            mtime=found.st_mtime_ns,
        )
        if kind is Kind.SYMLINK:
            entry.link = os.readlink(node.name, dir_fd=node.parent)
        elif kind is Kind.CHARACTER or kind is Kind.BLOCK:
            entry.major, entry.minor = os.major(found.st_rdev), os.minor(found.st_rdev)
        if kind is not Kind.DIRECTORY and found.st_nlink > 1:
            first = self._links.setdefault((found.st_dev, found.st_ino), name)
            if first != name:
                entry.kind, entry.link = Kind.HARD_LINK, first
                entry.major = entry.minor = 0
        if entry.kind is Kind.FILE:
            entry.size = entry.stored = found.st_size
        entry.xattrs = _xattrs(node)
        self._pending += encode(entry, precise=self._precise)
        if self._layer and kind is Kind.DIRECTORY and _is_opaque(node):
            mark = Entry(name + b"/" + OPAQUE_MARK, Kind.FILE, entry.mode & 0o777)
            mark.uid, mark.gid = entry.uid, entry.gid
            self._pending += encode(mark)
        return entry.stored

    def payload(self, node: Node, size: int) -> Iterator[bytes]:
        """Yield or gather a file's content, exactly `size` bytes."""
        if not size:
            return
        left = size
        descriptor = os.open(node.name, _OPEN, dir_fd=node.parent)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise LadingError(f"cannot pack {shown(node.path)}: it was replaced meanwhile")
            while left:
                data = os.read(descriptor, min(left, _READ))
                if not data:
                    break
                left -= len(data)
                if len(data) < _GATHER // 4 and not left:
                    self._pending += data
                else:
                    yield self.flush(data)
        finally:
            os.close(descriptor)
        while left:  # the file was cut while it was read: what its header promised is filled up
            zeros = bytes(min(left, _READ))
            left -= len(zeros)
            yield self.flush(zeros)
        self._pending += padding(size)

    def _whiteout(self, node: Node, found: os.stat_result) -> None:
        front, slash, name = node.path.rpartition(b"/")
        entry = Entry(front + slash + WHITEOUT_PREFIX + name, Kind.FILE, 0o600)
        entry.uid, entry.gid, entry.mtime = found.st_uid, found.st_gid, found.st_mtime_ns
        self._pending += encode(entry)


def _xattrs(node: Node) -> dict[str, bytes] | None:
    """Return the attributes that belong into a layer: capabilities and the users' own."""
    path = b"/proc/self/fd/%d/%s" % (node.parent, node.name)
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return None
    wanted = [n for n in names if n == _CAPABILITY or _is_users(n)]
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in wanted} or None


def _is_users(name: str) -> bool:
    return name.startswith("user.") and not name.startswith("user.overlay.")


def _is_opaque(node: Node) -> bool:
    path = b"/proc/self/fd/%d/%s" % (node.parent, node.name)
    try:
        return os.getxattr(path, OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False
