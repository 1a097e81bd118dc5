"""The shapes in which bytes come in and go out of storage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

Progress: TypeAlias = Callable[[int], None]
"""Called with the number of bytes consumed so far, from the thread that does the work."""


class Readable(Protocol):
    """Anything that bytes are read from: an open file, a pipe, an HTTP body bridged to a thread."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, as soon as there are some; empty at the end."""
        ...
