"""The one interface to a cgroup, whatever hierarchies the host has."""

from __future__ import annotations

from abc import ABC, abstractmethod
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
        """Open the directory for clone3's CLONE_INTO_CGROUP, or None where v1 controllers need
        the process be moved by `add`. The caller closes it.
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
    def controllers(self) -> dict[str, str]:
        """Give the absolute directory of the cgroup for each controller ("" is unified itself)."""
