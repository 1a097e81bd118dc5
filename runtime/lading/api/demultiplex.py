"""Docker's multiplexed stream taken apart: frames of 8 bytes of head, then so many bytes."""

from __future__ import annotations

HEAD = 8
"""Bytes of a frame's head: the stream's number, three zeros, and the length in big endian."""


class Demultiplexer:
    """Strips the heads of frames, whatever pieces they come in."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._left = 0

    def payload(self, data: bytes) -> bytes:
        """Return what the frames in `data`, the next piece of the stream, carry."""
        parts = []
        position = 0
        while position < len(data):
            if self._left:
                part = data[position : position + self._left]
                parts.append(part)
                self._left -= len(part)
                position += len(part)
            else:
                missing = HEAD - len(self._head)
                self._head += data[position : position + missing]
                position += missing
                if len(self._head) == HEAD:
                    self._left = int.from_bytes(self._head[4:], "big")
                    self._head.clear()
        return b"".join(parts)
