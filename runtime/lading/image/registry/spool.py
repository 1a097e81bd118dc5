"""A blob on its way in: appended to a file by the loop, read by the thread that unpacks it.

The file is the buffer between network and disk, so that memory stays flat, and it stays
behind when a pull is cut off, so that the next one goes on from there.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from lading.errors import InvalidParameter, LadingError
from lading.files import explaining
from lading.image.registry.manifests import Descriptor
from lading.storage.digests import hex_of

_KEPT = 24 * 3600
"""Seconds for which a pull that was cut off may be taken up again."""


class CutOff(LadingError):
    """What is read will never be whole: the transfer failed, for a reason told elsewhere."""


def drop_old(directory: Path) -> None:
    """Remove the partial files of pulls that nobody took up again."""
    for path in directory.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _KEPT:
                path.unlink()


class Spool:
    """The partial file of one blob; a context manager around the transfer.

    `read` is called from one thread and sees all bytes from the first on; it returns b"" only
    when the whole blob is there and has the digest it should have.
    """

    def __init__(self, directory: Path, descriptor: Descriptor) -> None:
        self._path = directory / hex_of(descriptor.digest)
        self._descriptor = descriptor
        self._arrived = threading.Condition()
        self._hash = hashlib.sha256()
        self._position = 0
        self._failed: BaseException | None = None
        with explaining("keep what is downloaded"):
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.offset = min(os.fstat(self._fd).st_size, descriptor.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, InvalidParameter) or is_full(error):
            # Taken over whole, or so wrong that going on from it would be wrong as well; a full
            # disk gets back what it gave.
            self._path.unlink(missing_ok=True)
        os.close(self._fd)

    @property
    def complete(self) -> bool:
        """Whether all bytes are there; whether they are right, `read` finds out."""
        return self.offset == self._descriptor.size

    def write(self, chunk: bytes) -> None:
        """Append to the file. Raises InvalidParameter: more came than the manifest announced."""
        if self.offset + len(chunk) > self._descriptor.size:
            raise InvalidParameter(
                f"blob {self._descriptor.digest} is longer than the {self._descriptor.size} "
                "bytes its manifest announces"
            )
        view = memoryview(chunk)
        while view:
            with explaining("keep what is downloaded"):
                written = os.pwrite(self._fd, view, self.offset)
            view = view[written:]
            with self._arrived:
                self.offset += written
                self._arrived.notify()

    def fail(self, error: BaseException) -> None:
        """End the reader's waiting: the transfer has failed for good."""
        with self._arrived:
            self._failed = error
            self._arrived.notify()

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes, waiting for them; b"" at the verified end.

        Raises InvalidParameter for a wrong digest, CutOff when the transfer failed.
        """
        with self._arrived:
            while self._position == self.offset and not self.complete and self._failed is None:
                self._arrived.wait()
            if self._failed is not None:
                raise CutOff(f"the transfer of {self._descriptor.digest} was cut off")
            available = self.offset - self._position
        if not available:
            self._verify()
            return b""
        data = os.pread(self._fd, min(size, available), self._position)
        self._hash.update(data)
        self._position += len(data)
        return data

    def _verify(self) -> None:
        found = f"sha256:{self._hash.hexdigest()}"
        if found != self._descriptor.digest:
            raise InvalidParameter(
                f"filesystem layer verification failed for digest {self._descriptor.digest}: "
                f"what the registry sent has {found}"
            )


def drop(directory: Path, descriptor: Descriptor) -> None:
    """Remove the partial file of a blob, if there is one."""
    (directory / hex_of(descriptor.digest)).unlink(missing_ok=True)


def is_full(error: BaseException) -> bool:
    """Tell whether there was no room on the disk, or in the quota."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
