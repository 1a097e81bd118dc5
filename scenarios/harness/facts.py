"""What the host's kernel says about a container, whichever engine made it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
_CGROUPS = Path("/sys/fs/cgroup")


def own_namespaces() -> dict[str, str]:
    """The namespaces of this process: the host's."""
    return {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in NAMESPACES}


def unified() -> bool:
    """Whether the host has cgroup v2 alone."""
    return (_CGROUPS / "cgroup.controllers").exists()


def cgroup_mode() -> str:
    """`v2`, `hybrid` (v2 beside v1, the controllers in v1) or `v1`."""
    if unified():
        return "v2"
    return "hybrid" if (_CGROUPS / "unified" / "cgroup.controllers").exists() else "v1"


@dataclass(frozen=True, slots=True)
class MountLine:
    """A line of mountinfo (proc_pid_mountinfo(5)) as far as scenarios ask."""

    root: str
    target: str
    options: frozenset[str]
    propagation: str
    fstype: str
    source: str
    super_options: frozenset[str]


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """A container by the host's pid of its PID 1."""

    pid: int

    def status(self) -> dict[str, str]:
        """`/proc/PID/status` by field name."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def namespaces(self) -> dict[str, str]:
        """The namespaces the container is in, by kind."""
        return {kind: os.readlink(f"/proc/{self.pid}/ns/{kind}") for kind in NAMESPACES}

    def mounts(self) -> dict[str, MountLine]:
        """The mounts in the container, by their target."""
        lines = Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines()
        return {line.target: line for line in map(_mount_line, lines)}

    def cgroup_path(self, controller: str) -> Path:
        """The container's cgroup in the hierarchy of a controller."""
        for line in Path(f"/proc/{self.pid}/cgroup").read_text().splitlines():
            _number, controllers, path = line.split(":", 2)
            if unified() and not controllers:
                return _CGROUPS / path.lstrip("/")
            if not unified() and controller in controllers.split(","):
                return _CGROUPS / controller / path.lstrip("/")
        raise LookupError(f"the process {self.pid} is in no cgroup with {controller}")

    def cgroup_value(self, controller: str, v1: str, v2: str) -> str:
        """A file of the container's cgroup, by its name in version 1 and in version 2."""
        return (self.cgroup_path(controller) / (v2 if unified() else v1)).read_text().strip()


def _mount_line(line: str) -> MountLine:
    left, _, right = line.partition(" - ")
    fields, more = left.split(), right.split()
    optional = [field for field in fields[6:] if ":" in field]
    return MountLine(
        root=fields[3],
        target=fields[4],
        options=frozenset(fields[5].split(",")),
        propagation=optional[0].partition(":")[0] if optional else "private",
        fstype=more[0],
        source=more[1],
        super_options=frozenset(more[2].split(",")),
    )
