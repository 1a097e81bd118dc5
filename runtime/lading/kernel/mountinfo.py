"""The kernel's list of mounts: /proc/PID/mountinfo, parsed (proc_pid_mountinfo(5))."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.kernel.errors import Attempt

if TYPE_CHECKING:
    from collections.abc import Iterable

_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class MountInfo:
    """One line of mountinfo.

    `root` is the path inside the file system that is mounted; `options` are the mount's own,
    `super_options` the file system's; `shared` and `master` are peer group ids, or None.
    """

    mount_id: int
    parent_id: int
    major: int
    minor: int
    root: str
    mount_point: str
    options: tuple[str, ...]
    shared: int | None
    master: int | None
    unbindable: bool
    fstype: str
    source: str
    super_options: tuple[str, ...]

    @property
    def propagation(self) -> str:
        """OCI's word for it: "shared", "slave", "unbindable" or "private"."""
        if self.shared is not None:
            return "shared"
        if self.master is not None:
            return "slave"
        return "unbindable" if self.unbindable else "private"


def mountinfo(pid: int | str = "self") -> list[MountInfo]:
    """Read the mounts that process *pid* sees, in the kernel's order (parents first)."""
    path = f"/proc/{pid}/mountinfo"
    with Attempt("read", path), open(path, encoding="utf-8", errors="surrogateescape") as file:
        return parse(file.read())


def parse(text: str) -> list[MountInfo]:
    """Parse the text of a mountinfo file. Raises ValueError on a line that is not of its form."""
    return [_parse_line(line) for line in text.splitlines() if line]


def under(mounts: Iterable[MountInfo], path: str) -> list[MountInfo]:
    """Select the mounts at *path* or below it, in the given order."""
    prefix = path.rstrip("/") + "/"
    return [m for m in mounts if m.mount_point == path or m.mount_point.startswith(prefix)]


def find(path: str, mounts: Iterable[MountInfo]) -> MountInfo | None:
    """Give the mount that *path* (absolute, without links) lies on, or None."""
    best: MountInfo | None = None
    for entry in mounts:
        point = entry.mount_point
        inside = point == "/" or path == point or path.startswith(point + "/")
        if inside and (best is None or len(point) >= len(best.mount_point)):
            best = entry
    return best


def unescape(field: str) -> str:
    r"""Decode the kernel's octal escapes, as in "a\040b"."""
    if "\\" not in field:
        return field
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), field)


def _parse_line(line: str) -> MountInfo:
    head, separator, tail = line.partition(" - ")
    fields = head.split(" ")
    kind = tail.split(" ")
    if not separator or len(fields) < 6 or len(kind) < 2:
        raise ValueError(f"not a line of mountinfo: {line!r}")
    tags = dict(tag.partition(":")[::2] for tag in fields[6:])
    major, _, minor = fields[2].partition(":")
    return MountInfo(
        mount_id=int(fields[0]),
        parent_id=int(fields[1]),
        major=int(major),
        minor=int(minor),
        root=unescape(fields[3]),
        mount_point=unescape(fields[4]),
        options=tuple(fields[5].split(",")),
        shared=int(tags["shared"]) if "shared" in tags else None,
        master=int(tags["master"]) if "master" in tags else None,
        unbindable="unbindable" in tags,
        fstype=kind[0],
        source=unescape(kind[1]),
        super_options=tuple(kind[2].split(",")) if len(kind) > 2 else (),
    )
