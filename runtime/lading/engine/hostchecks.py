"""What a host has to have, looked at before the daemon serves anybody: device cgroups, overlayfs.

Without them no container could be started, or none be kept from the host's devices. Docker refuses
to start there, too.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from lading.errors import LadingError
from lading.files import lack, temporary_name
from lading.kernel import cgroups
from lading.kernel.errors import KernelError
from lading.kernel.mountinfo import find, mountinfo
from lading.storage.views import overlay_view


def check_host(directory: Path) -> None:
    """Check the host, and that overlays can be mounted on what `directory` is on.

    Raises LadingError that names what is missing, and what would help. A full disk is no reason:
    what is on it can still be run, and be removed.
    """
    _check_devices()
    place = directory / temporary_name()
    try:
        _check_overlay(place)
    except OSError as error:
        if lack(error) is None:
            raise LadingError(_overlay_trouble(directory, error)) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _check_devices() -> None:
    if not cgroups.support(cgroups.detect()).devices:
        raise LadingError(
            "Devices cgroup isn't mounted, and so nothing would keep containers from the host's "
            "devices: mount cgroup2, or the v1 controller devices, below /sys/fs/cgroup"
        )


def _check_overlay(place: Path) -> None:
    """Mount an overlay as a container's is, where nobody sees it, and let it go."""
    names = ("lower", "upper", "work", "merged")
    for name in names:
        (place / name).mkdir(parents=True)
    options = "lowerdir=lower,upperdir=upper,workdir=work"
    try:
        with overlay_view(place, place / "merged", options, read_only=False):
            pass
    except LadingError as error:
        if isinstance(error.__cause__, KernelError):
            raise error.__cause__ from None
        raise


def _overlay_trouble(directory: Path, error: OSError) -> str:
    if error.errno == errno.ENODEV:
        return "the kernel has no overlayfs, which containers are made of: try modprobe overlay"
    found = find(os.path.realpath(directory), mountinfo())
    kind = found.fstype if found else "an unknown file system"
    return (
        f"{directory} is on {kind}, which overlayfs cannot keep containers on ({error}): "
        "choose a directory on ext4, xfs, btrfs or tmpfs with --root"
    )
