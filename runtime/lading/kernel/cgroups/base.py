"""The one interface to a cgroup, whatever hierarchies the host has."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lading.kernel.cgroups.resources import DeviceRule, Resources
    from lading.kernel.cgroups.stats import Stats


class Mode(Enum):
    """How the host mounts its controllers; "hybrid" counts as v1, as Docker has it."""

    V1 = "v1"
    HYBRID = "hybrid"
    V2 = "v2"


@dataclass(frozen=True, slots=True)
class Controller:
    """A controller that the host has: where it is mounted and in which version."""

    name: str
    mount_point: str
    version: int


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """What `detect` found: the mode, controllers by name, and every cgroup mount to create in.

    `unified` is the mount point of cgroup2, if mounted; `mounts` are the v1 mount points,
    name=systemd included, each once.
    """

    mode: Mode
    controllers: dict[str, Controller]
    mounts: tuple[str, ...]
    unified: str | None

    @property
    def version(self) -> int:
        """Docker's CgroupVersion: 1 or 2."""
        return 2 if self.mode is Mode.V2 else 1

    def has(self, controller: str) -> bool:
        """Tell whether *controller* ("memory", "cpu", "pids", "blkio"/"io" …) can be used."""
        return controller in self.controllers


class Cgroup(ABC):
    """One cgroup: the same path below the root of every hierarchy of the host.

    Making the object touches nothing; `create` does. Failures raise KernelError.
    """

    def __init__(self, path: str, hierarchy: Hierarchy) -> None:
        self.path = "/" + path.strip("/")
        self.hierarchy = hierarchy

    @abstractmethod
    def create(self) -> None:
        """Make the cgroup's directories; those that exist stay as they are.

        A failure removes what this call made.
        """

    @abstractmethod
    def apply(self, resources: Resources) -> list[str]:
        """Set limits; None fields are left alone. Gives one warning for each limit that the host
        lacks the controller or file for; a value that the kernel refuses raises KernelError.
        """

    @abstractmethod
    def apply_devices(self, rules: list[DeviceRule]) -> list[str]:
        """Replace the device rules (first rules first, as OCI has them)."""

    @abstractmethod
    def add(self, pid: int) -> None:
        """Move process *pid*, with all its threads, into the cgroup; 0 is the caller."""

    @abstractmethod
    def open(self) -> int | None:
        """Open the directory in cgroup2 for clone3's CLONE_INTO_CGROUP; None without cgroup2.

        The child calls `enter` besides, for v1 controllers. The caller closes the descriptor.
        """

    @abstractmethod
    def enter(self) -> None:
        """Move the calling process, which has one thread, into the cgroup.

        The quick way in: with the descriptor of `open` given to clone3, and this called in the
        child, about 0.3 ms. Moving another process by `add`, or into cgroup2 by its number,
        takes a lock for which the kernel waits 5 to 20 ms, unless it was taken just before.
        """

    @abstractmethod
    def freeze(self) -> None:
        """Stop all processes and wait until all are stopped."""

    @abstractmethod
    def thaw(self) -> None:
        """Let them go on."""

    @abstractmethod
    def frozen(self) -> bool:
        """Tell whether all processes are stopped."""

    @abstractmethod
    def pids(self, *, recursive: bool = False) -> list[int]:
        """Give the process ids in the cgroup, sorted; if *recursive* with those below it."""

    @abstractmethod
    def kill(self) -> None:
        """Send SIGKILL to every process in the cgroup and below, also to those being forked."""

    @abstractmethod
    def delete(self) -> None:
        """Remove the cgroup and those below it, after waiting for killed processes to leave.

        A cgroup that is gone already is fine. Raises KernelError EBUSY when processes stay.
        """

    def delete_if_empty(self) -> None:
        """Remove the cgroup where neither processes nor other cgroups are in it; never waits.

        For a parent that several programs make their cgroups in: whoever leaves last takes it.
        """
        for directory in set(self.directories().values()):
            with suppress(OSError):
                os.rmdir(directory)

    @abstractmethod
    def exists(self) -> bool:
        """Tell whether the cgroup is there."""

    @abstractmethod
    def stats(self) -> Stats:
        """Read all counters."""

    @abstractmethod
    def oom_kill_count(self) -> int:
        """Give how many processes the kernel killed here for lack of memory."""

    @abstractmethod
    def watch_oom(self) -> int | None:
        """Give a descriptor that becomes readable when memory runs out here (OOM), or None.

        Read it (4096 bytes) to wait for the next time; the caller closes it. On v2 it tells of any
        change in memory.events, so compare `oom_kill_count`.
        """

    @abstractmethod
    def directories(self) -> dict[str, str]:
        """Give the cgroup's absolute directory for each controller; "" is that in cgroup2."""
