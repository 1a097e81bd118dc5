"""Numbers for runs at the same time, so that their engines do not get in each other's way."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from lab.paths import RUN
from lab.shell import LabError

_SLOTS = 8
_held: list[int] = []


def claim(kind: str) -> str:
    """A name such as `scn0` that no other process has, until this process ends.

    Names are used again: what a killed run left under one is cleared away by the next.
    Raises LabError: all of them are taken.
    """
    name, descriptor = _take(kind)
    _held.append(descriptor)
    return name


@contextmanager
def claimed(kind: str) -> Iterator[str]:
    """A name as of `claim`, free again when the context ends."""
    name, descriptor = _take(kind)
    try:
        yield name
    finally:
        os.close(descriptor)


def _take(kind: str) -> tuple[str, int]:
    """A free name, and the descriptor that keeps it for as long as it is open."""
    RUN.mkdir(parents=True, exist_ok=True)
    for number in range(_SLOTS):
        descriptor = os.open(RUN / f".{kind}{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            return f"{kind}{number}", descriptor
    raise LabError(f"{_SLOTS} runs of this kind are going on already: wait until one has ended")
