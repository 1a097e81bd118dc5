"""`docker cp`: reading and writing archives inside a container's root, and volume copy-up.

Every path is resolved inside the root that `root_fd` opens (openat2 with RESOLVE_IN_ROOT): a
symbolic link in the container never leads out of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lading.storage.streams import Readable


@dataclass(frozen=True, slots=True)
class PathStat:
    """What `X-Docker-Container-Path-Stat` tells; `mode` is Go's os.FileMode, `mtime` RFC 3339."""

    name: str
    size: int
    mode: int
    mtime: str
    link_target: str


def stat_path(root_fd: int, path: str) -> PathStat:
    """Describe `path` (HEAD archive); NotFound in Docker's words when it does not exist."""
    raise NotImplementedError


def read_archive(root_fd: int, path: str) -> tuple[PathStat, Iterator[bytes]]:
    """Return `path`'s description and a tar of it (GET archive). Keep `root_fd` open meanwhile."""
    raise NotImplementedError


def write_archive(
    root_fd: int,
    path: str,
    source: Readable,
    *,
    no_overwrite_dir_non_dir: bool = False,
    copy_uid_gid: bool = False,
) -> None:
    """Extract a tar, compressed or not, into the directory `path` (PUT archive)."""
    raise NotImplementedError


def copy_up(root_fd: int, path: str, target: str) -> None:
    """Copy the content of `path` in the image into the empty volume directory `target`.

    Ownership, modes, times and xattrs come along; the directory's own too. Nothing happens when
    `path` does not exist or is no directory, or when `target` is not empty.
    """
    raise NotImplementedError
