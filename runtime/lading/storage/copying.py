"""`docker cp`: reading and writing archives inside a container's root, and volume copy-up.

Every path is resolved inside the root that `root_fd` opens, link by link: a symbolic link in the
container never leads out of it, whoever changes it meanwhile.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from lading.errors import InvalidParameter, LadingError, NotFound
from lading.files import explaining
from lading.storage.archive.compression import open_plain
from lading.storage.archive.extract import Extractor, Replacing
from lading.storage.archive.pack import pack_named, pack_tree
from lading.storage.archive.reader import TarReader
from lading.storage.streams import Readable
from lading.storage.trees import MAX_LINKS, Tree, open_root

_GO_TYPES = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
}
_GO_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


@dataclass(frozen=True, slots=True)
class PathStat:
    """What `X-Docker-Container-Path-Stat` tells; `mode` is Go's os.FileMode, `mtime` RFC 3339.

    `link_target` is where a symbolic link leads in the end, as an absolute path in the container.
    """

    name: str
    size: int
    mode: int
    mtime: str
    link_target: str


def stat_path(root_fd: int, path: str) -> PathStat:
    """Describe `path` (HEAD archive), a link itself unless it ends with a slash or `/.`.

    Raises NotFound when it does not exist, and LadingError for a file used as a directory.
    """
    with Tree(root_fd, clamp=True) as tree:
        described, parent, _ = _locate(tree, path)
    os.close(parent)
    return described


def read_archive(root_fd: int, path: str) -> tuple[PathStat, Iterator[bytes]]:
    """Return `path`'s description and a tar of it (GET archive). Keep `root_fd` open meanwhile.

    Entries are named after the last part of `path`, `.` when that is what it ends with.
    """
    with Tree(root_fd, clamp=True) as tree:
        described, parent, name = _locate(tree, path)
    return described, _packed(parent, name, os.fsencode(described.name))


def write_archive(
    root_fd: int,
    path: str,
    source: Readable,
    *,
    no_overwrite_dir_non_dir: bool = False,
    owner: tuple[int, int] | None = None,
) -> None:
    """Extract a tar, compressed or not, into the directory `path` (PUT archive).

    With `owner` (`copyUIDGID`: the container's user), all that is written becomes theirs. Raises
    NotFound for a missing directory, InvalidParameter for a bad archive or a file as directory.
    """
    with Tree(root_fd, clamp=True) as tree:
        try:
            directory, _ = tree.directory(_relative(path))
        except FileNotFoundError:
            raise _missing(path) from None
        except NotADirectoryError:
            raise InvalidParameter("extraction point is not a directory") from None
        held = os.dup(directory)
    try:
        _, pull = open_plain(source)
        reader = TarReader(pull)
        with Replacing(held, owner=owner, strict=no_overwrite_dir_non_dir) as extractor:
            extractor.extract(reader)
        reader.drain()
    finally:
        os.close(held)


def copy_up(root_fd: int, path: str, target: str) -> None:
    """Copy the content of `path` in the image into the empty volume directory `target`.

    Ownership, modes, times and xattrs come along; the directory's own too. Nothing happens when
    `path` does not exist or is no directory, or when `target` is not empty.
    """
    if os.listdir(target):
        return
    with Tree(root_fd, clamp=True) as tree, explaining(f"copy {path} into a volume"):
        try:
            source, _ = tree.directory(_relative(path))
        except (FileNotFoundError, NotADirectoryError):
            return
        destination = open_root(target)
        try:
            chunks = pack_tree(source, precise=True)
            with Extractor(destination) as extractor:
                extractor.extract(TarReader(lambda: next(chunks, b"")))
            _dress(destination, source)
        finally:
            os.close(destination)


def _packed(parent: int, name: bytes, shown_as: bytes) -> Iterator[bytes]:
    try:
        yield from pack_named(parent, name, shown_as)
    finally:
        os.close(parent)


def _locate(tree: Tree, path: str) -> tuple[PathStat, int, bytes]:
    """Find `path`: its description, and what to open it by: a name in a directory.

    The directory's descriptor is the caller's to close.
    """
    wanted = _relative(path)
    as_directory = path.endswith(("/", "/.")) or path == "." or not wanted
    front, _, name = wanted.rpartition(b"/")
    try:
        if as_directory:
            parent, name = tree.directory(wanted)[0], b"."
        else:
            parent, _ = tree.directory(front)
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        held = os.dup(parent)
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO).lower()
        raise LadingError(f"lstat {path}: {reason}") from None
    shown = "." if path.endswith("/.") or path == "." else os.fsdecode(wanted.rpartition(b"/")[2])
    target = ""
    if stat.S_ISLNK(found.st_mode):
        target = "/" + os.fsdecode(_resolved(tree, wanted))
    return _describe(shown or "/", found, target), held, name


def _describe(name: str, found: os.stat_result, target: str) -> PathStat:
    mode = found.st_mode & 0o777 | _GO_TYPES.get(stat.S_IFMT(found.st_mode), 0)
    for bit, go in _GO_BITS:
        if found.st_mode & bit:
            mode |= go
    whole, fraction = divmod(found.st_mtime_ns, 1_000_000_000)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    if fraction:
        text += f".{fraction:09d}".rstrip("0")
    return PathStat(name, found.st_size, mode, text + "Z", target)


def _resolved(tree: Tree, path: bytes) -> bytes:
    """Follow all links of a path, also where they lead to nothing."""
    done = b""
    todo = path.split(b"/")[::-1]
    links = 0
    while todo:
        part = todo.pop()
        if part in (b"", b"."):
            continue
        if part == b"..":
            done = done.rpartition(b"/")[0]
            continue
        try:
            parent, _ = tree.directory(done)
            target = os.readlink(part, dir_fd=parent)
        except OSError:
            done = done + b"/" + part if done else part
            continue
        links += 1
        if links > MAX_LINKS:
            break
        if target.startswith(b"/"):
            done = b""
        todo += target.split(b"/")[::-1]
    return done


def _relative(path: str) -> bytes:
    """Clean a path as seen from the root, where `..` does not lead further up."""
    if "\0" in path:
        raise InvalidParameter(f"invalid path {path!r}: it has a NUL character in it")
    return os.fsencode(os.path.normpath("/" + path)).strip(b"/")


def _missing(path: str) -> NotFound:
    return NotFound(f"Could not find the file {path} in the container")


def _dress(directory: int, model: int) -> None:
    """Give a directory the attributes of another."""
    found = os.fstat(model)
    os.fchown(directory, found.st_uid, found.st_gid)
    os.fchmod(directory, stat.S_IMODE(found.st_mode))
    for name in os.listxattr(model):
        if name.startswith(("user.", "security.capability")):
            os.setxattr(directory, name, os.getxattr(model, name))
    os.utime(directory, ns=(found.st_atime_ns, found.st_mtime_ns))
