"""What an archive says of one file."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from enum import IntEnum

from lading.errors import InvalidParameter

PATH_MAX = 4095
"""The longest path that Linux can name, in bytes."""

WHITEOUT_PREFIX = b".wh."
OPAQUE_MARK = b".wh..wh..opq"
"""The names that stand for a deletion in a layer (OCI image-spec, layer.md)."""


class Kind(IntEnum):
    """The kinds of entry that make something in the file system, and the rest."""

    FILE = 0
    HARD_LINK = 1
    SYMLINK = 2
    CHARACTER = 3
    BLOCK = 4
    DIRECTORY = 5
    FIFO = 6
    OTHER = 7


@dataclass(slots=True)
class Entry:
    """One entry of an archive.

    `name` and `link` are as written, undecoded. `size` is the file's length and `stored` how many
    bytes of it follow in the archive; they differ only for a file with holes, whose data are at
    `holes`' complement: `extents` lists (offset, length) of what is stored. `mtime` is in
    nanoseconds since 1970.
    """

    name: bytes
    kind: Kind
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    stored: int = 0
    mtime: int = 0
    link: bytes = b""
    major: int = 0
    minor: int = 0
    xattrs: dict[str, bytes] | None = None
    extents: list[tuple[int, int]] | None = None

    @property
    def shown(self) -> str:
        """The name for a message."""
        return shown(self.name)


def shown(name: bytes) -> str:
    """Quote a name for a message, cut to a length that can be read."""
    text = name.decode("utf-8", "backslashreplace")
    text = text if len(text) <= 200 else text[:197] + "..."
    return '"' + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text) + '"'


def clean(name: bytes) -> bytes:
    """Give the name relative to the root, without empty, `.` and `..` parts; `b""` is the root.

    A leading slash means the root itself. Raises InvalidParameter for a name that leads out of the
    root, has a NUL in it or is longer than Linux can name.
    """
    path = name[2:] if name.startswith(b"./") else name
    if path.endswith(b"/"):
        path = path[:-1]
    if b"/." in path or b"//" in path or path[:1] in (b".", b"/") or path[-1:] == b"/":
        path = _clean_slowly(name)
    if len(path) > PATH_MAX:
        raise InvalidParameter(
            f"invalid entry name {shown(name)}: it has more than {PATH_MAX} bytes"
        )
    if b"\0" in path:
        raise InvalidParameter(f"invalid entry name {shown(name)}: it has a NUL character in it")
    return path


def _clean_slowly(name: bytes) -> bytes:
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if parts:
                parts.pop()
            elif not name.startswith(b"/"):
                raise InvalidParameter(
                    f"invalid entry name {shown(name)}: it leads out of the root directory"
                )
        elif part and part != b".":
            parts.append(part)
    return b"/".join(parts)


def holds_content(entry: Entry, path: bytes) -> bool:
    """Tell whether the entry's payload becomes a file's content when a layer is unpacked."""
    return entry.kind is Kind.FILE and not path.rpartition(b"/")[2].startswith(WHITEOUT_PREFIX)


_TYPE_BITS = {
    Kind.FILE: stat.S_IFREG,
    Kind.CHARACTER: stat.S_IFCHR,
    Kind.BLOCK: stat.S_IFBLK,
    Kind.DIRECTORY: stat.S_IFDIR,
    Kind.FIFO: stat.S_IFIFO,
    Kind.SYMLINK: stat.S_IFLNK,
}


def type_bits(kind: Kind) -> int:
    """Return the S_IF… bits of a kind, 0 where it has none."""
    return _TYPE_BITS.get(kind, 0)


_KINDS = {bits: kind for kind, bits in _TYPE_BITS.items()}


def kind_of(mode: int) -> Kind:
    """Return the kind of a file by its mode; a socket has none, and raises KeyError."""
    return _KINDS[stat.S_IFMT(mode)]
