"""tmpcopyup: a tmpfs that begins with what was at its place."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from lading.kernel import mounts, xattrs
from lading.kernel.errors import Attempt

_CHUNK = 1 << 20


def mount_with_copy(path: str, source: str, flags: int, data: str | None) -> None:
    """Mount a tmpfs at the directory *path* and copy into it what the directory holds."""
    with Attempt("open", path):
        below = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        readonly = flags & mounts.MountFlag.RDONLY
        mounts.mount(source or "tmpfs", path, "tmpfs", flags & ~readonly, data)
        # The descriptor behind *path* is what is covered; ".." and back finds what covers it.
        above = _covering(below)
        try:
            _copy_directory(below, above)
            _copy_facts(os.fstat(below), f"/proc/self/fd/{above}")
            if readonly:
                mounts.remount_bind(f"/proc/self/fd/{above}", flags)
        finally:
            os.close(above)
    finally:
        os.close(below)


def _covering(below: int) -> int:
    name = os.path.basename(os.readlink(f"/proc/self/fd/{below}"))
    parent = os.open("..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=below)
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, dir_fd=parent)
    finally:
        os.close(parent)


def _copy_directory(source: int, target: int) -> None:
    """Copy the entries of one directory into another, both given as descriptors."""
    for name in os.listdir(source):
        facts = os.stat(name, dir_fd=source, follow_symlinks=False)
        with Attempt("copy up", name):
            _copy_entry(name, facts, source, target)
        _copy_xattrs(f"/proc/self/fd/{source}/{name}", f"/proc/self/fd/{target}/{name}")
        _copy_facts(facts, f"/proc/self/fd/{target}/{name}")


def _copy_entry(name: str, facts: os.stat_result, source: int, target: int) -> None:
    kind = stat.S_IFMT(facts.st_mode)
    if kind == stat.S_IFDIR:
        os.mkdir(name, 0o700, dir_fd=target)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        inner_source = os.open(name, flags, dir_fd=source)
        inner_target = os.open(name, flags, dir_fd=target)
        try:
            _copy_directory(inner_source, inner_target)
        finally:
            os.close(inner_source)
            os.close(inner_target)
    elif kind == stat.S_IFREG:
        _copy_file(name, source, target)
    elif kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    else:
        os.mknod(name, facts.st_mode, facts.st_rdev, dir_fd=target)


def _copy_file(name: str, source: int, target: int) -> None:
    reading = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        writing = os.open(name, flags, 0o600, dir_fd=target)
        try:
            while os.sendfile(writing, reading, None, _CHUNK):
                pass
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_xattrs(source: str, target: str) -> None:
    for key, value in xattrs.all_of(source).items():
        if not key.startswith("trusted.overlay."):
            with suppress(OSError):  # tmpfs takes not every attribute
                xattrs.put(target, key, value)


def _copy_facts(facts: os.stat_result, target: str) -> None:
    is_link = stat.S_ISLNK(facts.st_mode)
    os.chown(target, facts.st_uid, facts.st_gid, follow_symlinks=not is_link)
    if not is_link:
        os.chmod(target, stat.S_IMODE(facts.st_mode))
    times = (facts.st_atime_ns, facts.st_mtime_ns)
    os.utime(target, ns=times, follow_symlinks=not is_link)
