"""Messages between a machine and its driver: four bytes of length, then JSON.

Only the standard library is used: the same file serves inside the machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

LONGEST = 64 << 20


class BrokenFrame(ValueError):
    """What came is no message: a length out of all proportion, or no JSON object."""


def pack(message: dict[str, Any]) -> bytes:
    """A message as it travels."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return len(body).to_bytes(4, "big") + body


def unpack(read: Callable[[int], bytes]) -> dict[str, Any]:
    """The next message; `read` gives exactly so many bytes, or raises.

    Raises BrokenFrame.
    """
    length = int.from_bytes(read(4), "big")
    if length > LONGEST:
        raise BrokenFrame(f"a message of {length} bytes is too long")
    try:
        message = json.loads(read(length))
    except ValueError as error:
        raise BrokenFrame(f"a message is no JSON: {error}") from None
    if not isinstance(message, dict):
        raise BrokenFrame("a message is no JSON object")
    return message
