"""A small disk, seen by a child process alone."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

from lading.kernel.mounts import Propagation, mount, set_propagation
from lading.kernel.namespaces import CloneFlag, unshare


def on_a_small_disk(place: Path, size: str, work: Callable[[Path], None]) -> None:
    """Do `work` in a child, where `place` is a file system of its own of this size (`8m`)."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            unshare(CloneFlag.NEWNS)
            set_propagation("/", Propagation.RPRIVATE)
            mount("tmpfs", place, "tmpfs", 0, f"size={size}")
            work(place)
            status = 0
        except BaseException:  # noqa: BLE001 - the child ends here, whatever happened
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
