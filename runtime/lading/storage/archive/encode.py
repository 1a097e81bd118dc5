"""Entries to header blocks: plain ustar where it fits, pax records for the rest.

The form is the one in which Docker writes layers, so equal content has an equal digest: numeric
owners without names, whole seconds, no file type in the mode, no split names.
"""

from __future__ import annotations

import struct

from lading.storage.archive.entries import Entry, Kind
from lading.storage.archive.headers import BLOCK, SCHILY_XATTR

END = bytes(2 * BLOCK)
"""What ends an archive."""

_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_FLAGS = {
    Kind.FILE: b"0",
    Kind.HARD_LINK: b"1",
    Kind.SYMLINK: b"2",
    Kind.CHARACTER: b"3",
    Kind.BLOCK: b"4",
    Kind.DIRECTORY: b"5",
    Kind.FIFO: b"6",
}
_MAGIC = b"ustar\x0000"
_SECOND = 1_000_000_000


def encode(entry: Entry, *, precise: bool = False) -> bytes:
    """Return the blocks that announce an entry; `entry.stored` bytes and padding follow them.

    With `precise`, a pax record tells the fraction of a second of its time.
    """
    records: dict[bytes, bytes] = {}
    name = _text(records, b"path", entry.name)
    link = _text(records, b"linkpath", entry.link)
    seconds, fraction = divmod(entry.mtime, _SECOND)
    block = _HEADER.pack(
        name,
        _octal(entry.mode, 8),
        _number(records, b"uid", entry.uid, 8),
        _number(records, b"gid", entry.gid, 8),
        _number(records, b"size", entry.stored, 12),
        _number(records, b"mtime", seconds, 12),
        b"        ",
        _FLAGS[entry.kind],
        link,
        _MAGIC,
        b"",
        b"",
        _octal(entry.major, 8),
        _octal(entry.minor, 8),
        b"",
    )
    if precise and fraction and seconds >= 0:
        records[b"mtime"] = b"%d.%09d" % (seconds, fraction)
    for key, value in (entry.xattrs or {}).items():
        records[SCHILY_XATTR.encode() + key.encode("utf-8", "surrogateescape")] = value
    if not records:
        return _sealed(block)
    return _pax(entry.name, records) + _sealed(block)


def padding(size: int) -> bytes:
    """Return the zeros that fill the last block of a payload."""
    return bytes(-size % BLOCK)


def _sealed(block: bytes) -> bytes:
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _octal(value: int, width: int) -> bytes:
    return b"%0*o" % (width - 1, value)


def _number(records: dict[bytes, bytes], key: bytes, value: int, width: int) -> bytes:
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o" % (width - 1, value)
    records[key] = b"%d" % value
    return _octal(0, width)


def _text(records: dict[bytes, bytes], key: bytes, text: bytes) -> bytes:
    if len(text) <= 100 and text.isascii():
        return text
    records[key] = text
    return _ascii(text)[:100]


def _ascii(text: bytes) -> bytes:
    return bytes(byte for byte in text if byte < 128)


def _pax(name: bytes, records: dict[bytes, bytes]) -> bytes:
    body = b"".join(_record(key, records[key]) for key in sorted(records))
    front, _, base = name.rpartition(b"/")
    if name.endswith(b"/"):
        front, base = name[:-1], b""
    own = b"/".join(part for part in (front, b"PaxHeaders.0", base) if part)
    block = _HEADER.pack(
        _ascii(own)[:100].rstrip(b"/"),
        _octal(0, 8),
        _octal(0, 8),
        _octal(0, 8),
        _octal(len(body), 12),
        _octal(0, 12),
        b"        ",
        b"x",
        b"",
        _MAGIC,
        b"",
        b"",
        b"",
        b"",
        b"",
    )
    return _sealed(block) + body + padding(len(body))


def _record(key: bytes, value: bytes) -> bytes:
    """Write one pax record, whose length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) != len(str(rest)):
        length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)
