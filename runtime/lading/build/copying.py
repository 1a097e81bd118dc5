"""COPY and ADD: which files they mean, the key of their cache, and the layer that they make.

What goes where, and what is said when something is wrong, was found on Docker 28.5.2's classic
builder; `--chmod`, `--exclude`, `--parents` and here-documents, which that lacks, are as the
Dockerfile reference describes them. `--link` changes nothing here, as in the classic builder.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from lading.build.attributes import Chmod, join, owner, parse_chmod, without_set_id
from lading.build.context import index, is_archive
from lading.build.destination import View
from lading.build.layertree import LayerTree, Placed, put
from lading.build.lookup import Excluded, find, glob, has_wildcard, key, walk
from lading.build.sources import Node, Source, StoredTree
from lading.errors import InvalidParameter, LadingError, NotFound
from lading.ignore import IgnoreRules

URLS = ("http://", "https://")
_ROOT = (0, 0)


@dataclass(frozen=True, slots=True)
class CopyRequest:
    """One COPY or ADD with its variables replaced.

    `workdir` is the image's working directory. With `from_`, the source is another stage or image,
    whose owners are kept unless `chown` tells others.
    """

    keyword: str
    sources: tuple[str, ...]
    destination: str
    workdir: str = "/"
    chown: str = ""
    chmod: str = ""
    exclude: tuple[str, ...] = ()
    parents: bool = False
    unpack: bool | None = None
    from_: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to copy.

    `name` is what it is called in a directory; `below` the directories that `--parents` keeps.
    """

    source: Source
    node: Node
    name: bytes
    below: bytes = b""
    archive: bool = False


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """What a COPY or ADD means in its sources."""

    request: CopyRequest
    items: tuple[Item, ...]
    excluded: Excluded | None
    chmod: Chmod | None

    def key(self) -> str:
        """Give what stands for the sources in the history: `file:…`, `dir:…` or `multi:…`, in hex.

        Equal keys mean equal names, modes, owners, types, link targets, contents and attributes;
        times do not count.
        """
        digests = [self._key(item) for item in self.items]
        if len(self.items) > 1:
            return "multi:" + sha256(b"".join(digests)).hexdigest()
        kind = "dir" if self.items[0].node.is_directory else "file"
        return f"{kind}:{digests[0].hex()}"

    def _key(self, item: Item) -> bytes:
        digest = key(item.source, item.node, item.name, self.excluded)
        request = self.request
        if item.below or item.archive or request.chmod:
            told = repr((digest, item.below, item.archive, request.chmod))
            return sha256(told.encode()).digest()
        return digest

    def layer(self, root: int | None, directory: Path) -> Iterator[bytes]:
        """Yield the layer's tar stream, over the image below the descriptor `root` (None: scratch).

        `directory` is where an archive's contents are kept meanwhile. Nothing is yielded before all
        is known to be right; raises LadingError for a name that `--chown` cannot find, and for a
        destination that cannot be.
        """
        placer = _Placer(self, LayerTree(View(root)), directory)
        try:
            placer.place_all()
            yield from placer.tree.tar()
        finally:
            placer.close()


def plan(
    request: CopyRequest, source: Source | None, inline: Mapping[str, Item] | None = None
) -> CopyPlan:
    """Find what a COPY or ADD means.

    `inline` has, by the word in `request.sources`, what does not come from `source`: what a URL
    gave (see `fetch`) or a here-document (see `heredoc`; the word is `<<EOF`). Raises NotFound,
    InvalidParameter or LadingError in Docker's words.
    """
    items: list[Item] = []
    excluded = _excluded(request.exclude)
    for word in request.sources:
        if inline is not None and word in inline:
            items.append(_inline(request, word, inline[word]))
        elif request.keyword == "COPY" and word.lower().startswith(URLS):
            raise InvalidParameter("COPY failed: source can't be a URL for COPY")
        elif source is not None:
            items += _local(request, source, word)
    if excluded is not None:
        items = [one for one in items if one.node.is_directory or not excluded(one.name)]
    if not items:
        raise InvalidParameter(f"{request.keyword} failed: no source files were specified")
    if len(items) > 1 and not request.destination.endswith("/"):
        raise InvalidParameter(
            f"When using {request.keyword} with more than one source file, the destination must be"
            " a directory and end with a /"
        )
    chmod = parse_chmod(request.chmod) if request.chmod else None
    return CopyPlan(request, tuple(items), excluded, chmod)


def _excluded(patterns: Sequence[str]) -> Excluded | None:
    if not patterns:
        return None
    rules = IgnoreRules(patterns)
    return lambda path: rules.excluded(path.decode("utf-8", "surrogateescape"))


def heredoc(name: str, content: str, directory: Path) -> Item:
    """Give a here-document, its variables replaced, as something to copy; close its source."""
    tree = StoredTree(directory)
    return Item(tree, tree.put(os.fsencode(name), content.encode()), os.fsencode(name))


def _inline(request: CopyRequest, word: str, item: Item) -> Item:
    if not item.name and item.node.is_file and request.destination.endswith("/"):
        raise InvalidParameter(
            f"{request.keyword} failed: cannot determine filename for source {word}"
        )
    unpacks = bool(request.unpack) and item.node.is_file
    return replace(item, archive=unpacks and is_archive(item.source, item.node))


