"""Files of our own that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from lading.errors import LadingError

TEMPORARY = ".tmp-"
"""What a name begins with while its content is not complete; the next start removes such names."""


def temporary_name() -> str:
    """Return a fresh name for something incomplete."""
    return TEMPORARY + os.urandom(8).hex()


def write_atomically(
    path: Path,
    data: bytes,
    *,
    mode: int = 0o600,
    durable: bool = True,
    durable_name: bool = True,
) -> None:
    """Replace the file at `path`: readers see the old bytes or the new, also after a crash.

    Without `durable` the order of writes is left to the kernel: for what can be made again.
    Without `durable_name` a crash in the next seconds may bring the old bytes back.
    """
    temporary = path.parent / temporary_name()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            if durable:
                os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable and durable_name:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def explaining(what: str) -> Iterator[None]:
    """Turn a failed system call on our own files into a sentence: "cannot WHAT: no space left"."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno or errno.EIO).lower()
        raise LadingError(f"cannot {what}: {reason}") from error


_LACKS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)


def lack(error: BaseException) -> str | None:
    """Say what this machine lacks, if that is what a system call failed for: space, descriptors.

    It is no bug of ours then, whoever made the call; None for everything else.
    """
    if not isinstance(error, OSError) or error.errno not in _LACKS:
        return None
    place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return place + os.strerror(error.errno).lower()
