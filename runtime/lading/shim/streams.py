"""Docker's raw stream: the multiplexed format, and the keys that end an attachment.

Source: API operation ContainerAttach, "Stream format".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2}
HEADER_LENGTH = 8


def header(stream: str, length: int) -> bytes:
    """Give the eight bytes before `length` bytes of a stream."""
    return bytes((NUMBERS[stream], 0, 0, 0)) + length.to_bytes(4, "big")


class Demultiplexer:
    """Takes the multiplexed format apart, however the bytes arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (stream number, payload) of each frame that is complete now."""
        self._buffer += data
        while len(self._buffer) >= HEADER_LENGTH:
            end = HEADER_LENGTH + int.from_bytes(self._buffer[4:HEADER_LENGTH], "big")
            if len(self._buffer) < end:
                return
            yield self._buffer[0], bytes(self._buffer[HEADER_LENGTH:end])
            del self._buffer[:end]


class DetachScanner:
    """Looks for the detach keys in a client's input.

    Keys that may be the beginning of the sequence are held back until it is clear that they are
    not. The key that breaks a sequence does not begin another, as Docker has it: Ctrl-P twice
    sends both.
    """

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Give what to pass on, and whether the sequence is complete; then the rest is dropped."""
        keys = self._keys
        if not keys or (self._matched == 0 and keys[:1] not in data):
            return data, False
        passed = bytearray()
        for byte in data:
            if byte == keys[self._matched]:
                self._matched += 1
                if self._matched == len(keys):
                    return bytes(passed), True
                continue
            passed += keys[: self._matched]
            passed.append(byte)
            self._matched = 0
        return bytes(passed), False
