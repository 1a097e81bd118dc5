"""The users and groups that a container knows, read from its own files and from nowhere else."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from lading.engine.users import Accounts
from lading.storage.layers import LayerStore
from lading.storage.rwlayers import RwLayer
from lading.storage.stack import Stack
from lading.storage.trees import Tree

_PASSWD, _GROUP = b"etc/passwd", b"etc/group"
_LIMIT = 4 * 1024 * 1024
"""Bytes of such a file that are read; what is longer is no file of accounts."""


class AccountBook:
    """Looks accounts up; what comes from images alone is remembered by the layers."""

    def __init__(self, layers: LayerStore) -> None:
        self._layers = layers
        self._known: dict[tuple[str, ...], Accounts] = {}

    def of_stopped(self, container_id: str) -> Accounts:
        """Read the accounts of a container that does not run, from its layers."""
        rw = self._layers.rw(container_id)
        if os.path.lexists(rw.upper / "etc"):
            return self._read(rw, [rw.upper])
        known = self._known.get(rw.chain)
        if known is None:
            known = self._known[rw.chain] = self._read(rw, [])
        return known

    def of_running(self, pid: int) -> Accounts:
        """Read the accounts of a running container as it sees them now."""
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return _read_in(root)
        finally:
            os.close(root)

    def _read(self, rw: RwLayer, above: Sequence[Path]) -> Accounts:
        directories = [*above, *self._layers.paths(rw.chain)]
        with Stack(directories) as stack:
            found = [stack.lookup(path) for path in (_PASSWD, _GROUP)]
            if all(each is None or stat.S_ISREG(each.status.st_mode) for each in found):
                return Accounts.parse(
                    *(
                        _text(directories[each.layers[0]] / os.fsdecode(path)) if each else ""
                        for each, path in zip(found, (_PASSWD, _GROUP), strict=True)
                    )
                )
        # A symbolic link is in the way: only the merged file system says where it leads.
        with self._layers.view(rw) as root:
            return _read_in(root)


def _text(path: Path) -> str:
    return _content(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC))


def _content(descriptor: int) -> str:
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_LIMIT).decode("utf-8", "replace")


def _read_in(root: int) -> Accounts:
    """Read both files inside a root; links in its directories stay inside it."""
    with Tree(root, clamp=True) as tree:
        return Accounts.parse(_read_one(tree, _PASSWD), _read_one(tree, _GROUP))


def _read_one(tree: Tree, path: bytes) -> str:
    front, _, name = path.rpartition(b"/")
    try:
        for _ in range(8):
            directory, canonical = tree.directory(front)
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                return _content(os.open(name, flags, dir_fd=directory))
            target = os.readlink(name, dir_fd=directory)
            joined = target if target.startswith(b"/") else b"/" + canonical + b"/" + target
            front, _, name = os.path.normpath(joined).strip(b"/").rpartition(b"/")
    except OSError:
        return ""
    return ""
