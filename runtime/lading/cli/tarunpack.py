"""Unpack a tar stream from a container into a local directory, and nowhere else.

What a container says is not to be trusted: names with `..`, and symbolic links that a later entry
would be written through, must not lead out of the directory. Every step down is therefore made with
O_NOFOLLOW on a directory descriptor. Owners are not kept, as with Docker.
"""

from __future__ import annotations

import contextlib
import os
import tarfile

from lading.cli.failures import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK = 1 << 18
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class StreamReader:
    """Lets tarfile read from pieces of bytes; `size` counts what has been read."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._buffer = b""
        self.size = 0

    def read(self, size: int) -> bytes:
        """Read `size` bytes, fewer only at the end."""
        pieces = [self._buffer]
        have = len(self._buffer)
        while have < size:
            piece = next(self._parts, b"")
            if not piece:
                break
            pieces.append(piece)
            have += len(piece)
        joined = b"".join(pieces)
        self._buffer = joined[size:]
        self.size += min(size, len(joined))
        return joined[:size]


def unpack(reader: StreamReader, root: str, rename: Callable[[str], str]) -> None:
    """Unpack an archive below `root`; `rename` gives each entry's name there, "" to leave it out.

    Raises CliError for an archive that is malformed or would write elsewhere.
    """
    times: list[tuple[str, float]] = []
    try:
        with tarfile.open(fileobj=reader, mode="r|") as archive:  # type: ignore[call-overload]
            for member in archive:
                name = rename(member.name.strip("/"))
                if name:
                    link = rename(member.linkname.strip("/")) if member.islnk() else ""
                    _place(archive, member, root, _parts(name), _parts(link) if link else [])
                    if member.isdir():
                        times.append((name, member.mtime))
    except tarfile.TarError as error:
        raise CliError(f"the archive from the container is malformed: {error}") from None
    for name, moment in reversed(times):
        with contextlib.suppress(OSError):
            os.utime(os.path.join(root, name), (moment, moment), follow_symlinks=False)


def _parts(name: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise CliError(f"refusing to unpack {name!r}: it leads out of the destination")
    return parts


@contextlib.contextmanager
def _directory(root: str, parts: list[str]) -> Iterator[int]:
    """Open a directory below the root, making what is missing.

    Symbolic links on the way are refused.
    """
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=fd)
            try:
                inner = os.open(part, DIRECTORY, dir_fd=fd)
            except OSError as error:
                path = os.path.join(root, *parts)
                raise CliError(f"could not unpack to {path}: {error.strerror}") from None
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)


def _place(
    archive: tarfile.TarFile, member: tarfile.TarInfo, root: str, parts: list[str], link: list[str]
) -> None:
    if not parts:
        return
    with _directory(root, parts[:-1]) as parent:
        name = parts[-1]
        if member.isdir():
            _make_directory(parent, name, member.mode, os.path.join(root, *parts))
            return
        _clear(parent, name, os.path.join(root, *parts))
        if member.isreg():
            _write_file(archive, member, parent, name)
        elif member.issym():
            os.symlink(member.linkname, name, dir_fd=parent)
        elif member.islnk():
            with _directory(root, link[:-1]) as source:
                os.link(link[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        elif member.isfifo():
            os.mkfifo(name, member.mode & 0o7777, dir_fd=parent)
        elif member.isdev():
            _make_device(member, parent, name)
        if not member.issym() and not member.islnk():
            os.utime(name, (member.mtime, member.mtime), dir_fd=parent)


def _make_directory(parent: int, name: str, mode: int, path: str) -> None:
    try:
        os.mkdir(name, mode & 0o7777, dir_fd=parent)
    except FileExistsError:
        try:
            os.close(os.open(name, DIRECTORY, dir_fd=parent))
        except OSError:
            raise CliError(
                f"cannot overwrite {path}, which is no directory, with a directory"
            ) from None
    os.chmod(name, mode & 0o7777, dir_fd=parent)


def _clear(parent: int, name: str, path: str) -> None:
    """Remove what is in the way of a file; a directory stays, and is an error."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        raise CliError(f"cannot overwrite directory {path} with a file") from None


def _write_file(archive: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o600, dir_fd=parent)
    with os.fdopen(fd, "wb") as file:
        content = archive.extractfile(member)
        while content and (data := content.read(CHUNK)):
            file.write(data)
        os.fchmod(file.fileno(), member.mode & 0o7777)


def _make_device(member: tarfile.TarInfo, parent: int, name: str) -> None:
    import stat

    kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
    number = os.makedev(member.devmajor, member.devminor)
    os.mknod(name, member.mode & 0o7777 | kind, number, dir_fd=parent)
