"""Mounts taken over from other containers: `--volumes-from`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from lading.engine.model import Container, MountRecord
from lading.engine.mountspecs import WantedMount
from lading.errors import InvalidParameter

Finder = Callable[[str], Container]
"""Looks a container up; raises if there is none."""


def inherited_mounts(
    specs: Sequence[str] | None, find: Finder, own: Sequence[WantedMount]
) -> list[MountRecord]:
    """Copy the mounts of other containers, where the container has none of its own.

    `specs` are `container[:ro|rw]`. Raises InvalidParameter for a bad mode.
    """
    taken = {wanted.point.destination for wanted in own if not wanted.from_image}
    found: dict[str, MountRecord] = {}
    for spec in specs or ():
        ref, _, mode = spec.partition(":")
        if mode not in ("", "ro", "rw", "z", "Z"):
            raise InvalidParameter(f"invalid mode: {mode}")
        for mount in find(ref).mounts:
            if mount.point.destination in taken or mount.point.type == "tmpfs":
                continue
            copy = msgspec.structs.replace(mount.point, mode=mode)
            copy.rw = mount.point.rw and mode != "ro"
            detail = msgspec.structs.replace(mount.detail, anonymous=False)
            found[copy.destination] = MountRecord(point=copy, detail=detail)
    return list(found.values())


def without_inherited(
    wanted: Sequence[WantedMount], inherited: Sequence[MountRecord]
) -> list[WantedMount]:
    """Leave out an image's volumes where another container's mount already is."""
    taken = {mount.point.destination for mount in inherited}
    return [each for each in wanted if each.point.destination not in taken]
