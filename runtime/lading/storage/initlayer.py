"""The layer between an image and a container: mount points and files that every container has.

Docker makes one such layer (`<id>-init`) for each container. What is in it depends on the image by
a few attributes only, so containers share it here; `docker diff` does not show it either way.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lading.files import temporary_name
from lading.storage.stack import Found, Stack
from lading.storage.trees import open_root, remove

_PARENTS = (b"dev", b"etc")
_DIRECTORIES = (b"dev/pts", b"dev/shm", b"proc", b"sys")
_FILES = (b".dockerenv", b"dev/console", b"etc/hostname", b"etc/hosts", b"etc/resolv.conf")
_LINKS = ((b"etc/mtab", b"/proc/mounts"),)
_SCHEME = b"1"
"""Part of the key: raise it when what the layer holds changes."""


@dataclass(frozen=True, slots=True)
class _Directory:
    """The attributes of a directory that the init layer has in common with the image."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    xattrs: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class InitLayer:
    """What has to be made for an image: directories with their attributes, files, links."""

    parents: tuple[tuple[bytes, _Directory], ...]
    directories: tuple[bytes, ...]
    files: tuple[bytes, ...]
    links: tuple[tuple[bytes, bytes], ...]

    @property
    def key(self) -> str:
        """A name for this content."""
        return hashlib.sha256(_SCHEME + repr(self).encode()).hexdigest()


def plan(chain: Sequence[Path]) -> InitLayer:
    """Find out what the init layer over these layers (top first) has to hold.

    Files are always new and empty, as Docker replaces what an image has in their place; of
    directories only those are made that the image does not have.
    """
    with Stack(chain) as stack:
        parents = tuple((path, _attributes(stack, path)) for path in _PARENTS)
        return InitLayer(
            parents,
            tuple(path for path in _DIRECTORIES if not _is_directory(stack.lookup(path))),
            tuple(path for path in _FILES if not _is_directory(stack.lookup(path))),
            tuple(link for link in _LINKS if not _is_directory(stack.lookup(link[0]))),
        )


def build(layer: InitLayer, directory: Path) -> None:
    """Make the layer at `directory`/diff; nothing happens when it is there."""
    if directory.exists():
        return
    temporary = directory.parent / temporary_name()
    content = temporary / "diff"
    content.mkdir(parents=True)
    descriptor = open_root(content)
    try:
        _fill(layer, descriptor)
    finally:
        os.close(descriptor)
    content.chmod(0o755)
    try:
        temporary.rename(directory)
    except OSError:
        # Another thread made the same layer meanwhile.
        parent = open_root(directory.parent)
        try:
            remove(temporary.name, parent)
        finally:
            os.close(parent)


def _fill(layer: InitLayer, root: int) -> None:
    for path, _ in layer.parents:
        os.mkdir(path, dir_fd=root)
    for path in layer.directories:
        os.mkdir(path, dir_fd=root)
        os.chmod(path, 0o755, dir_fd=root)
    for path in layer.files:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700, dir_fd=root))
        os.chmod(path, 0o755, dir_fd=root)
    for path, target in layer.links:
        os.symlink(target, path, dir_fd=root)
    for path, attributes in layer.parents:
        os.chown(path, attributes.uid, attributes.gid, dir_fd=root)
        os.chmod(path, attributes.mode, dir_fd=root)
        for name, value in attributes.xattrs:
            os.setxattr(b"/proc/self/fd/%d/%s" % (root, path), name, value)


def _attributes(stack: Stack, path: bytes) -> _Directory:
    found = stack.lookup(path)
    if found is None or not _is_directory(found):
        return _Directory()
    status = found.status
    return _Directory(
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        tuple(sorted(stack.xattrs(found, path).items())),
    )


def _is_directory(found: Found | None) -> bool:
    return found is not None and stat.S_ISDIR(found.status.st_mode)
