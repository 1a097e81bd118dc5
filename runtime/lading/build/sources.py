"""What COPY and ADD take files from, as trees of nodes: an unpacked archive, or a directory.

An archive is not unpacked to files: its contents lie one behind the other in a single file without
a name, and what it says of them is kept in memory, with a digest of each content made while the
archive streamed in. So a cached build makes no file at all, and a crash leaves nothing behind.
"""

from __future__ import annotations

import os
import stat
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from lading.files import explaining, temporary_name
from lading.storage.streams import ChunkReader

_PIECE = 1 << 20
_GATHER = 1 << 20
_WANTED_XATTRS = ("user.", "security.capability")
"""The attributes that a layer holds; overlayfs' own are under `user.overlay.`, too."""


@dataclass(slots=True, eq=False)
class Node:
    """One file of a source; two names of a hard-linked file share a node.

    `mode` has the type bits. `mtime` is in nanoseconds since 1970. `children` is None for what is
    no directory, and for a directory that was not looked at yet. An `implicit` directory is there
    only because an entry of the archive is in it. `offset` and `path` say where the content is, for
    the source to know; `extents` list (offset, length) of what is stored of a file with holes.
    """

    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    link: bytes = b""
    rdev: int = 0
    xattrs: dict[str, bytes] | None = None
    children: dict[bytes, Node] | None = None
    implicit: bool = False
    shared: bool = False
    digest: bytes = b""
    offset: int = 0
    path: bytes = b""
    extents: list[tuple[int, int]] | None = None

    @property
    def is_directory(self) -> bool:
        """Whether other nodes can be in it."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)


class Source(ABC):
    """A tree that files are taken from; nothing in it changes while it is in use."""

    root: Node

    def close(self) -> None:  # noqa: B027 - most have nothing to let go
        """Let go of what the contents are kept in."""

    @abstractmethod
    def children(self, node: Node) -> dict[bytes, Node]:
        """Give what is in a directory, by name."""

    @abstractmethod
    def digest(self, node: Node) -> bytes:
        """Give a digest of a regular file's content."""

    @abstractmethod
    def stored(self, node: Node) -> Iterator[bytes]:
        """Yield the bytes that are stored of a regular file: all but its holes."""

    def content(self, node: Node) -> Iterator[bytes]:
        """Yield a regular file's content, exactly `node.size` bytes."""
        if node.extents is None:
            yield from self.stored(node)
            return
        at, held, pieces = 0, b"", self.stored(node)
        for offset, length in node.extents:
            yield from _zeros(offset - at)
            left = length
            while left:
                held = held or next(pieces)
                yield held[:left]
                taken = min(left, len(held))
                held, left = held[taken:], left - taken
            at = offset + length
        yield from _zeros(node.size - at)

    def read(self, node: Node) -> bytes:
        """Give a regular file's content at once."""
        return b"".join(self.content(node))

    def reader(self, node: Node) -> ChunkReader:
        """Give a regular file's content as a stream."""
        return ChunkReader(self.content(node))


class Spool:
    """One file without a name in `directory`, that contents are appended to and read from."""

    def __init__(self, directory: Path) -> None:
        self.end = 0
        self._pending = bytearray()
        with explaining("keep the build context"):
            self._descriptor = _nameless(directory)
        # Also when what made it was cancelled, and nobody is there to close it.
        self._closing = weakref.finalize(self, os.close, self._descriptor)

    def append(self, piece: bytes | memoryview) -> None:
        """Add bytes at `end`."""
        self._pending += piece
        self.end += len(piece)
        if len(self._pending) >= _GATHER:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered, so that it can be read."""
        with explaining("keep the build context"):
            view = memoryview(bytes(self._pending))
            while view:
                view = view[os.write(self._descriptor, view) :]
        self._pending.clear()

    def read(self, offset: int, size: int) -> Iterator[bytes]:
        """Yield `size` bytes from `offset` on."""
        while size:
            data = os.pread(self._descriptor, min(size, _PIECE), offset)
            offset += len(data)
            size -= len(data)
            yield data

    def close(self) -> None:
        """Let the file go."""
        self._closing()
        self._descriptor = -1


class StoredTree(Source):
    """A tree in memory whose contents are in a spool; close it in the end, or use as a context."""

    def __init__(self, directory: Path) -> None:
        self.root = Node(stat.S_IFDIR | 0o755, children={})
        self.spool = Spool(directory)

    def __enter__(self) -> StoredTree:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the contents."""
        self.spool.close()

    def children(self, node: Node) -> dict[bytes, Node]:
        """Give what is in a directory, by name."""
        return {} if node.children is None else node.children

    def digest(self, node: Node) -> bytes:
        """Give a digest of a regular file's content."""
        return node.digest

    def stored(self, node: Node) -> Iterator[bytes]:
        """Yield the bytes that are stored of a regular file."""
        size = node.size
        if node.extents is not None:
            size = sum(length for _, length in node.extents)
        return self.spool.read(node.offset, size)

    def put(self, name: bytes, content: bytes, *, mode: int = 0o644, mtime: int = 0) -> Node:
        """Make a file at the top, such as a here-document's; `mtime` in nanoseconds."""
        self.spool.append(content)
        return self.name(name, len(content), sha256(content).digest(), mode=mode, mtime=mtime)

    def name(self, name: bytes, size: int, digest: bytes, *, mode: int, mtime: int) -> Node:
        """Make a file at the top of the last `size` bytes of the spool."""
        self.spool.flush()
        node = Node(stat.S_IFREG | mode, size=size, mtime=mtime, digest=digest)
        node.offset = self.spool.end - size
        self.children(self.root)[name] = node
        return node


