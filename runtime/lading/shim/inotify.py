"""inotify(7) on one directory, as a descriptor that becomes readable when something changes."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from lading.kernel.syscalls import check, libc

if TYPE_CHECKING:
    from pathlib import Path

IN_MODIFY, IN_MOVED_TO, IN_CREATE, IN_DELETE_SELF = 0x2, 0x80, 0x100, 0x400
_EVENTS = IN_MODIFY | IN_MOVED_TO | IN_CREATE | IN_DELETE_SELF


class DirectoryWatch:
    """Tells when a file in a directory was written to, made or renamed.

    Raises KernelError: ENOENT without the directory, ENOSPC or EMFILE at the host's limits.
    """

    def __init__(self, directory: Path) -> None:
        self.descriptor = check(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")
        try:
            path = os.fsencode(directory)
            number = libc.inotify_add_watch(self.descriptor, path, ctypes.c_uint32(_EVENTS))
            check(number, "watch directory", directory)
        except OSError:
            self.close()
            raise

    def clear(self) -> None:
        """Take note of all that happened so far."""
        with suppress(BlockingIOError):
            while os.read(self.descriptor, 64 * 1024):
                pass

    def close(self) -> None:
        """Stop watching."""
        os.close(self.descriptor)
