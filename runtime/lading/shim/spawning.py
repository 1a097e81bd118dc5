"""The daemon's connection to the spawner."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from contextlib import suppress
from pathlib import Path

import msgspec

from lading.oci.state import STATE_FILE
from lading.shim import transport
from lading.shim.link import ShimError, ShimLost
from lading.shim.protocol import SpawnFailed, SpawnRequest
from lading.shim.remote import Shim
from lading.shim.spawner import SpawnerHandle, execute_spawner


class Spawner:
    """The connection to the spawner; makes another one when the first has died."""

    def __init__(self, handle: SpawnerHandle) -> None:
        self._failures = transport.spawn_failures()
        self._spawning: dict[str, Shim] = {}
        self._sending = asyncio.Lock()
        self._adopt(handle)

    @classmethod
    async def start(cls, handle: SpawnerHandle | None = None) -> Spawner:
        """Take over the spawner that `fork_spawner` made before the loop ran, or execute one."""
        return cls(handle or execute_spawner())

    @property
    def pid(self) -> int:
        """Give the pid of the spawner that is at work now."""
        return self._handle.pid

    async def spawn(self, request: SpawnRequest) -> Shim:
        """Fork a shim; returns as soon as the container's namespaces exist (`shim.pid`).

        Raises StepFailed, or whatever else kept the container from being created; all that was
        done is undone then.
        """
        try:
            return await self._spawn(request)
        except ShimLost:
            if (Path(request.bundle) / STATE_FILE).exists():
                raise  # it had begun: trying again would not help
            self._replace()
            return await self._spawn(request)

    async def _spawn(self, request: SpawnRequest) -> Shim:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        shim = Shim(Path(request.bundle), request.container_id, ours)
        self._spawning[request.container_id] = shim
        try:
            with theirs:
                await self._send(transport.Packet(request, [theirs.fileno()]))
            await shim.created()
        except BaseException:
            await shim.close()
            raise
        finally:
            self._spawning.pop(request.container_id, None)
        return shim

    async def _send(self, packet: transport.Packet) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with self._sending:
                while True:
                    try:
                        packet.send(self._socket)
                    except BlockingIOError:
                        await _writable(loop, self._socket)
                    except OSError:
                        raise ShimLost("the spawner has ended") from None
                    else:
                        return
        finally:
            packet.close()

    def _adopt(self, handle: SpawnerHandle) -> None:
        self._handle = handle
        self._socket = handle.sock
        self._socket.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket.fileno(), self._on_readable)
        pidfd = os.pidfd_open(handle.pid)
        self._reaped = asyncio.Event()
        loop.add_reader(pidfd, self._reap, pidfd, handle.pid, self._reaped)

    def _replace(self) -> None:
        """Execute a new spawner if there is none any more."""
        if not _is_hung_up(self._socket):
            return
        self._hang_up()
        self._adopt(execute_spawner())

    def _on_readable(self) -> None:
        try:
            received = self._failures.receive(self._socket)
        except BlockingIOError:
            return
        except (OSError, msgspec.DecodeError):
            received = None
        if received is None:
            self._hang_up()
            return
        failure: SpawnFailed = received[0]
        shim = self._spawning.get(failure.container_id)
        if shim is not None:
            shim.fail(ShimError(failure.error))

    def _reap(self, pidfd: int, pid: int, reaped: asyncio.Event) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
        reaped.set()

    def _hang_up(self) -> None:
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()

    async def close(self) -> None:
        """Let the spawner end; shims live on."""
        self._hang_up()
        await self._reaped.wait()


async def _writable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """Wait until a full socket has room again."""
    room = asyncio.Event()
    loop.add_writer(sock.fileno(), room.set)
    try:
        await room.wait()
    finally:
        loop.remove_writer(sock.fileno())


def _is_hung_up(sock: socket.socket) -> bool:
    """Tell whether there is nobody at the other end, or no end here any more."""
    if sock.fileno() < 0:
        return True
    poller = select.poll()
    poller.register(sock, 0)
    return bool(poller.poll(0))
