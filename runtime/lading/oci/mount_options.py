"""Mount options as the OCI spec lists them, sorted into what the kernel takes where.

Source: OCI runtime-spec 1.2, config.md, "Linux mount options"; mount(8), mount_setattr(2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lading.kernel.mounts import MountAttr, MountFlag, Propagation

if TYPE_CHECKING:
    from collections.abc import Iterable

_SET = {
    "async": (False, MountFlag.SYNCHRONOUS),
    "atime": (False, MountFlag.NOATIME),
    "bind": (True, MountFlag.BIND),
    "defaults": (True, MountFlag(0)),
    "dev": (False, MountFlag.NODEV),
    "diratime": (False, MountFlag.NODIRATIME),
    "dirsync": (True, MountFlag.DIRSYNC),
    "exec": (False, MountFlag.NOEXEC),
    "iversion": (True, MountFlag.I_VERSION),
    "lazytime": (True, MountFlag.LAZYTIME),
    "loud": (False, MountFlag.SILENT),
    "mand": (True, MountFlag.MANDLOCK),
    "noatime": (True, MountFlag.NOATIME),
    "nodev": (True, MountFlag.NODEV),
    "nodiratime": (True, MountFlag.NODIRATIME),
    "noexec": (True, MountFlag.NOEXEC),
    "noiversion": (False, MountFlag.I_VERSION),
    "nolazytime": (False, MountFlag.LAZYTIME),
    "nomand": (False, MountFlag.MANDLOCK),
    "norelatime": (False, MountFlag.RELATIME),
    "nostrictatime": (False, MountFlag.STRICTATIME),
    "nosuid": (True, MountFlag.NOSUID),
    "nosymfollow": (True, MountFlag.NOSYMFOLLOW),
    "rbind": (True, MountFlag.BIND | MountFlag.REC),
    "relatime": (True, MountFlag.RELATIME),
    "remount": (True, MountFlag.REMOUNT),
    "ro": (True, MountFlag.RDONLY),
    "rw": (False, MountFlag.RDONLY),
    "silent": (True, MountFlag.SILENT),
    "strictatime": (True, MountFlag.STRICTATIME),
    "suid": (False, MountFlag.NOSUID),
    "symfollow": (False, MountFlag.NOSYMFOLLOW),
    "sync": (True, MountFlag.SYNCHRONOUS),
}
_RECURSIVE = {
    "rro": (True, MountAttr.RDONLY),
    "rrw": (False, MountAttr.RDONLY),
    "rnosuid": (True, MountAttr.NOSUID),
    "rsuid": (False, MountAttr.NOSUID),
    "rnodev": (True, MountAttr.NODEV),
    "rdev": (False, MountAttr.NODEV),
    "rnoexec": (True, MountAttr.NOEXEC),
    "rexec": (False, MountAttr.NOEXEC),
    "rnodiratime": (True, MountAttr.NODIRATIME),
    "rdiratime": (False, MountAttr.NODIRATIME),
    "rrelatime": (True, MountAttr.RELATIME),
    "rnorelatime": (False, MountAttr.RELATIME),
    "rnoatime": (True, MountAttr.NOATIME),
    "ratime": (False, MountAttr.NOATIME),
    "rstrictatime": (True, MountAttr.STRICTATIME),
    "rnostrictatime": (False, MountAttr.STRICTATIME),
    "rnosymfollow": (True, MountAttr.NOSYMFOLLOW),
    "rsymfollow": (False, MountAttr.NOSYMFOLLOW),
}
_ACCESS_TIMES = MountAttr.RELATIME | MountAttr.NOATIME | MountAttr.STRICTATIME
_PROPAGATIONS = {kind.value: kind for kind in Propagation}
_ID_MAPS = ("idmap", "ridmap")

LADING_PREFIX = "x-lading."
COPY_UP = "tmpcopyup"
SUPPORTED = sorted([*_SET, *_RECURSIVE, *_PROPAGATIONS, *_ID_MAPS, COPY_UP])
"""All options that are ours to read; every other one is the file system's."""


class Options(msgspec.Struct, frozen=True):
    """What a mount's options come to.

    `recursive_set` and `recursive_clear` are for mount_setattr(2) over the whole tree; `data` is
    the file system's; `id_map` is "", "idmap" or "ridmap"; `own` holds the x-lading options.
    """

    flags: int = 0
    propagations: tuple[Propagation, ...] = ()
    data: str = ""
    recursive_set: int = 0
    recursive_clear: int = 0
    id_map: str = ""
    copy_up: bool = False
    own: tuple[tuple[str, str], ...] = ()

    @property
    def is_bind(self) -> bool:
        """Tell whether it binds what is mounted already."""
        return bool(self.flags & MountFlag.BIND)

    @property
    def readonly(self) -> bool:
        """Tell whether nothing may be written through it."""
        return bool(self.flags & MountFlag.RDONLY)

    def own_value(self, key: str) -> str:
        """Give the value of the x-lading option *key*, or ""."""
        return dict(self.own).get(key, "")


def parse(options: Iterable[str]) -> Options:
    """Sort *options*; of contradicting ones the last counts, as in mount(8)."""
    flags = recursive_set = recursive_clear = 0
    propagations: list[Propagation] = []
    data: list[str] = []
    own: list[tuple[str, str]] = []
    id_map = ""
    copy_up = False
    for option in options:
        if option in _SET:
            on, flag = _SET[option]
            flags = flags | int(flag) if on else flags & ~int(flag)
        elif option in _PROPAGATIONS:
            propagations.append(_PROPAGATIONS[option])
        elif option in _RECURSIVE:
            on, attribute = _RECURSIVE[option]
            recursive_set, recursive_clear = _recursive(
                recursive_set, recursive_clear, int(attribute), on=on
            )
        elif option in _ID_MAPS:
            id_map = option
        elif option == COPY_UP:
            copy_up = True
        elif option.startswith(LADING_PREFIX):
            key, _, value = option.removeprefix(LADING_PREFIX).partition("=")
            own.append((key, value))
        else:
            data.append(option)
    return Options(
        flags=flags,
        propagations=tuple(propagations),
        data=",".join(data),
        recursive_set=recursive_set,
        recursive_clear=recursive_clear,
        id_map=id_map,
        copy_up=copy_up,
        own=tuple(own),
    )


def _recursive(present: int, cleared: int, attribute: int, *, on: bool) -> tuple[int, int]:
    """Work one option in; access times are one field of the kernel's, cleared as a whole."""
    if attribute & int(_ACCESS_TIMES) or attribute == int(MountAttr.RELATIME):
        field = int(MountAttr.ATIME_MASK)
        return (present & ~field | attribute, cleared | field) if on else (present, cleared | field)
    if on:
        return present | attribute, cleared & ~attribute
    return present & ~attribute, cleared | attribute
