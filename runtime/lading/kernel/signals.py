"""Signals by name or number, as `--stop-signal`, `--signal` and STOPSIGNAL give them."""

from __future__ import annotations

import signal

from lading.errors import InvalidParameter

_HIGHEST = 64


def _names() -> dict[str, int]:
    """Give the kernel's names, and `RTMIN+1` … `RTMAX-14` as Docker has them."""
    names = {member.name[3:]: member.value for member in signal.Signals}
    first, last = signal.SIGRTMIN, signal.SIGRTMAX
    names.update({f"RTMIN+{n}": first + n for n in range(1, 16)})
    names.update({f"RTMAX-{n}": last - n for n in range(1, 15)})
    return names


_NUMBERS = _names()


def parse_signal(text: str) -> int:
    """Read a signal: a number, or a name with or without SIG, in upper or lower case.

    Raises InvalidParameter `invalid signal: x`.
    """
    bare = text.strip().upper()
    number = int(bare) if bare.isdecimal() else _NUMBERS.get(bare.removeprefix("SIG"), 0)
    if number <= 0:
        raise InvalidParameter(f"invalid signal: {text}")
    if number > _HIGHEST:
        raise InvalidParameter(f"the linux daemon does not support signal {number}")
    return number
