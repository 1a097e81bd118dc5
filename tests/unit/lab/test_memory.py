"""The memory of an engine's processes, counted by page frames."""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Iterator

import pytest

from lab.bench.memory import taken

_BALLAST = 16
"""MiB that parent and child share."""


@pytest.fixture
def child() -> Iterator[int]:
    """A process that has all of this one's memory, a ballast included, and writes to none."""
    ballast = mmap.mmap(-1, _BALLAST << 20)
    ballast.write(b"x" * (_BALLAST << 20))
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    ballast.close()


@pytest.mark.root
def test_a_page_is_divided_among_the_engines_own_processes(child: int) -> None:
    alone = taken([child], [child])
    assert alone > _BALLAST
    assert taken([child], [os.getpid(), child]) < alone - _BALLAST / 4


@pytest.mark.root
def test_an_ended_process_takes_nothing() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert taken([pid], [pid]) == 0
