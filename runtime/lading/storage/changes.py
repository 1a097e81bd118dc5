"""`docker diff`: what a container's read-write layer changes of the layers below it."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from lading.storage.archive.extract import OPAQUE, is_whiteout
from lading.storage.stack import Found, Stack, capability_of
from lading.storage.trees import Node, open_root, walk


class ChangeKind(IntEnum):
    """What happened to a path, numbered as `GET /containers/{id}/changes` does."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


@dataclass(frozen=True, slots=True)
class Change:
    """One line of `docker diff`: an absolute path in the container and what happened to it."""

    path: str
    kind: ChangeKind


def changes(upper: Path, lower: Sequence[Path]) -> list[Change]:
    """Compare an upper directory with the layers below it (top first); sorted by path.

    As Docker does: a directory is listed as modified when something in it changed or its own
    owner or mode did; a file that was copied up but is the same is not listed.
    """
    root = open_root(upper)
    try:
        with Stack(lower) as stack:
            return _Comparison(stack).run(root)
    finally:
        os.close(root)


class _Comparison:
    """One walk through an upper directory beside the same directories of the lower layers."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._kinds: dict[bytes, ChangeKind] = {}
        # For each directory of the upper layer, the lower layers that are merged into it.
        self._below: dict[bytes, tuple[int, ...]] = {b"": stack.all}

    def run(self, root: int) -> list[Change]:
        for node in walk(root):
            self._visit(node)
        found = sorted(self._kinds.items())
        return [Change("/" + os.fsdecode(path), kind) for path, kind in found]

    def _visit(self, node: Node) -> None:
        front, _, name = node.path.rpartition(b"/")
        layers = self._below[front]
        old = self._stack.child(layers, front, name) if layers else None
        new = node.lstat()
        if is_whiteout(new):
            if old is not None:
                self._note(node.path, ChangeKind.DELETED)
            return
        if node.is_directory:
            self._enter(node, old)
        if old is None:
            self._note(node.path, ChangeKind.ADDED)
        elif self._differs(node, old, new):
            self._note(node.path, ChangeKind.MODIFIED)

    def _enter(self, node: Node, old: Found | None) -> None:
        """Decide what a directory of the upper layer is compared with, and what it hides."""
        merged = old is not None and stat.S_ISDIR(old.status.st_mode)
        layers = old.layers if old is not None and merged else ()
        if layers and _is_opaque(node):
            self._note_hidden(node, layers)
        self._below[node.path] = layers

    def _note_hidden(self, node: Node, layers: tuple[int, ...]) -> None:
        """List what an opaque directory hides and does not have itself."""
        descriptor = os.open(node.name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=node.parent)
        try:
            kept = {os.fsencode(name) for name in os.listdir(descriptor)}
        finally:
            os.close(descriptor)
        for name in self._stack.names(layers, node.path) - kept:
            self._note(node.path + b"/" + name, ChangeKind.DELETED)

    def _note(self, path: bytes, kind: ChangeKind) -> None:
        """Note a change; the directories above it are modified by it."""
        self._kinds[path] = kind
        while path := path.rpartition(b"/")[0]:
            if path in self._kinds:
                return
            self._kinds[path] = ChangeKind.MODIFIED

    def _differs(self, node: Node, old: Found, new: os.stat_result) -> bool:
        status = old.status
        if (status.st_mode, status.st_uid, status.st_gid, status.st_rdev) != (
            new.st_mode,
            new.st_uid,
            new.st_gid,
            new.st_rdev,
        ):
            return True
        if not node.is_directory and (status.st_mtime_ns, status.st_size) != (
            new.st_mtime_ns,
            new.st_size,
        ):
            return True
        mine = capability_of(b"/proc/self/fd/%d/%s" % (node.parent, node.name))
        return mine != self._stack.capability(old, node.path)


def _is_opaque(node: Node) -> bool:
    target = b"/proc/self/fd/%d/%s" % (node.parent, node.name)
    try:
        return os.getxattr(target, OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False
