"""The layer that a COPY or ADD makes: what it puts where, gathered first, then as a tar stream.

A layer is not written over a mounted image: what overlayfs would leave in the upper directory is
known without it. Entries come in the order of the bytes of names, as layers are packed.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lading.build.destination import View
from lading.build.sources import Node, Source
from lading.errors import LadingError
from lading.storage.archive.encode import END, encode, padding
from lading.storage.archive.entries import Entry, Kind, kind_of, shown

_GATHER = 256 * 1024


@dataclass(slots=True, eq=False)
class Placed:
    """Something in the layer; `node` and `source` give its content, `children` make a directory.

    `group` is the number of the source it came with: hard links are kept within one.
    """

    mode: int
    uid: int
    gid: int
    mtime: int
    children: dict[bytes, Placed] | None = None
    node: Node | None = None
    source: Source | None = None
    group: int = 0
    xattrs: dict[str, bytes] | None = None


class LayerTree:
    """What a layer will hold, over an image that is seen through `view`."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._now = time.time_ns()
        self.root = Placed(stat.S_IFDIR | 0o755, 0, 0, self._now, {})

    def directory(self, path: bytes, owner: tuple[int, int] = (0, 0)) -> Placed:
        """Give the directory at a resolved path; one that the image lacks is `owner`'s and 0755.

        Those that are missing above it are root's. Raises LadingError when a file is in the way.
        """
        here, at = self.root, b""
        for name in filter(None, path.split(b"/")):
            at = at + b"/" + name if at else name
            assert here.children is not None
            child = here.children.get(name)
            if child is None:
                child = here.children[name] = self._existing(at, owner if at == path else (0, 0))
            elif child.children is None:
                raise LadingError(f"mkdir /{os.fsdecode(path)}: not a directory")
            here = child
        return here

    def _existing(self, path: bytes, owner: tuple[int, int]) -> Placed:
        found = self.view.lstat(path)
        if found is None:
            return Placed(stat.S_IFDIR | 0o755, *owner, self._now, {})
        if not stat.S_ISDIR(found.st_mode):
            raise LadingError(f"mkdir /{os.fsdecode(path)}: not a directory")
        return Placed(found.st_mode, found.st_uid, found.st_gid, self._now, {})

    def is_directory(self, path: bytes) -> bool:
        """Tell whether a resolved path is a directory, in the layer or below it."""
        here = self.root
        for name in filter(None, path.split(b"/")):
            if here.children is None:
                return False
            child = here.children.get(name)
            if child is None:
                return self.view.is_directory(path)
            here = child
        return here.children is not None

    def tar(self) -> Iterator[bytes]:
        """Yield the layer as an archive in pieces that are worth a system call."""
        pending = bytearray()
        links: dict[tuple[int, int], bytes] = {}
        waiting = [(b"", self.root)]
        while waiting:
            path, here = waiting.pop()
            if path:
                entry = _entry(path, here, links)
                pending += encode(entry)
                if entry.stored and here.node is not None and here.source is not None:
                    yield from _payload(pending, here.node, here.source)
                if len(pending) >= _GATHER:
                    yield bytes(pending)
                    pending.clear()
            if here.children:
                prefix = path + b"/" if path else b""
                names = sorted(here.children, reverse=True)
                waiting += [(prefix + name, here.children[name]) for name in names]
        yield bytes(pending) + END


def put(here: Placed, name: bytes, made: Placed) -> Placed:
    """Put something into a directory of the layer; gives what is there then."""
    assert here.children is not None
    if not stat.S_ISDIR(made.mode):
        here.children[name] = made
        return made
    old = here.children.get(name)
    children = old.children if old is not None and old.children is not None else {}
    here.children[name] = replace(made, children=children)
    return here.children[name]


def _entry(path: bytes, here: Placed, links: dict[tuple[int, int], bytes]) -> Entry:
    kind = kind_of(here.mode)
    entry = Entry(
        path + b"/" if kind is Kind.DIRECTORY else path,
        kind,
        stat.S_IMODE(here.mode),
        here.uid,
        here.gid,
        mtime=here.mtime,
        xattrs=here.xattrs,
    )
    node = here.node
    if node is None or kind is Kind.DIRECTORY:
        return entry
    if node.shared:
        first = links.setdefault((id(node), here.group), path)
        if first != path:
            entry.kind, entry.link = Kind.HARD_LINK, first
            return entry
    if kind is Kind.FILE:
        entry.size = entry.stored = node.size
    elif kind is Kind.SYMLINK:
        entry.link = node.link
    elif kind is not Kind.FIFO:
        entry.major, entry.minor = os.major(node.rdev), os.minor(node.rdev)
    return entry


def _payload(pending: bytearray, node: Node, source: Source) -> Iterator[bytes]:
    """Gather or yield a file's content and its padding."""
    left = node.size
    for piece in source.content(node):
        left -= len(piece)
        pending += piece
        if len(pending) >= _GATHER:
            yield bytes(pending)
            pending.clear()
    if left:
        raise LadingError(f"cannot copy {shown(node.path)}: it was cut while it was read")
    pending += padding(node.size)
