"""Make tar archives of local files as a stream of bytes, for `cp` and for build contexts."""

from __future__ import annotations

import io
import os
import stat
import tarfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BLOCK = 512
CHUNK = 1 << 18


class Packer:
    """Turns paths into the bytes of a tar archive; hard links between them stay hard links."""

    def __init__(self, *, follow: bool = False, owner: tuple[int, int] | None = None) -> None:
        self._archive = tarfile.TarFile(
            fileobj=io.BytesIO(), mode="w", format=tarfile.PAX_FORMAT, dereference=follow
        )
        self._owner = owner
        self._follow = follow

    def entry(self, path: str, name: str) -> Iterator[bytes]:
        """Give header and content of one file; a socket, which no archive can hold, gives nothing.

        Raises OSError for a file that cannot be read.
        """
        if stat.S_ISSOCK(os.stat(path, follow_symlinks=self._follow).st_mode):
            return
        info = self._archive.gettarinfo(path, name)
        info.mtime = int(info.mtime)
        info.name = name + "/" if info.isdir() and not name.endswith("/") else name
        if self._owner:
            info.uid, info.gid = self._owner
            info.uname = info.gname = ""
        if not info.isreg():
            yield self._header(info)
            return
        with open(path, "rb") as file:
            yield self._header(info)
            yield from _content(file, info.size)

    def data(self, name: str, content: bytes, *, mode: int = 0o644) -> Iterator[bytes]:
        """Give header and content of a file that exists in memory only."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(content), mode
        yield self._header(info)
        yield from _content(io.BytesIO(content), info.size)

    def _header(self, info: tarfile.TarInfo) -> bytes:
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")

    def end(self) -> bytes:
        """Give the end of the archive."""
        return b"\0" * (2 * BLOCK)


def _content(file: io.BufferedIOBase | io.BufferedReader, size: int) -> Iterator[bytes]:
    """Give exactly `size` bytes and the padding, whatever happens to the file meanwhile."""
    left = size
    while left:
        data = file.read(min(CHUNK, left)) or b"\0" * min(CHUNK, left)
        left -= len(data)
        yield data
    if size % BLOCK:
        yield b"\0" * (BLOCK - size % BLOCK)


def tree(root: str, name: str) -> Iterable[tuple[str, str]]:
    """Walk a directory: each path with its name in the archive, directories before what is in them.

    With an empty `name`, the names are relative and the root itself has none.
    """
    if name:
        yield root, name
    with os.scandir(root) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        inner = f"{name}/{entry.name}" if name else entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from tree(entry.path, inner)
        else:
            yield entry.path, inner


def pack(entries: Iterable[tuple[str, str]], packer: Packer) -> Iterator[bytes]:
    """Make a whole archive."""
    for path, name in entries:
        yield from packer.entry(path, name)
    yield packer.end()
