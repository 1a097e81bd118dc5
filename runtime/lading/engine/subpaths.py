"""Subpaths of volumes and images: refused at the creation, and looked up at the start.

The words and the kinds of the refusals are Docker's.
"""

from __future__ import annotations

import errno
import os
import posixpath

from lading.errors import InvalidParameter, LadingError, NotFound
from lading.kernel.errors import KernelError
from lading.kernel.paths import Resolve, openat2


def check_subpath(subpath: str) -> None:
    """Refuse a subpath that leads out by itself; raises InvalidParameter."""
    if subpath and (subpath.startswith("/") or posixpath.normpath(subpath).split("/")[0] == ".."):
        raise InvalidParameter("subpath must be a relative path within the volume")


def open_subpath(root: int, subpath: str, shown: str) -> int:
    """Open what a subpath names below `root`, a directory's descriptor, as O_PATH.

    `shown` is how the directory is called in refusals. Raises NotFound where there is nothing,
    InvalidParameter where a link leads out of the root.
    """
    clean = posixpath.normpath(subpath)
    full = posixpath.join(shown, clean)
    try:
        return openat2(root, clean, os.O_PATH, resolve=Resolve.BENEATH | Resolve.NO_MAGICLINKS)
    except KernelError as error:
        reason = (error.strerror or "").lower()
        if error.errno == errno.EXDEV:
            raise InvalidParameter(
                f"path concatenation escapes the base directory, base: {shown}, subpath: {subpath}"
            ) from error
        if error.errno == errno.ENOENT:
            raise NotFound(f"cannot access path {full}: lstat {full}: {reason}") from error
        raise LadingError(
            f'error while resolving symlinks in combined path "{full}": {reason}'
        ) from error
