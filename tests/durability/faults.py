"""A process that is killed at one of its changes to the file system: at the first, the second, …"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

_CHANGES = frozenset(
    {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "os.symlink", "os.truncate"}
    | {"os.chmod", "os.chown", "os.utime", "os.setxattr", "os.removexattr"}
)
"""The audit events of changes (the table of audit events in Python's documentation)."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def killed_at(change: int, work: Callable[[], object]) -> bool:
    """Do `work` in a child process that is killed right before its `change`-th change, from 1.

    Tells whether it was; when the work had fewer changes it came to its end instead. Raises
    AssertionError when the work failed.
    """
    pid = os.fork()
    if pid == 0:
        _work(change, work)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    assert os.waitstatus_to_exitcode(status) == 0, "the work failed: see its traceback"
    return False


def _work(change: int, work: Callable[[], object]) -> None:
    """Work in the child, which never returns from here."""
    status = 1
    try:
        left = change
        lock = threading.Lock()

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if event in _CHANGES or (event == "open" and _writes(arguments)):
                with lock:
                    left -= 1
                    if not left:
                        os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        work()
        status = 0
    except BaseException:  # noqa: BLE001 - the child ends here, whatever happened
        traceback.print_exc()
    finally:
        os._exit(status)


def _writes(arguments: tuple[Any, ...]) -> bool:
    """Tell whether what was opened (path, mode, flags) may be written to."""
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & _WRITING)