class DirectoryTree(Source):
    """A stage's or an image's merged file system below the directory descriptor `root_fd`.

    Directories are read, and contents hashed, when they are asked for; digests are kept. Several
    threads may ask at once.
    """

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._links: dict[tuple[int, int], Node] = {}
        found = os.fstat(root_fd)
        self.root = Node(found.st_mode, found.st_uid, found.st_gid, mtime=found.st_mtime_ns)

    def children(self, node: Node) -> dict[bytes, Node]:
        """Give what is in a directory, by name; a socket is nothing that can be copied."""
        if node.children is None:
            found: dict[bytes, Node] = {}
            for name in sorted(self._names(node)):
                child = self._child(node.path + b"/" + name if node.path else name)
                if child is not None:
                    found[name] = child
            node.children = found
        return node.children

    def _names(self, node: Node) -> list[bytes]:
        descriptor = self._open(node.path or b".", os.O_DIRECTORY)
        try:
            return [os.fsencode(name) for name in os.listdir(descriptor)]
        finally:
            os.close(descriptor)

    def _child(self, path: bytes) -> Node | None:
        found = os.stat(path, dir_fd=self._root_fd, follow_symlinks=False)
        if stat.S_ISSOCK(found.st_mode):
            return None
        key = (found.st_dev, found.st_ino)
        shared = found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode)
        if shared and key in self._links:
            return self._links[key]
        node = Node(found.st_mode, found.st_uid, found.st_gid, mtime=found.st_mtime_ns, path=path)
        node.shared = shared
        if node.is_file:
            node.size = found.st_size
        elif node.is_link:
            node.link = os.readlink(path, dir_fd=self._root_fd)
        else:
            node.rdev = found.st_rdev
        node.xattrs = self._xattrs(path)
        return self._links.setdefault(key, node) if shared else node

    def _xattrs(self, path: bytes) -> dict[str, bytes] | None:
        place = b"/proc/self/fd/%d/%s" % (self._root_fd, path)
        try:
            names = os.listxattr(place, follow_symlinks=False)
        except OSError:
            return None
        wanted = [n for n in names if n.startswith(_WANTED_XATTRS) and "overlay" not in n]
        return {n: os.getxattr(place, n, follow_symlinks=False) for n in wanted} or None

    def digest(self, node: Node) -> bytes:
        """Give a digest of a regular file's content."""
        if not node.digest:
            total = sha256()
            for piece in self.stored(node):
                total.update(piece)
            node.digest = total.digest()
        return node.digest

    def stored(self, node: Node) -> Iterator[bytes]:
        """Yield a regular file's content."""
        descriptor = self._open(node.path, os.O_NONBLOCK)
        try:
            left = node.size
            while left and (data := os.read(descriptor, min(left, _PIECE))):
                left -= len(data)
                yield data
        finally:
            os.close(descriptor)

    def _open(self, path: bytes, flags: int) -> int:
        # The path came from walking, so no part of it is a link; and the tree is read-only.
        flags |= os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(path, flags, dir_fd=self._root_fd)


def _nameless(directory: Path) -> int:
    """Open a new file without a name; where the file system has none of these, without it soon."""
    with suppress(OSError):
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    path = directory / temporary_name()
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    path.unlink()
    return descriptor


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield bytes(min(count, _PIECE))
        count -= _PIECE
