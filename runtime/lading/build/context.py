"""The build context: an archive is taken in, its Dockerfile found, and what must not stay removed.

What is said when something is wrong was found on Docker 28.5.2's classic builder.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from lading.build.lookup import find
from lading.build.sources import Node, Source, StoredTree
from lading.errors import InvalidParameter, LadingError
from lading.ignore import IgnoreRules
from lading.storage.archive.compression import open_plain
from lading.storage.archive.entries import Entry, Kind, clean, shown, type_bits
from lading.storage.archive.reader import TarReader
from lading.storage.streams import Readable
from lading.storage.trees import MAX_LINKS

IGNORE_FILE = b".dockerignore"
DEFAULT = "Dockerfile"
SECRET_MAX = 500 * 1024
"""The most bytes of a build secret, as BuildKit has it."""


@dataclass(slots=True)
class Context:
    """What a build has to work with; close it in the end."""

    tree: StoredTree
    dockerfile: str
    """The Dockerfile's text."""
    secrets: dict[str, bytes] = field(default_factory=dict)
    """What `RUN --mount=type=secret` may show, by id; never a part of the tree."""

    def close(self) -> None:
        """Free the context's files."""
        self.tree.close()


def receive(source: Readable, directory: Path, dockerfile: str = "", token: str = "") -> Context:
    """Take in a context's archive (plain, gzip, bzip2, xz, zstd) and find its Dockerfile.

    Contents are kept in a file without a name in `directory`. With `token` (the value of the
    request's X-Lading-Secrets header), members below `.lading-<token>/` are secrets. Raises
    InvalidParameter for a bad archive, and LadingError when there is no such Dockerfile.
    """
    tree = StoredTree(directory)
    try:
        secrets = index(source, tree, token)
        text = take_dockerfile(tree, dockerfile)
    except BaseException:
        tree.close()
        raise
    return Context(tree, text, secrets)


def index(source: Readable, tree: StoredTree, token: str = "") -> dict[str, bytes]:
    """Read an archive into a tree, and all of its stream; gives the secrets that were in it."""
    _, pull = open_plain(source)
    reader = TarReader(pull)
    indexer = _Indexer(tree, reader, f".lading-{token}/".encode() if token else b"")
    for entry in reader:
        indexer.add(entry)
    reader.drain()
    tree.spool.flush()
    return indexer.secrets


def only_secrets(source: Readable, directory: Path, token: str) -> dict[str, bytes]:
    """Read the secrets out of an archive that came beside a context from elsewhere."""
    with StoredTree(directory) as tree:
        return index(source, tree, token)


def only_dockerfile(text: bytes, directory: Path) -> Context:
    """Give the context of a Dockerfile that came alone, as from a URL."""
    tree = StoredTree(directory)
    return Context(tree, _text(text, DEFAULT))


def take_dockerfile(tree: StoredTree, name: str) -> str:
    """Read the Dockerfile; it and `.dockerignore` leave the tree if the latter says so.

    Docker lets the client sort out the rest, and so a pattern that cannot be read has no effect.
    """
    wanted = name or DEFAULT
    inside = os.path.normpath(wanted.lstrip("/"))
    if inside == ".." or inside.startswith("../"):
        raise LadingError(f"forbidden path outside the build context: {wanted} ()")
    found = find(tree, os.fsencode(inside))
    if found is None and not name.strip("/").removeprefix(DEFAULT):
        inside = DEFAULT.lower()
        found = find(tree, os.fsencode(inside))
    if found is None:
        raise LadingError(f"Cannot locate specified Dockerfile: {wanted}")
    if not found[1].is_file:
        raise LadingError(f"unexpected error reading Dockerfile: {wanted}: it is no regular file")
    text = _text(tree.read(found[1]), wanted)
    _forget_ignored(tree, os.fsencode(inside))
    return text


def _text(data: bytes, name: str) -> str:
    if not data:
        raise InvalidParameter(f"the Dockerfile ({name}) cannot be empty")
    return data.decode("utf-8", "replace")


def _forget_ignored(tree: StoredTree, dockerfile: bytes) -> None:
    found = find(tree, IGNORE_FILE)
    if found is None or not found[1].is_file:
        return
    try:
        rules = IgnoreRules.parse(tree.read(found[1]).decode("utf-8", "surrogateescape"))
    except InvalidParameter:
        return
    for path in (IGNORE_FILE, dockerfile):
        if not rules.excluded(os.fsdecode(path)):
            continue
        front, _, name = path.rpartition(b"/")
        above = find(tree, front)
        if above is not None:
            tree.children(above[1]).pop(name, None)


def is_archive(source: Source, node: Node) -> bool:
    """Tell whether a file begins as an archive, compressed or not."""
    try:
        return TarReader(open_plain(source.reader(node))[1]).next() is not None
    except LadingError:
        return False


