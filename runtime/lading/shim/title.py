"""What ps shows as a process's command line: the memory of its arguments, written over.

Source: proc_pid_stat(5), arg_start and arg_end.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import cache


def set_title(text: str) -> None:
    """Show `text`, cut to the room that the first command line took; without /proc, nothing."""
    with suppress(OSError):
        start, end = _argument_area()
        if end - start > 1:
            content = text.encode()[: end - start - 1]
            ctypes.memset(start, 0, end - start)
            ctypes.memmove(start, content, len(content))


@cache
def _argument_area() -> tuple[int, int]:
    """Find it; a forked process has it in the same place."""
    with open("/proc/self/stat", "rb") as file:
        text = file.read()
    fields = text[text.rindex(b")") + 2 :].split()
    return int(fields[45]), int(fields[46])
