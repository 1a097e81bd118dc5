"""The four ways in which GNU tar writes a file with holes (tar manual, "Storing Sparse Files").

Whatever the way, an entry ends up with `extents`: where the bytes that follow belong in a file of
`size` bytes.
"""

from __future__ import annotations

from collections.abc import Callable

from lading.storage.archive.entries import Entry
from lading.storage.archive.headers import BLOCK, SPECIAL_MAX, damaged, gnu_numbers, pax_int

Take = Callable[[int], bytes]
"""Takes exactly so many bytes from the archive."""

Extents = list[tuple[int, int]]

_MAX_EXTENTS = 100_000


def from_old_header(entry: Entry, block: bytes, take: Take) -> None:
    """Read the map of type `S`: four pairs in the header, then blocks of 21."""
    extents: Extents = []
    _pairs(extents, block[386:482])
    more = block[482]
    while more:
        extension = take(BLOCK)
        _pairs(extents, extension[:504])
        more = extension[504]
        if len(extents) > _MAX_EXTENTS:
            raise damaged(f"the sparse map of {entry.shown} is too long")
    _finish(entry, extents, gnu_numbers(block[483:495]))


def _pairs(extents: Extents, data: bytes) -> None:
    for at in range(0, len(data), 24):
        field = data[at : at + 24]
        if field[0] == 0 and field[12] == 0:
            return
        extents.append((gnu_numbers(field[:12]), gnu_numbers(field[12:])))


def from_pax(entry: Entry, records: list[tuple[str, bytes]], take: Take) -> None:
    """Read a map of format 0.0, 0.1 or 1.0; nothing happens for an entry without one."""
    values = dict(records)
    if values.get("GNU.sparse.major") == b"1" and values.get("GNU.sparse.minor") == b"0":
        extents = _leading_map(entry, take)
    elif "GNU.sparse.map" in values:
        extents = _listed(values["GNU.sparse.map"].split(b","))
    elif "GNU.sparse.numblocks" in values:
        extents = _repeated(records)
    else:
        return
    name = values.get("GNU.sparse.name")
    if name:
        entry.name = name
    size = values.get("GNU.sparse.realsize") or values.get("GNU.sparse.size")
    if size is None:
        raise damaged(f"sparse entry {entry.shown} does not tell its size")
    _finish(entry, extents, pax_int(size, "GNU.sparse.size"))


def _listed(numbers: list[bytes]) -> Extents:
    if numbers == [b""]:
        return []
    values = [pax_int(number, "GNU.sparse.map") for number in numbers]
    if len(values) % 2:
        raise damaged("a sparse map has an odd number of numbers")
    return list(zip(values[::2], values[1::2], strict=True))


def _repeated(records: list[tuple[str, bytes]]) -> Extents:
    numbers = [v for k, v in records if k in {"GNU.sparse.offset", "GNU.sparse.numbytes"}]
    return _listed(numbers or [b""])


def _leading_map(entry: Entry, take: Take) -> Extents:
    """Read the decimal lines with which the payload of format 1.0 begins, in whole blocks."""
    text = bytearray()
    wanted = 1
    lines = 0
    while lines < wanted:
        if len(text) > SPECIAL_MAX or entry.stored < BLOCK:
            raise damaged(f"the sparse map of {entry.shown} has no end")
        block = take(BLOCK)
        entry.stored -= BLOCK
        text += block
        lines += block.count(b"\n")
        if wanted == 1 and lines:
            count = pax_int(bytes(text).partition(b"\n")[0], "sparse map")
            wanted = 1 + 2 * min(count, _MAX_EXTENTS + 1)
    return _listed(bytes(text).split(b"\n")[1:wanted] or [b""])


def _finish(entry: Entry, extents: Extents, size: int) -> None:
    """Check that the extents ascend, fit the file and are what is stored."""
    end = 0
    for offset, length in extents:
        if offset < end or length < 0 or offset + length > size:
            raise damaged(f"the sparse map of {entry.shown} is out of order")
        end = offset + length
    if sum(length for _, length in extents) != entry.stored:
        raise damaged(f"the sparse map of {entry.shown} does not fit what is stored")
    entry.extents = extents
    entry.size = size
