"""The daemon's side of the spawner and the shims, on asyncio.

A start, as the engine does it:

    shim = await spawner.spawn(SpawnRequest(container_id=…, bundle=…, log=…))   # shim.pid is in its namespaces
    await network.connect(shim.pid)                                          # while the shim goes on creating
    await shim.ready()                                                          # StepFailed names the step
    await shim.attach(sock, Streams(stdout=True))                             # before start: the first byte is delivered
    await shim.start()                                                          # StepFailed, e.g. errno ENOENT of execve
    status = await shim.wait()
    await shim.quit()

The attached sockets are stream sockets. Without a terminal the shim writes Docker's multiplexed format to them, with a
terminal the raw bytes. Give the shim one end of a socketpair and relay, or the client's own connection: it owns the
descriptor passed. Detach keys are looked for by the shim, on terminals only, as Docker does; `Attachment.wait` tells if they
ended it. Shims outlive the daemon: `Shim.reconnect` finds one again, or how its container ended.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading.errors import LadingError

if TYPE_CHECKING:
    from lading.shim.protocol import ExecState, ExitStatus, SpawnRequest, Streams
    from lading.shim.spawner import SpawnerHandle


class ShimError(LadingError):
    """A shim or the spawner refused a request, or is not there any more."""


class StepFailed(ShimError):
    """A container could not be created or started, or a process could not be executed in it.

    `step` is the class name of the plan's step (e.g. `MountOverlay`, `Exec`), `errno` the kernel's answer (0 if none).
    """

    def __init__(self, message: str, *, step: str, errno: int) -> None:
        super().__init__(message)
        self.step = step
        self.errno = errno


class ShimLost(ShimError):
    """The shim ended without a word (it was killed); `abandon` cleans up after it."""


@dataclass(slots=True, frozen=True)
class Gone:
    """What `Shim.reconnect` finds where neither a shim nor an exit status is: the shim was killed, or the machine restarted."""

    bundle: Path


class Attachment:
    """A client's connection to a container's stdio, served by the shim."""

    attach_id: int

    async def wait(self) -> bool:
        """Wait for its end: the container's output is over, or the client went. True if the detach keys ended it."""
        raise NotImplementedError


class Spawner:
    """The connection to the spawner; starts another one when the first has died."""

    @classmethod
    async def start(cls, handle: SpawnerHandle | None = None) -> Spawner:
        """Take over the spawner that `fork_spawner` made before the loop ran; without one, execute a new one."""
        raise NotImplementedError

    async def spawn(self, request: SpawnRequest) -> Shim:
        """Fork a shim and return as soon as the container's namespaces exist (`shim.pid`). Raises StepFailed, ShimError."""
        raise NotImplementedError

    async def close(self) -> None:
        """Let the spawner end; shims live on."""
        raise NotImplementedError


class Shim:
    """One container's shim. Every method raises ShimLost once the shim is gone, and ShimError for what it refuses."""

    container_id: str
    bundle: Path
    pid: int
    shim_pid: int
    started: bool
    paused: bool

    @classmethod
    async def reconnect(cls, bundle: Path) -> Shim | ExitStatus | Gone:
        """Find the shim of a run directory again, or the exit status it left behind."""
        raise NotImplementedError

    async def ready(self) -> None:
        """Wait until the container is created. Raises StepFailed; the shim has then undone everything and ended."""
        raise NotImplementedError

    async def start(self) -> None:
        """Let the container's process run; returns when it has been executed. Raises StepFailed (126/127 by `errno`)."""
        raise NotImplementedError

    async def signal(self, signo: int, *, everyone: bool = False) -> None:
        """Send a signal to PID 1, or to all processes. Raises NotFound if it has ended."""
        raise NotImplementedError

    async def resize(self, height: int, width: int) -> None:
        """Set the terminal's size in character cells."""
        raise NotImplementedError

    async def attach(self, sock: socket.socket, streams: Streams) -> Attachment:
        """Serve the container's stdio on `sock` (closed here, owned by the shim from now on)."""
        raise NotImplementedError

    async def exec(
        self,
        exec_id: str,
        process: Any,
        *,
        sock: socket.socket | None = None,
        streams: Streams | None = None,
    ) -> int:
        """Run an OCI process in the container and return its host pid; without `sock`, its stdio is /dev/null."""
        raise NotImplementedError

    async def exec_wait(self, exec_id: str) -> int:
        """Wait for an exec'd process and return its exit code (128 + signal), after its output was delivered."""
        raise NotImplementedError

    async def exec_resize(self, exec_id: str, height: int, width: int) -> None:
        """Set the size of an exec'd process's terminal."""
        raise NotImplementedError

    async def exec_signal(self, exec_id: str, signo: int) -> None:
        """Send a signal to an exec'd process."""
        raise NotImplementedError

    @property
    def execs(self) -> dict[str, ExecState]:
        """The exec'd processes the shim knows of, running and ended, by exec id."""
        raise NotImplementedError

    async def pause(self) -> None:
        """Freeze the container."""
        raise NotImplementedError

    async def resume(self) -> None:
        """Thaw the container."""
        raise NotImplementedError

    async def update(self, resources: Any) -> None:
        """Apply OCI `linux.resources` to the running container."""
        raise NotImplementedError

    async def pids(self) -> list[int]:
        """List the host pids of the container's processes."""
        raise NotImplementedError

    async def stats(self) -> Any:
        """Read the cgroup's counters."""
        raise NotImplementedError

    async def wait(self) -> ExitStatus:
        """Wait for the container's end; may be called by many, and again."""
        raise NotImplementedError

    async def quit(self) -> None:
        """Tell the shim that its exit status was taken note of, so that it may end; before `start`: undo the creation."""
        raise NotImplementedError

    async def close(self) -> None:
        """Hang up, and leave the container running."""
        raise NotImplementedError


async def abandon(bundle: Path) -> ExitStatus:
    """Clean up after a shim that was killed: end the container's processes, delete its cgroup, write exit.json (137)."""
    raise NotImplementedError
