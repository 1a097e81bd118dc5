"""A shim as the daemon holds it."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from lading.errors import Conflict, NotFound
from lading.shim import files, transport
from lading.shim.connections import SOCKET_NAME, reachable
from lading.shim.link import Attachment, Link, ShimLost, error_of, silent_future
from lading.shim.protocol import (
    Attach,
    Created,
    Exec,
    ExecExited,
    ExecState,
    Exited,
    ExitStatus,
    Failed,
    Hello,
    OutOfMemory,
    Pause,
    Pids,
    Quit,
    Ready,
    Resize,
    Resume,
    Signal,
    Start,
    Streams,
    Update,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lading.errors import LadingError
    from lading.kernel.cgroups import Stats
    from lading.oci.managed import Container
    from lading.oci.spec import LinuxResources, Process
    from lading.shim.protocol import Event


@dataclass(slots=True, frozen=True)
class Gone:
    """What `Shim.reconnect` finds where neither a shim nor an exit status is.

    The shim was killed, or the machine restarted.
    """

    bundle: Path


class Shim:
    """One container's shim. Every method raises ShimLost once it is gone, or why it refuses.

    `on_oom` is called when the kernel killed a process of the container for lack of memory.
    """

    def __init__(self, bundle: Path, container_id: str, sock: socket.socket) -> None:
        self.bundle = bundle
        self.container_id = container_id
        self.pid = 0
        self.shim_pid = 0
        self.started = False
        self.paused = False
        self.on_oom: Callable[[], None] | None = None
        self._created: asyncio.Future[None] = silent_future()
        self._ready: asyncio.Future[None] = silent_future()
        self._exited: asyncio.Future[None] = silent_future()
        self._status: ExitStatus | None = None
        self._execs: dict[str, ExecState] = {}
        self._exec_ends: dict[str, asyncio.Future[None]] = {}
        self._exec_attachments: dict[str, Attachment] = {}
        self._link = Link(sock, self._on_event, self._on_lost)

    @classmethod
    async def reconnect(cls, bundle: Path) -> Shim | ExitStatus | Gone:
        """Find the shim of a run directory again, or the exit status it left behind."""
        sock = connected(bundle)
        if sock is not None:
            shim = cls(bundle, "", sock)
            try:
                await shim.created()
            except ShimLost:
                pass  # it was about to end
            except BaseException:
                await shim.close()
                raise
            else:
                return shim
        return files.read_exit(str(bundle)) or Gone(bundle)

    async def created(self) -> None:
        """Wait until `pid` is known, as it is here. Raises what `ready` does."""
        await asyncio.shield(self._created)

    async def ready(self) -> None:
        """Wait until the container is created.

        Raises StepFailed, or another LadingError; the shim has then undone everything and ended.
        """
        await asyncio.shield(self._ready)

    async def start(self) -> None:
        """Let the container's process run; returns when its program is being executed.

        May be called before the container is `ready`: it runs as soon as it is, then. Raises
        StepFailed (by `errno` 126 or 127), with everything undone.
        """
        await self._link.request(Start())
        self.started = True

    async def signal(self, signo: int, *, everyone: bool = False) -> None:
        """Send a signal to PID 1, or to all processes. Raises Conflict if it has ended."""
        await self._link.request(Signal(signo=signo, everyone=everyone))

    async def resize(self, height: int, width: int) -> None:
        """Set the terminal's size in character cells. Raises Conflict if there is no terminal."""
        await self._link.request(Resize(height=height, width=width))

    async def attach(self, sock: socket.socket, streams: Streams) -> Attachment:
        """Serve the container's stdio on `sock` (closed here, the shim's from now on)."""
        with sock:
            _, attachment = await self._link.attached(Attach(streams=streams), [sock.fileno()])
        return attachment

    async def exec(
        self,
        exec_id: str,
        process: Process,
        *,
        sock: socket.socket | None = None,
        streams: Streams | None = None,
    ) -> int:
        """Run an OCI process in the container and return its host pid.

        Its streams are on `sock` (closed here); without it they are /dev/null. Raises StepFailed,
        and Conflict if the container does not run or is paused.
        """
        message = Exec(
            exec_id=exec_id,
            process=transport.encoded(process),
            streams=streams or Streams(),
        )
        if exec_id in self._exec_ends and not self._exec_ends[exec_id].done():
            raise Conflict(f"exec {exec_id} is already running")
        self._execs.pop(exec_id, None)
        self._exec_ends[exec_id] = silent_future()
        try:
            if sock is None:
                value = await self._link.request(message)
            else:
                with sock:
                    value, attachment = await self._link.attached(message, [sock.fileno()])
                self._exec_attachments[exec_id] = attachment
        except BaseException:
            self._exec_ends.pop(exec_id, None)
            raise
        pid = msgspec.json.decode(value, type=int)
        if exec_id not in self._execs:  # else it has ended by now
            self._execs[exec_id] = ExecState(exec_id=exec_id, pid=pid)
        return pid

    def exec_attachment(self, exec_id: str) -> Attachment | None:
        """Give the attachment of an exec'd process that was executed with a socket."""
        return self._exec_attachments.get(exec_id)

    async def exec_wait(self, exec_id: str) -> int:
        """Wait for an exec'd process; gives its exit code (or 128 + signal), after its output.

        Raises NotFound for one that the shim does not know.
        """
        future = self._exec_ends.get(exec_id)
        if future is None:
            raise NotFound(f"exec {exec_id} is not known to the shim of {self.container_id}")
        await asyncio.shield(future)
        return self._execs[exec_id].exit_code or 0

    async def exec_resize(self, exec_id: str, height: int, width: int) -> None:
        """Set the size of an exec'd process's terminal."""
        await self._link.request(Resize(height=height, width=width, exec_id=exec_id))

    async def exec_signal(self, exec_id: str, signo: int) -> None:
        """Send a signal to an exec'd process. Raises NotFound if it has ended."""
        await self._link.request(Signal(signo=signo, exec_id=exec_id))

    @property
    def execs(self) -> dict[str, ExecState]:
        """The exec'd processes the shim knows of, running and ended, by exec id."""
        return dict(self._execs)

    async def pause(self) -> None:
        """Freeze the container."""
        await self._link.request(Pause())
        self.paused = True

    async def resume(self) -> None:
        """Thaw the container."""
        await self._link.request(Resume())
        self.paused = False

    async def update(self, resources: LinuxResources) -> list[str]:
        """Apply limits to the running container; gives a warning for each the host lacks."""
        value = await self._link.request(Update(resources=transport.encoded(resources)))
        return msgspec.json.decode(value, type=list[str])

    async def pids(self) -> list[int]:
        """List the host pids of the container's processes."""
        return msgspec.json.decode(await self._link.request(Pids()), type=list[int])

    async def stats(self) -> Stats:
        """Read the cgroup's counters; in this process, since any may, and the shim has more to do.

        Raises NotFound when the container has ended, Unavailable where there are no cgroups.
        """
        return self._container.stats()

    @cached_property
    def _container(self) -> Container:
        from lading.oci.managed import Container

        return Container.load(self.bundle)

    async def wait(self) -> ExitStatus:
        """Wait for the container's end; may be called by many, and again."""
        await asyncio.shield(self._exited)
        assert self._status is not None
        return self._status

    async def quit(self) -> None:
        """Tell the shim that its exit status was taken note of, so that it may end.

        Returns when the container's cgroup and state are gone. Before `start`: undo the creation.
        """
        try:
            await self._link.request(Quit())
        except ShimLost:
            if self._status is None:
                raise

    async def close(self) -> None:
        """Hang up, and leave the container running; whoever waits here is cancelled."""
        self._link.close()
        for future in (self._created, self._ready, self._exited, *self._exec_ends.values()):
            future.cancel()

    def fail(self, error: LadingError) -> None:
        """Let everybody who waits for anything know that there is no shim."""
        for future in (self._created, self._ready, self._exited, *self._exec_ends.values()):
            if not future.done():
                future.set_exception(error)

    def _on_event(self, event: Event) -> None:
        match event:
            case Created(pid=pid, shim_pid=shim_pid):
                self.pid, self.shim_pid = pid, shim_pid
                _settle(self._created)
            case Ready():
                _settle(self._ready)
            case Failed(error=error):
                self.fail(error_of(error))
            case OutOfMemory():
                if self.on_oom is not None:
                    self.on_oom()
            case Exited(status=status):
                self._ended(status)
            case ExecExited():
                self._exec_ended(event)
            case Hello():
                self._take_over(event)

    def _take_over(self, hello: Hello) -> None:
        self.container_id = hello.container_id
        self.pid, self.shim_pid = hello.pid, hello.shim_pid
        self.started, self.paused = hello.started, hello.paused
        for process in hello.execs:
            self._execs[process.exec_id] = process
            end = self._exec_ends[process.exec_id] = silent_future()
            if process.exit_code is not None:
                _settle(end)
        _settle(self._created)
        if hello.started:
            _settle(self._ready)
        if hello.exit is not None:
            self._ended(hello.exit)

    def _ended(self, status: ExitStatus) -> None:
        self._status = status
        _settle(self._exited)

    def _exec_ended(self, event: ExecExited) -> None:
        known = self._execs.get(event.exec_id)
        pid = known.pid if known is not None else 0
        self._execs[event.exec_id] = ExecState(
            exec_id=event.exec_id, pid=pid, exit_code=event.exit_code
        )
        end = self._exec_ends.get(event.exec_id)
        if end is not None:
            _settle(end)

    def _on_lost(self) -> None:
        """Take what the shim left behind when its connection has ended."""
        if self._status is None and self.started:
            status = files.read_exit(str(self.bundle))
            if status is not None:
                self._ended(status)
        self.fail(ShimLost(f"the shim of container {self.container_id} has ended"))


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def connected(bundle: Path) -> socket.socket | None:
    """Connect to the shim of a bundle; None if none listens there."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with reachable(str(bundle)) as directory:
            sock.connect(f"{directory}/{SOCKET_NAME}")
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except BaseException:
        sock.close()
        raise
    return sock
