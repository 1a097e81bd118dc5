"""Keeping containers from the host's own interpreter.

A container's entry may be `/proc/self/exe`, or a script whose interpreter is that: the runtime's
process then executes its own program once more, now inside the container, where whoever made the
image chooses its libraries. From in there the file behind /proc/self/exe could be opened for
writing, and it is the host's. Executed from a read-only mount of its own, it cannot.
(The flaw is known as CVE-2019-5736.)
"""

from __future__ import annotations

import errno
import os
import sys

from lading.kernel.errors import KernelError
from lading.kernel.mounts import MountAttr, mount_setattr, open_tree

_SELF = "/proc/self/exe"
_NOT_THERE = (errno.ENOSYS, errno.EPERM, errno.EINVAL)


def is_protected() -> bool:
    """Tell whether our program was executed from a read-only mount."""
    return bool(os.statvfs(_SELF).f_flag & os.ST_RDONLY)


def execute_from_readonly_mount() -> None:
    """Execute this very program again, from a detached read-only mount of its file.

    To be called first of all, before there is anything to lose; returns when it is done already,
    or where the kernel cannot (before 5.12). Costs one start of the interpreter.
    """
    if is_protected():
        return
    program = os.path.realpath(_SELF)
    try:
        tree = open_tree(program)
        mount_setattr(tree, set_attributes=MountAttr.RDONLY)
    except KernelError as error:
        if error.errno in _NOT_THERE:
            return
        raise
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(tree, sys.orig_argv, os.environ)  # noqa: S606
