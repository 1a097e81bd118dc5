"""What a step is, what it works on, and how its failure is told.

A step is immutable and knows everything when the plan is made; what only exists at run time
(descriptors, the process, the compiled filter) is in the `Context` that `execute` gets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from lading.errors import LadingError

if TYPE_CHECKING:
    from lading.kernel.cgroups import Cgroup
    from lading.oci.channel import Channel
    from lading.oci.state import State

NO_DESCRIPTOR = -1


class Step(msgspec.Struct, frozen=True):
    """One thing that is done when a container starts."""

    @property
    def name(self) -> str:
        """Give the name that timings and failures carry: the class's."""
        return type(self).__name__

    def describe(self) -> str:
        """Say in one line what `execute` will do."""
        raise NotImplementedError

    def execute(self, ctx: Context) -> None:
        """Do it. Raises OSError (usually KernelError) or LadingError."""
        raise NotImplementedError

    def undo(self, ctx: Context) -> None:
        """Take back what `execute` left on the host; for most steps that is nothing."""


class Timing(msgspec.Struct, frozen=True):
    """What one step took, in nanoseconds; `where` is "runtime" or "container"."""

    step: str
    description: str
    where: str
    ns: int


class StepFailed(LadingError):
    """A step could not be done: `step` is its class's name, `errno` the kernel's answer or 0."""

    def __init__(self, message: str, *, step: str, errno: int = 0) -> None:
        super().__init__(message)
        self.step = step
        self.errno = errno


class Refused(LadingError):
    """A step's own word on why it cannot be done, with the errno that it comes down to."""

    def __init__(self, message: str, errno: int) -> None:
        super().__init__(message)
        self.errno = errno


class Context:
    """What exists while a plan is carried out; each process has its own copy after the clone."""

    def __init__(
        self,
        *,
        container_id: str,
        bundle: str,
        rootfs: str,
        cgroup: Cgroup | None,
        state: State,
        cache: str = "",
        directory: str = "",
        stdio: tuple[int, int, int] = (0, 1, 2),
        sibling: bool = False,
    ) -> None:
        self.container_id = container_id
        self.bundle = bundle
        self.rootfs = rootfs
        """The absolute host path of the container's root."""
        self.cgroup = cgroup
        self.state = state
        """The OCI state that hooks get on their standard input."""
        self.cache = cache
        """The directory of compiled seccomp filters, or "" for none."""
        self.directory = directory
        """The state directory, where the start fifo is."""
        self.stdio = stdio
        self.sibling = sibling
        """The process becomes the child of the runtime's parent."""
        self.channel: Channel | None = None
        """The connection to the other process."""
        self.pid = 0
        self.host_pid = 0
        """The process's own view of `pid`, where hooks need it."""
        self.pidfd = NO_DESCRIPTOR
        self.target = NO_DESCRIPTOR
        """The pidfd of the container's first process, for a further one that joins it."""
        self.root = NO_DESCRIPTOR
        """An O_PATH descriptor of the container's root, once that is mounted."""
        self.terminal = NO_DESCRIPTOR
        """The side of the terminal that the process gets."""
        self.master = NO_DESCRIPTOR
        """The other side of the terminal, when the runtime opened it."""
        self.null = NO_DESCRIPTOR
        """The null device that hides files."""
        self.start_directory = NO_DESCRIPTOR
        self.fifo = NO_DESCRIPTOR
        """The start fifo, once it was opened."""
        self.label_file = NO_DESCRIPTOR
        self.cgroup_fd: int | None = None
        self.trees: dict[str, int] = {}
        """Detached mounts opened by the runtime, by destination."""
        self.filter = b""
        self.entered = False
        """Whether the working directory was entered already."""
        self.executable = ""
        self.environment: dict[str, str] = {}
        self.timings: list[int] = []
        self.warnings: list[str] = []
        self.undoable: list[Step] = []

    def link(self) -> Channel:
        """Give the connection to the other process."""
        if self.channel is None:
            raise Refused("the connection between runtime and container is not open", 0)
        return self.channel
