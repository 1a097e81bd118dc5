"""Paths and wildcards in a source, and what stands for a file in the cache's key."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from hashlib import sha256

from lading.build.sources import Node, Source
from lading.ignore import IgnoreRules
from lading.storage.trees import MAX_LINKS

_WILD = frozenset(b"*?[")


def find(source: Source, path: bytes) -> tuple[bytes, Node] | None:
    """Find a path, links followed inside the source: where it really is, and its node.

    An absolute link begins at the source's root, and `..` leads no further up than that.
    """
    trail: list[tuple[bytes, Node]] = [(b"", source.root)]
    todo = path.split(b"/")[::-1]
    links = 0
    while todo:
        part = todo.pop()
        here = trail[-1][1]
        if part in (b"", b"."):
            continue
        if part == b"..":
            del trail[max(1, len(trail) - 1) :]
            continue
        child = source.children(here).get(part) if here.is_directory else None
        if child is None:
            return None
        if not child.is_link:
            trail.append((part, child))
            continue
        links += 1
        if links > MAX_LINKS:
            return None
        if child.link.startswith(b"/"):
            del trail[1:]
        todo += child.link.split(b"/")[::-1]
    return b"/".join(name for name, _ in trail[1:]), trail[-1][1]


def has_wildcard(path: bytes) -> bool:
    """Tell whether a path is a pattern; a backslash takes the meaning of what follows it."""
    escaped = False
    for char in path:
        if not escaped and char in _WILD:
            return True
        escaped = not escaped and char == ord("\\")
    return False


def glob(source: Source, pattern: bytes, *, deep: bool = False) -> Iterator[bytes]:
    """Yield the paths that a pattern matches, in the order of their bytes, part by part.

    Links are not followed on the way. With `deep`, `**` stands for any number of directories, as
    in `COPY --parents`; otherwise it means what `*` does.
    """
    parts = [part for part in pattern.split(b"/") if part not in (b"", b".")]
    seen: set[bytes] = set()
    for path in _glob(source, source.root, b"", parts, deep):
        if path not in seen:
            seen.add(path)
            yield path


def _glob(
    source: Source, node: Node, prefix: bytes, parts: list[bytes], deep: bool
) -> Iterator[bytes]:
    if not parts:
        yield prefix[:-1]
        return
    if not node.is_directory:
        return
    part, rest = parts[0], parts[1:]
    any_depth = deep and part == b"**"
    if any_depth and rest:
        yield from _glob(source, node, prefix, rest, deep)
    matches = _matcher(part)
    for name, child in sorted(source.children(node).items()):
        if any_depth and child.is_directory and rest:
            yield from _glob(source, child, prefix + name + b"/", parts, deep)
        elif matches(name) and not (any_depth and rest):
            yield from _glob(source, child, prefix + name + b"/", rest, deep)


def _matcher(part: bytes) -> Callable[[bytes], bool]:
    if not has_wildcard(part):
        return part.__eq__
    text = part.decode("utf-8", "surrogateescape")
    rules = IgnoreRules(["\\" + text if text.startswith("!") else text])
    return lambda name: rules.excluded(name.decode("utf-8", "surrogateescape"))


Excluded = Callable[[bytes], bool]
"""Tells of a path below what is copied, or of a single file's name, whether it stays out."""


def key(source: Source, node: Node, name: bytes, excluded: Excluded | None) -> bytes:
    """Give the digest of all that copying a node depends on: everything but times.

    Of a directory that is its mode and owner, and what is in it; of a file also its name.
    """
    total = sha256()
    if not node.is_directory:
        total.update(_line(source, node, name))
        return total.digest()
    total.update(_line(source, node, b""))
    for path, below in walk(source, node, excluded):
        total.update(_line(source, below, path))
    return total.digest()


def walk(source: Source, node: Node, excluded: Excluded | None) -> Iterator[tuple[bytes, Node]]:
    """Yield all below a directory, in the order of names, a directory before its content.

    Of an excluded directory comes what is not excluded in it, and then the directory itself.
    """
    waiting = [(b"", node)]
    while waiting:
        path, here = waiting.pop()
        if path:
            yield path, here
        if not here.is_directory:
            continue
        prefix = path + b"/" if path else b""
        found = [(prefix + name, child) for name, child in source.children(here).items()]
        if excluded is not None:
            found = [
                (p, c) for p, c in found if not excluded(p) or _readmits(source, p, c, excluded)
            ]
        found.sort(reverse=True)
        waiting += found


def _readmits(source: Source, path: bytes, node: Node, excluded: Excluded) -> bool:
    """Tell whether something in an excluded directory is wanted all the same."""
    if not node.is_directory:
        return False
    below = ((path + b"/" + name, child) for name, child in source.children(node).items())
    return any(not excluded(p) or _readmits(source, p, c, excluded) for p, c in below)


def _line(source: Source, node: Node, path: bytes) -> bytes:
    kind = stat.S_IFMT(node.mode)
    if kind == stat.S_IFREG:
        content = source.digest(node)
    elif kind == stat.S_IFLNK:
        content = node.link
    else:
        content = b"%d" % node.rdev
    line = b"%d\0%s%o %d %d %d\0%s" % (
        len(path), path, node.mode, node.uid, node.gid, len(content), content,
    )  # fmt: skip
    for name, value in sorted((node.xattrs or {}).items()):
        line += b"%s\0%d\0%s" % (name.encode("utf-8", "surrogateescape"), len(value), value)
    return line
