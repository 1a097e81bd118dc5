"""One 512-byte header block to an entry and back, and the records of pax headers.

Sources: POSIX.1-2017 pax(1) (ustar and pax interchange formats), the GNU tar manual ("Basic Tar
Format", "GNU tar extensions", "Storing Sparse Files").
"""

from __future__ import annotations

import base64
import binascii
import struct
from urllib.parse import unquote_to_bytes

from lading.errors import InvalidParameter
from lading.storage.archive.entries import Entry, Kind, shown

BLOCK = 512
ZEROS = bytes(BLOCK)
SPECIAL_MAX = 1 << 20
"""The most bytes that a pax header or a GNU long name may have."""

_FIELDS = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12x")
_CHECKSUM_AT = 148
_CHECKSUM_END = 156

_KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"S": Kind.FILE,
    b"1": Kind.HARD_LINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHARACTER,
    b"4": Kind.BLOCK,
    b"5": Kind.DIRECTORY,
    b"6": Kind.FIFO,
}

SCHILY_XATTR = "SCHILY.xattr."
_LIBARCHIVE_XATTR = "LIBARCHIVE.xattr."


def damaged(why: str) -> InvalidParameter:
    """Say what is wrong with an archive."""
    return InvalidParameter(f"invalid tar archive: {why}")


def parse_block(block: bytes) -> tuple[bytes, Entry]:
    """Read a header block and return its type flag and entry.

    `stored` is the size field as it stands. Raises InvalidParameter for anything but a header.
    """
    (name, mode, uid, gid, size, mtime, checksum, flag, link, magic, _, _, major, minor, prefix) = (
        _FIELDS.unpack(block)
    )
    if sum(block) - sum(checksum) + 256 != _octal(checksum):
        _check_signed(block, checksum)
    name = name.partition(b"\0")[0]
    if prefix[0] and magic[:6] == b"ustar\0":
        # Solaris' star keeps two times at the end of the prefix and marks that with "tar" at 508.
        limit = 131 if block[508:] == b"tar\0" else 155
        front = prefix[:limit].partition(b"\0")[0]
        name = front + b"/" + name if front else name
    kind = _KINDS.get(flag, Kind.OTHER)
    length = _number(size)
    if length < 0:
        raise damaged(f"entry {shown(name)} has a negative size")
    entry = Entry(
        name,
        kind,
        _number(mode) & 0o7777,
        _number(uid),
        _number(gid),
        length,
        length,
        _number(mtime) * 1_000_000_000,
        link.partition(b"\0")[0] if link[0] else b"",
    )
    if kind is Kind.CHARACTER or kind is Kind.BLOCK:
        entry.major, entry.minor = _number(major), _number(minor)
    return flag, entry


def _check_signed(block: bytes, checksum: bytes) -> None:
    """Accept the sum of signed bytes, which some old programs wrote."""
    high = sum(1 for byte in block if byte > 127) - sum(1 for byte in checksum if byte > 127)
    if sum(block) - sum(checksum) + 256 - 256 * high != _octal(checksum):
        raise damaged("a header block has a wrong checksum")


def _octal(field: bytes) -> int:
    text = field.partition(b"\0")[0].strip()
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise damaged("a header has something else where a number belongs") from None


def _number(field: bytes) -> int:
    """Read an octal number, or GNU's base-256 where the first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        if field[0] & 0x40:
            return value - (1 << bits)
        return value & ~(1 << (bits - 1))
    return _octal(field)


def gnu_numbers(field: bytes) -> int:
    """Read one number of an old GNU sparse header."""
    return _number(field)


def parse_pax(data: bytes) -> list[tuple[str, bytes]]:
    """Read the records of a pax header, in order; values are raw bytes."""
    records: list[tuple[str, bytes]] = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        digits = data[at:space]
        if space < 0 or not digits.isdigit():
            if not data[at:].strip(b"\0"):
                break
            raise damaged("a pax record has no length")
        end = at + int(digits)
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end > len(data) or end <= space + 1 or data[end - 1 : end] != b"\n" or not equals:
            raise damaged("a pax record is malformed")
        records.append((key.decode("utf-8", "surrogateescape"), value))
        at = end
    return records


def apply_pax(entry: Entry, records: dict[str, bytes]) -> None:
    """Let the pax records that describe a file overrule its header block."""
    for key, value in records.items():
        setter = _SETTERS.get(key)
        if setter is not None:
            if value:
                setter(entry, value)
        elif key.startswith(SCHILY_XATTR):
            _add_xattr(entry, key[len(SCHILY_XATTR) :], value)
        elif key.startswith(_LIBARCHIVE_XATTR):
            name = unquote_to_bytes(key[len(_LIBARCHIVE_XATTR) :]).decode(
                "utf-8", "surrogateescape"
            )
            if name not in (entry.xattrs or ()):
                _add_xattr(entry, name, _base64(value))


def _add_xattr(entry: Entry, name: str, value: bytes) -> None:
    if not name or "\0" in name:
        raise damaged(f"entry {entry.shown} has an attribute without a proper name")
    entry.xattrs = {**(entry.xattrs or {}), name: value}


def _base64(value: bytes) -> bytes:
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4))
    except binascii.Error:
        raise damaged("an attribute is not in base64") from None


def pax_int(value: bytes, what: str) -> int:
    """Read a decimal number of a pax record."""
    if not value.isdigit() or len(value) > 20:
        raise damaged(f"pax record {what} is not a number: {value[:40]!r}")
    return int(value)


def _text(what: bytes, value: bytes) -> bytes:
    if b"\0" in value:
        raise damaged(f"pax record {what.decode()} has a NUL character in it")
    return value


def _set_path(entry: Entry, value: bytes) -> None:
    entry.name = _text(b"path", value)


def _set_link(entry: Entry, value: bytes) -> None:
    entry.link = _text(b"linkpath", value)


def _set_size(entry: Entry, value: bytes) -> None:
    entry.size = entry.stored = pax_int(value, "size")


def _set_uid(entry: Entry, value: bytes) -> None:
    entry.uid = pax_int(value, "uid")


def _set_gid(entry: Entry, value: bytes) -> None:
    entry.gid = pax_int(value, "gid")


def _set_mtime(entry: Entry, value: bytes) -> None:
    """Read seconds with a fraction of any length, exact to the nanosecond."""
    whole, _, fraction = value.partition(b".")
    sign = -1 if whole.startswith(b"-") else 1
    digits = (fraction + b"000000000")[:9]
    if not whole.lstrip(b"-").isdigit() or not digits.isdigit() or len(whole) > 20:
        raise damaged(f"pax record mtime is not a time: {value[:40]!r}")
    entry.mtime = int(whole) * 1_000_000_000 + sign * int(digits)


_SETTERS = {
    "path": _set_path,
    "linkpath": _set_link,
    "size": _set_size,
    "uid": _set_uid,
    "gid": _set_gid,
    "mtime": _set_mtime,
}
