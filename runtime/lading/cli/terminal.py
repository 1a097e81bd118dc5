"""The user's terminal: raw mode, size, and the keys that detach from a container."""

from __future__ import annotations

import os
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_DETACH_KEYS = b"\x10\x11"
IFLAG, OFLAG, CFLAG, LFLAG, CC = 0, 1, 2, 3, 6
_SYMBOLS = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


class RawTerminal:
    """Puts a terminal into raw mode and back.

    On a descriptor that is no terminal it does nothing.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: list[Any] | None = None

    def __enter__(self) -> RawTerminal:
        if os.isatty(self._fd):
            self._before = termios.tcgetattr(self._fd)
            termios.tcsetattr(self._fd, termios.TCSADRAIN, _raw(self._before))
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()

    def restore(self) -> None:
        """Give the terminal back as it was."""
        if self._before is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
            self._before = None


def _raw(before: list[Any]) -> list[Any]:
    """Change the settings as cfmakeraw(3) does."""
    mode = [*before[:CC], list(before[CC])]
    mode[IFLAG] &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    mode[OFLAG] &= ~termios.OPOST
    mode[LFLAG] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    mode[CFLAG] = mode[CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    mode[CC][termios.VMIN] = 1
    mode[CC][termios.VTIME] = 0
    return mode


def size(fd: int) -> tuple[int, int] | None:
    """Give rows and columns of a terminal, None if it is none or has no size."""
    try:
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        return None
    return (rows, columns) if rows and columns else None


def parse_detach_keys(text: str) -> bytes:
    """Read `ctrl-p,ctrl-q` or `a,ctrl-@` as the bytes that the keys send; raises ValueError."""
    keys = bytearray()
    for word in text.split(","):
        if len(word) == 1 and word.isascii():
            keys += word.encode()
            continue
        prefix, _, key = word.partition("-")
        if prefix.lower() != "ctrl" or len(key) != 1:
            raise ValueError(f"Unknown character: '{word.lower()}'")
        if key.isascii() and key.isalpha():
            keys.append(ord(key.lower()) - ord("a") + 1)
        elif key in _SYMBOLS:
            keys.append(_SYMBOLS[key])
        else:
            raise ValueError(f"Unknown character: '{word.lower()}'")
    return bytes(keys)


class DetachFilter:
    """Looks for the detach keys in what is typed.

    Keys that could be the beginning of the sequence are held back until it is clear that they are
    not.
    """

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""
        self.found = False

    def feed(self, data: bytes) -> bytes:
        """Give what can be passed on; `found` is set when the sequence is complete."""
        out = bytearray()
        for at in range(len(data)):
            byte = data[at : at + 1]
            if self._keys and self._keys.startswith(self._held + byte):
                self._held += byte
                if self._held == self._keys:
                    self.found = True
                    return bytes(out)
                continue
            out += self._held
            self._held = b""
            if self._keys.startswith(byte) and self._keys:
                self._held = byte
            else:
                out += byte
        return bytes(out)
