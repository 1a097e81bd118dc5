"""What overlayfs would show of a stack of layers, found without mounting them."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lading.storage.archive.extract import OPAQUE, is_whiteout
from lading.storage.trees import open_root


@dataclass(frozen=True, slots=True)
class Found:
    """What the stack shows at a path: its status, its layer, and the layers merged into it.

    `layers` are indices, top first; it has more than one element only for a directory.
    """

    status: os.stat_result
    layers: tuple[int, ...]


class Stack:
    """Read-only layer directories, the top one first; use as a context.

    Layers do not change, so a path inside one that was once seen to be made of directories stays
    so, and may be given to the kernel whole.
    """

    def __init__(self, directories: Sequence[Path]) -> None:
        self._roots: list[int] = []
        try:
            for directory in directories:
                self._roots.append(open_root(directory))
        except BaseException:
            self.__exit__()
            raise
        self.all = tuple(range(len(self._roots)))

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *ended: object) -> None:
        while self._roots:
            os.close(self._roots.pop())

    def child(self, layers: Sequence[int], directory: bytes, name: bytes) -> Found | None:
        """Look up `name` in a directory that these layers make up; None when it is not there."""
        path = directory + b"/" + name if directory else name
        status: os.stat_result | None = None
        merged: list[int] = []
        for index in layers:
            try:
                found = os.stat(path, dir_fd=self._roots[index], follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if is_whiteout(found) or (merged and not stat.S_ISDIR(found.st_mode)):
                break
            status = status or found
            merged.append(index)
            if not stat.S_ISDIR(found.st_mode) or self._is_opaque(index, path):
                break
        return Found(status, tuple(merged)) if status is not None else None

    def lookup(self, path: bytes) -> Found | None:
        """Look up a clean relative path, not following links."""
        layers: tuple[int, ...] = self.all
        front = b""
        found: Found | None = None
        for name in path.split(b"/"):
            if found is not None and not stat.S_ISDIR(found.status.st_mode):
                return None
            found = self.child(layers, front, name)
            if found is None:
                return None
            layers = found.layers
            front = front + b"/" + name if front else name
        return found

    def names(self, layers: Sequence[int], directory: bytes) -> set[bytes]:
        """List the directory that these layers make up."""
        names: set[bytes] = set()
        gone: set[bytes] = set()
        for index in layers:
            descriptor = os.open(
                directory or b".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._roots[index]
            )
            try:
                for text in os.listdir(descriptor):
                    name = os.fsencode(text)
                    if name in gone or name in names:
                        continue
                    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                    (gone if is_whiteout(status) else names).add(name)
            finally:
                os.close(descriptor)
        return names

    def xattrs(self, found: Found, path: bytes) -> dict[str, bytes]:
        """Return the extended attributes of what was found, without overlayfs' own."""
        target = self._proc_path(found.layers[0], path)
        names = os.listxattr(target, follow_symlinks=False)
        return {
            name: os.getxattr(target, name, follow_symlinks=False)
            for name in names
            if not name.startswith("trusted.overlay.")
        }

    def capability(self, found: Found, path: bytes) -> bytes:
        """Return the raw file capabilities of what was found; empty for none."""
        return capability_of(self._proc_path(found.layers[0], path))

    def _is_opaque(self, index: int, path: bytes) -> bool:
        try:
            return os.getxattr(self._proc_path(index, path), OPAQUE) == b"y"
        except OSError:
            return False

    def _proc_path(self, index: int, path: bytes) -> bytes:
        return b"/proc/self/fd/%d/%s" % (self._roots[index], path)


def capability_of(target: bytes) -> bytes:
    """Return a file's raw capabilities (xattr security.capability); empty for none."""
    try:
        return os.getxattr(target, "security.capability", follow_symlinks=False)
    except OSError:
        return b""
