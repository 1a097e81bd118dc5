"""Shared means of the kernel tests: work done in a child process, whose namespaces are its own."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

import pytest

from lading.kernel.namespaces import clone3
from lading.kernel.process import wait_pidfd

InChild = Callable[..., None]


def run_in_child(work: Callable[[], None], flags: int = 0) -> None:
    """Run *work* in a child made with *flags*; what it raises fails the test."""
    receive, send = os.pipe()
    pid, pidfd = clone3(flags)
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001 (the parent reports whatever it was)
            os.write(send, traceback.format_exc().encode())
        finally:
            os._exit(status)
    os.close(send)
    try:
        with open(receive, encoding="utf-8") as report:
            text = report.read()
        ended = wait_pidfd(pidfd)
    finally:
        os.close(pidfd)
    assert ended is not None
    assert ended.status == 0, text


@pytest.fixture
def in_child() -> InChild:
    """Give `run_in_child`."""
    return run_in_child
