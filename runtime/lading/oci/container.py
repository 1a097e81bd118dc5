"""The life of one container on a bundle: create, start, signal, delete, and exec in it.

A shim and `lading-oci` both do it so:

    created = create(bundle, spec, container_id=…, state_dir=…, stdio=Stdio(0, 1, 2))
    created.pid, created.pidfd          # the namespaces exist: a network may be set up from now on
    terminal = created.ready().terminal # blocks; or call it once `created` polls readable
    created.start()                     # returns when execve(2) has succeeded
    …
    created.container.delete()          # after the caller, whose child it is, has reaped the pid

The caller has one thread, and PID 1 of the container is its child. Every failure is a
`StepFailed` that names the plan's step and what the kernel said; what was done is undone then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from lading.kernel.cgroups import Cgroup, Stats
    from lading.oci.spec import LinuxResources, Process, Spec
    from lading.oci.state import State
    from lading.oci.steps.base import Timing


@dataclass(frozen=True, slots=True)
class Stdio:
    """The caller's descriptors that become 0, 1 and 2 of the process; they stay open in the caller.

    Not used when the process asks for a terminal.
    """

    stdin: int
    stdout: int
    stderr: int


@dataclass(frozen=True, slots=True)
class Readiness:
    """What `Created.ready` tells: the master side of the terminal (the caller closes it), or None,
    and what each step took.
    """

    terminal: int | None
    timings: tuple[Timing, ...]


class Container:
    """A container that exists: its state directory, its spec, its cgroup, its first process."""

    id: str
    bundle: Path
    directory: Path
    spec: Spec
    pid: int
    cgroup: Cgroup

    @classmethod
    def load(cls, state_dir: Path) -> Container:
        """Find a container again by the directory of its state.json. Raises NotFound."""
        raise NotImplementedError

    def state(self) -> State:
        """Tell the OCI state: "created", "running", "paused" or "stopped" as it is now."""
        raise NotImplementedError

    def start(self) -> None:
        """Let a container created with `exec_fifo` run. Raises Conflict, StepFailed."""
        raise NotImplementedError

    def kill(self, signal: int, *, everyone: bool = False) -> None:
        """Signal PID 1, or all processes of the cgroup. Raises Conflict when it is not running."""
        raise NotImplementedError

    def delete(self, *, force: bool = False) -> None:
        """Remove the cgroup and the state; run poststop hooks. With *force* kill it first.

        Raises Conflict while it runs. Deleting twice is fine.
        """
        raise NotImplementedError

    def pause(self) -> None:
        """Freeze all processes."""
        raise NotImplementedError

    def resume(self) -> None:
        """Let them go on."""
        raise NotImplementedError

    def update(self, resources: LinuxResources) -> list[str]:
        """Set limits of the cgroup; gives a warning for each that the host lacks."""
        raise NotImplementedError

    def pids(self) -> list[int]:
        """Give the host pids of all processes."""
        raise NotImplementedError

    def stats(self) -> Stats:
        """Read the counters of the cgroup."""
        raise NotImplementedError


class Created:
    """A container being created: its process exists, in its namespaces, and is setting itself up.

    `pidfd` and the connection are the caller's to close (`close`), and survive neither exec.
    """

    container: Container
    pid: int
    pidfd: int
    warnings: list[str]

    def fileno(self) -> int:
        """Give the connection to the process: readable when `ready` will not block."""
        raise NotImplementedError

    def ready(self) -> Readiness:
        """Wait until the process waits for `start`. Raises StepFailed with all undone."""
        raise NotImplementedError

    def start(self) -> tuple[Timing, ...]:
        """Let it run; returns when it has executed its program. Raises StepFailed, undone."""
        raise NotImplementedError

    def abort(self) -> None:
        """Kill the process, reap it, and undo the creation."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection and the pidfd; a started container runs on."""
        raise NotImplementedError


def create(
    bundle: Path,
    spec: Spec,
    *,
    container_id: str,
    state_dir: Path,
    stdio: Stdio | None = None,
    exec_fifo: bool = False,
    pivot: bool = True,
    preserve_fds: int = 0,
) -> Created:
    """Clone the container's first process; returns when its namespaces (and id maps) exist.

    *state_dir* gets state.json; it may be the bundle itself. Without *stdio* the caller's own
    0, 1 and 2 are passed on. With *exec_fifo* another process may do the `Container.start`; the
    connection ends at `ready` then. *preserve_fds* passes descriptors 3 … 2+N on, too.
    Raises InvalidParameter for a spec that cannot be, Conflict when state_dir has a container.
    """
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Executed:
    """A further process in the container, a child of the caller, after its execve(2).

    `terminal` is the master side of its terminal, or None; the caller closes it and the pidfd.
    """

    pid: int
    pidfd: int
    terminal: int | None
    timings: tuple[Timing, ...]


def exec_process(
    container: Container, process: Process, *, stdio: Stdio | None = None, preserve_fds: int = 0
) -> Executed:
    """Run *process* in all namespaces, the root and the cgroup of *container*.

    Returns when its program has been executed (a few ms). Raises Conflict when the container is
    not running, StepFailed (errno ENOENT → 127, EACCES → 126).
    """
    raise NotImplementedError