class _Indexer:
    """Makes nodes of an archive's entries, as unpacking it below a root directory would."""

    def __init__(self, tree: StoredTree, reader: TarReader, secret: bytes) -> None:
        self.secrets: dict[str, bytes] = {}
        self._tree = tree
        self._reader = reader
        self._secret = secret
        self._known: dict[bytes, tuple[bytes, Node]] = {b"": (b"", tree.root)}

    def add(self, entry: Entry) -> None:
        """Add one entry, with the reader at it."""
        path = clean(entry.name)
        if self._secret and (path + b"/").startswith(self._secret):
            if entry.kind is not Kind.DIRECTORY:
                self._keep_secret(entry, os.fsdecode(path[len(self._secret) :]))
            return
        if not path:
            return  # the root's attributes mean nothing: it is never copied itself
        front, _, name = path.rpartition(b"/")
        parent = (self._known.get(front) or self._directory(front))[1]
        old = self._tree.children(parent).get(name)
        if entry.kind is Kind.DIRECTORY and old is not None and old.is_directory:
            _dress(old, entry)
            return
        node = self._node(entry)
        if old is not None and not old.is_file:
            self._known = {b"": (b"", self._tree.root)}
        self._tree.children(parent)[name] = node

    def _keep_secret(self, entry: Entry, name: str) -> None:
        if entry.kind is not Kind.FILE or entry.size > SECRET_MAX or not name:
            raise InvalidParameter(
                f"secret {name!r} must be a file of at most {SECRET_MAX // 1024} KiB"
            )
        self.secrets[name] = b"".join(bytes(piece) for piece in self._reader.content())

    def _node(self, entry: Entry) -> Node:
        if entry.kind is Kind.HARD_LINK:
            return self._linked(entry)
        if entry.kind is Kind.OTHER:
            raise InvalidParameter(f"archive entry {entry.shown} is of an unknown type")
        node = Node(type_bits(entry.kind))
        _dress(node, entry)
        if entry.kind is Kind.FILE:
            self._store(node, entry)
        elif entry.kind is Kind.DIRECTORY:
            node.children = {}
        elif entry.kind is Kind.SYMLINK:
            node.link = entry.link
        elif entry.kind is not Kind.FIFO:
            node.rdev = os.makedev(entry.major & 0xFFF, entry.minor & 0xFFFFF)
        return node

    def _store(self, node: Node, entry: Entry) -> None:
        spool, total = self._tree.spool, sha256()
        node.size, node.offset, node.extents = entry.size, spool.end, entry.extents
        if entry.extents is not None:
            total.update(repr((entry.size, entry.extents)).encode())
        if entry.stored:
            for piece in self._reader.content():
                total.update(piece)
                spool.append(piece)
        node.digest = total.digest()

    def _linked(self, entry: Entry) -> Node:
        try:
            front, _, name = clean(entry.link).rpartition(b"/")
            above = find(self._tree, front)
        except InvalidParameter:
            above, name = None, b""
        target = self._tree.children(above[1]).get(name) if above else None
        if target is None or target.is_directory:
            raise InvalidParameter(
                f"invalid hardlink target {shown(entry.link)} of {entry.shown}: no such file in the"
                " archive"
            )
        target.shared = True
        return target

    def _directory(self, path: bytes) -> tuple[bytes, Node]:
        """Find or make a directory, links followed inside the archive: its real path and node."""
        real, here, links = b"", self._tree.root, 0
        todo = path.split(b"/")[::-1]
        while todo:
            name = todo.pop()
            child = self._tree.children(here).get(name)
            if child is None:
                child = Node(stat.S_IFDIR | 0o755, children={}, implicit=True)
                self._tree.children(here)[name] = child
            elif child.is_link:
                links += 1
                if links > MAX_LINKS:
                    raise InvalidParameter(f"cannot extract {shown(path)}: too many symbolic links")
                todo += filter(None, _target(real, name, child.link).split(b"/")[::-1])
                real, here = b"", self._tree.root
                continue
            elif not child.is_directory:
                raise InvalidParameter(f"cannot extract below {shown(path)}: it is not a directory")
            real, here = real + b"/" + name if real else name, child
        self._known[path] = real, here
        return real, here


def _target(above: bytes, name: bytes, link: bytes) -> bytes:
    """Give where a link in the directory `above` leads, as a path in the archive."""
    parts = [] if link.startswith(b"/") else [part for part in above.split(b"/") if part]
    for part in link.split(b"/"):
        if part == b"..":
            if not parts and not link.startswith(b"/"):
                raise InvalidParameter(
                    f"path escapes from parent: the symbolic link {shown(name)} -> {shown(link)}"
                    " leads out of the root directory"
                )
            del parts[-1:]
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def _dress(node: Node, entry: Entry) -> None:
    node.mode = stat.S_IFMT(node.mode) | entry.mode
    node.uid, node.gid, node.mtime = entry.uid, entry.gid, entry.mtime
    node.xattrs = entry.xattrs
    node.implicit = False
