"""One daemon for one root and one run directory: locks that end with their process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from lading.errors import LadingError


class DirectoryLock:
    """An exclusive hold of a file; the kernel lets go of it when the process ends, however it does.

    The file carries the process id of its holder and stays when the lock is released: removing
    it would let two processes hold two files of one name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def acquire(self, refusal: str) -> None:
        """Take the lock or raise LadingError: `refusal` with the holder's process id in `{pid}`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise LadingError(f"cannot open {self.path}: {error.strerror}") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise LadingError(refusal.format(pid=holder)) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Let go of the lock; nothing happens when it is not held."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1