def _local(request: CopyRequest, source: Source, word: str) -> list[Item]:
    """Find what one word means: what a pattern matches, or the file that it names."""
    pivot, _, tail = word.partition("/./") if request.parents else ("", "", "")
    cleaned = os.path.normpath(word.lstrip("/") or ".")
    if cleaned == ".." or cleaned.startswith("../"):
        raise LadingError(
            f"{request.keyword} failed: forbidden path outside the build context: {cleaned} ()"
        )
    path = os.fsencode(cleaned)
    paths = [path]
    if has_wildcard(path):
        stays_out = _excluded(request.exclude) or (lambda _: False)
        matched = glob(source, path, deep=request.parents)
        paths = [one for one in matched if not stays_out(one.rpartition(b"/")[2])]
    depth = len([p for p in pivot.split("/") if p not in ("", ".")]) if tail else 0
    return [_item(request, source, one, depth) for one in paths]


def _item(request: CopyRequest, source: Source, path: bytes, depth: int) -> Item:
    found = find(source, path)
    if found is None:
        where = "" if request.from_ else "file not found in build context or excluded by "
        where += "" if request.from_ else ".dockerignore: "
        raise NotFound(
            f"{request.keyword} failed: {where}stat {os.fsdecode(path)}: file does not exist"
        )
    node = found[1]
    front, _, name = path.rpartition(b"/")
    parts = front.split(b"/")[depth:] if request.parents and front else []
    if request.parents and node.is_directory and path != b".":
        parts.append(name)
    unpacks = request.keyword == "ADD" and request.unpack is not False
    archive = unpacks and node.is_file and is_archive(source, node)
    return Item(source, node, name, b"/".join(parts), archive)


class _Placer:
    """Puts the items of a plan into a layer."""

    def __init__(self, plan_: CopyPlan, tree: LayerTree, directory: Path) -> None:
        self.tree = tree
        self._plan = plan_
        self._directory = directory
        self._opened: list[StoredTree] = []
        chown = plan_.request.chown
        self._owner = owner(chown, tree.view) if chown else _ROOT
        self._keeps = bool(plan_.request.from_) and not chown

    def close(self) -> None:
        """Let the contents of unpacked archives go."""
        for one in self._opened:
            one.close()

    def place_all(self) -> None:
        """Put everything in its place."""
        request = self._plan.request
        path, as_directory = join(request.workdir, request.destination)
        target = self.tree.view.resolve(path)
        as_directory = as_directory or request.parents
        for group, item in enumerate(self._plan.items):
            self._place(item, group, target, as_directory)

    def _place(self, item: Item, group: int, target: bytes, as_directory: bool) -> None:
        if item.archive:
            self._unpack(item, group, target)
            return
        if item.node.is_directory:
            place = self._joined(target, item.below)
            failing = "failed to copy files: failed to copy directory: "
            existed = self.tree.is_directory(place)
            here = self._made(failing, place)
            if self._plan.chmod is not None and not existed:
                here.mode = stat.S_IFDIR | self._plan.chmod(here.mode, True)
            self._merge(item, group, here)
            return
        if as_directory or self.tree.is_directory(target):
            failing = "failed to copy files: failed to create new directory: "
            here, name = self._made(failing, self._joined(target, item.below)), item.name
        else:
            front, _, name = target.rpartition(b"/")
            here = self._made("failed to copy files: ", front)
        self._put(here, name, item.node, item.source, group)

    def _joined(self, target: bytes, below: bytes) -> bytes:
        if not below:
            return target
        return self.tree.view.resolve(target + b"/" + below if target else below)

    def _made(self, failing: str, path: bytes, owned: tuple[int, int] | None = None) -> Placed:
        try:
            return self.tree.directory(path, self._owner if owned is None else owned)
        except LadingError as error:
            raise LadingError(failing + error.message) from None

    def _merge(self, item: Item, group: int, here: Placed) -> None:
        """Put all that is in a directory into another: directories merge, the rest is replaced."""
        above = {b"": here}
        for path, node in walk(item.source, item.node, self._plan.excluded):
            front, _, name = path.rpartition(b"/")
            placed = self._put(above[front], name, node, item.source, group)
            if node.is_directory:
                above[path] = placed

    def _put(self, here: Placed, name: bytes, node: Node, source: Source, group: int) -> Placed:
        is_directory = node.is_directory
        mode = node.mode if self._keeps else without_set_id(node.mode)
        ids = (node.uid, node.gid) if self._keeps else self._owner
        if self._plan.chmod is not None and not node.is_link:
            mode = stat.S_IFMT(mode) | self._plan.chmod(node.mode, is_directory)
        made = Placed(mode, *ids, node.mtime, None, node, source, group, node.xattrs)
        return put(here, name, made)

    def _unpack(self, item: Item, group: int, scope: bytes) -> None:
        """Put an archive's content into a directory, which is the root for the links in there.

        The archive's owners are kept, whatever `--chown` says.
        """
        here = self._made("failed to copy files: ", scope, _ROOT)
        archive = StoredTree(self._directory)
        self._opened.append(archive)
        index(item.source.reader(item.node), archive)
        above = {b"": (here, scope)}
        for inner, node in walk(archive, archive.root, None):
            front, _, name = inner.rpartition(b"/")
            place, at = above[front]
            real = at + b"/" + name if at else name
            if node.implicit:
                # What the archive only passes through stays what it is, a link to a directory, too.
                real = self.tree.view.resolve(real[len(scope) :], scope)
                above[inner] = self._made("failed to copy files: ", real, _ROOT), real
                continue
            made = Placed(
                node.mode, node.uid, node.gid, node.mtime, None, node, archive, group, node.xattrs
            )
            placed = put(place, name, made)
            if node.is_directory:
                above[inner] = placed, real
