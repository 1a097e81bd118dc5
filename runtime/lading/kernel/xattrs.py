"""Extended attributes of files, as overlayfs and layer archives use them (xattr(7))."""

from __future__ import annotations

import errno
import os

from lading.kernel.errors import Attempt

OVERLAY_OPAQUE = "trusted.overlay.opaque"
OVERLAY_OPAQUE_USER = "user.overlay.opaque"

Target = str | bytes | int


def get(target: Target, name: str, *, follow: bool = False) -> bytes | None:
    """Give the value of attribute *name*, or None where there is none."""
    try:
        if isinstance(target, int):
            return os.getxattr(target, name)
        return os.getxattr(target, name, follow_symlinks=follow)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return None
        with Attempt(f"read attribute {name} of", target):
            raise


def put(target: Target, name: str, value: bytes, *, follow: bool = False) -> None:
    """Set attribute *name*. Raises KernelError, ENOTSUP where the file system cannot hold it."""
    with Attempt(f"set attribute {name} of", target):
        if isinstance(target, int):
            os.setxattr(target, name, value)
        else:
            os.setxattr(target, name, value, follow_symlinks=follow)


def remove(target: Target, name: str, *, follow: bool = False) -> None:
    """Remove attribute *name*; nothing happens when it is not there."""
    try:
        if isinstance(target, int):
            os.removexattr(target, name)
        else:
            os.removexattr(target, name, follow_symlinks=follow)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return
        with Attempt(f"remove attribute {name} of", target):
            raise


def all_of(target: Target, *, follow: bool = False) -> dict[str, bytes]:
    """Give all attributes by name; empty where the file system has none."""
    try:
        if isinstance(target, int):
            names = os.listxattr(target)
        else:
            names = os.listxattr(target, follow_symlinks=follow)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        with Attempt("list the attributes of", target):
            raise
    found = ((name, get(target, name, follow=follow)) for name in names)
    return {name: value for name, value in found if value is not None}


def is_opaque(directory: Target) -> bool:
    """Tell whether overlayfs hides what lower layers have in *directory*."""
    return get(directory, OVERLAY_OPAQUE) == b"y" or get(directory, OVERLAY_OPAQUE_USER) == b"y"
