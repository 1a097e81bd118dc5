"""Container output as lines of Docker's json-file log.

A line longer than 16 KiB is written as several entries, of which only the last has the newline.
Output is encoded by the block, not by the line: the newlines of a block are replaced by the end of
one JSON object and the beginning of the next, which is one pass in C for many lines.
"""

from __future__ import annotations

import re

import msgspec

LONGEST = 16 * 1024
"""Bytes of output in one entry, its newline included."""

_DIRECT = bytes(b for b in range(0x20, 0x80) if b not in b'"\\<>&') + b"\n"
_NOT_CONTROL = bytes(b for b in range(0x100) if b >= 0x20 or b == 0x0A)
_NAMED = (
    (b"\\", rb"\\"),
    (b'"', rb"\""),
    (b"<", rb"\u003c"),
    (b">", rb"\u003e"),
    (b"&", rb"\u0026"),
)
_SEPARATORS = ((b"\xe2\x80\xa8", rb"\u2028"), (b"\xe2\x80\xa9", rb"\u2029"))
_INVALID = re.compile("[\udc80-\udcff]")
CARRIAGE_RETURN = 0x0D
_PREFIX = b'{"log":"'


class LineCutter:
    """Cuts one stream's output into entries; what has no newline yet waits for the rest."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Give blocks ready to be written: whole lines, or one piece of a long line each."""
        if self._rest:
            data = self._rest + data
        end = data.rfind(b"\n") + 1
        blocks: list[bytes] = []
        start = 0
        block_start = 0
        while len(data) - start > LONGEST and start < end:
            newline = data.rfind(b"\n", start, start + LONGEST)
            if newline >= 0:
                start = newline + 1
                continue
            if block_start < start:
                blocks.append(data[block_start:start])
            blocks.append(data[start : start + LONGEST])
            start = block_start = start + LONGEST
        if block_start < end:
            blocks.append(data[block_start:end])
            block_start = end
        while len(data) - block_start >= LONGEST:
            blocks.append(data[block_start : block_start + LONGEST])
            block_start += LONGEST
        self._rest = data[block_start:]
        return blocks

    def flush(self) -> bytes:
        """Give what is left when the stream has ended."""
        rest, self._rest = self._rest, b""
        return rest


class EntryEncoder:
    """Writes blocks of one stream as entries, with the same attributes in each."""

    __slots__ = ("_tail",)

    def __init__(self, stream: str, attrs: dict[str, str]) -> None:
        extra = b""
        if attrs:
            extra = b',"attrs":' + msgspec.json.encode(dict(sorted(attrs.items())))
        self._tail = b'","stream":"' + stream.encode() + b'"' + extra + b',"time":"'

    def encode(self, block: bytes, time: str) -> bytes:
        """Encode whole lines, or one piece without a newline, as written at `time`."""
        tail = self._tail + time.encode() + b'"}\n'
        body = escape(block)
        if not body.endswith(b"\n"):
            return _PREFIX + body + tail
        lines = body[:-1].replace(b"\n", rb"\n" + tail + _PREFIX)
        return _PREFIX + lines + rb"\n" + tail


def escape(block: bytes) -> bytes:
    """Make `block` fit into a JSON string, as Docker's encoder does, but leave newlines alone.

    A byte that is not UTF-8 becomes U+FFFD.
    """
    if block.isascii() and not block.translate(None, _DIRECT):
        return block
    for character, replacement in _NAMED:
        block = block.replace(character, replacement)
    for code in set(block.translate(None, _NOT_CONTROL)):
        escaped = rb"\r" if code == CARRIAGE_RETURN else b"\\u%04x" % code
        block = block.replace(bytes((code,)), escaped)
    if block.isascii():
        return block
    for character, replacement in _SEPARATORS:
        block = block.replace(character, replacement)
    try:
        block.decode()
    except UnicodeDecodeError:
        text = _INVALID.sub(r"\\ufffd", block.decode("utf-8", "surrogateescape"))
        block = text.encode()
    return block
