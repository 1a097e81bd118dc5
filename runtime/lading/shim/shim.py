"""The shim: parent of one container's processes, while one of them or a client is there.

It creates the container of its bundle, tells the daemon, waits for `Start`, and serves then.
When PID 1 ends it passes on what was written, writes exit.json, tells every connected daemon,
removes the cgroup, and ends when a daemon says so or when none is connected.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from lading.errors import Conflict, LadingError, NotFound
from lading.oci import container as oci
from lading.oci import spec as oci_spec
from lading.shim import files
from lading.shim.children import Children
from lading.shim.connections import Connection, Listener
from lading.shim.failures import error_info, note
from lading.shim.logwriter import LogWriter
from lading.shim.loop import READABLE, Loop
from lading.shim.moments import rfc3339
from lading.shim.processes import PATIENCE, ExecutedProcess
from lading.shim.protocol import (
    Attach,
    AttachEnded,
    Created,
    Exec,
    ExecExited,
    Exited,
    ExitStatus,
    Failed,
    Hello,
    OutOfMemory,
    Pause,
    Pids,
    Quit,
    Ready,
    Refusal,
    Reply,
    Resize,
    Resume,
    Signal,
    Start,
    Update,
)
from lading.shim.stdio import ProcessStreams
from lading.shim.transport import encoded

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading.kernel.process import Exit
    from lading.shim.protocol import Event, Request, SpawnRequest


class Phase(Enum):
    """How far the container is."""

    CREATING = "being created"
    READY = "created"
    RUNNING = "running"
    ENDED = "stopped"


class Shim:
    """The shim of one container; `run` is its whole life."""

    def __init__(self, request: SpawnRequest, control: socket.socket, forked_ns: int) -> None:
        self._request = request
        self._bundle = request.bundle
        self._forked_ns = forked_ns
        self._loop = Loop()
        self._children = Children(self._loop)
        self._connections: list[Connection] = []
        self._execs: dict[str, ExecutedProcess] = {}
        self._phase = Phase.CREATING
        self._paused = False
        self._exit: ExitStatus | None = None
        self._oom_kills = 0
        self._oom_watch: int | None = None
        self._quitting = False
        self._listener: Listener | None = None
        self._connect(control)

    def run(self) -> None:
        """Create the container and serve it to its end."""
        with suppress(FileNotFoundError):
            os.unlink(f"{self._bundle}/{files.EXIT_NAME}")
        try:
            self._create()
            self._listener = Listener(self._loop, self._bundle, self._accept)
        except Exception as error:  # noqa: BLE001  # whatever it is, the daemon must hear of it
            self._give_up(error)
        self._loop.run()
        if self._listener is not None:
            self._listener.close()

    # Creation

    def _create(self) -> None:
        """Clone PID 1; the loop goes on when it has set itself up."""
        bundle = Path(self._bundle)
        spec = oci_spec.load(bundle)
        self._log = LogWriter(self._request.log)
        self._streams = ProcessStreams(
            self._loop,
            tty=spec.process is not None and spec.process.terminal,
            stdin=self._request.open_stdin,
            stdin_once=self._request.stdin_once,
            log=self._log,
        )
        self._created = oci.create(
            bundle,
            spec,
            container_id=self._request.container_id,
            state_dir=bundle,
            stdio=self._streams.make(),
        )
        self._container = self._created.container
        self._broadcast(Created(pid=self._created.pid, shim_pid=os.getpid()))
        self._loop.watch(self._created.fileno(), READABLE, self._on_set_up)

    def _on_set_up(self, _: int) -> None:
        """Take note that PID 1 waits for its start, or why it does not."""
        self._loop.forget(self._created.fileno())
        try:
            readiness = self._created.ready()
        except Exception as error:  # noqa: BLE001  # as above
            self._give_up(error)
            return
        self._phase = Phase.READY
        self._streams.launched(readiness.terminal)
        self._broadcast(Ready())

    def _give_up(self, error: Exception) -> None:
        """Tell why there is no container; what had been done for it is undone already."""
        self._phase = Phase.ENDED
        note(self._bundle, error)
        self._broadcast(Failed(error=error_info(error)))
        self._loop.stop()

    def _abort(self) -> None:
        """Undo the creation: it is no longer wanted, or failed at its last step."""
        self._loop.forget(self._created.fileno())
        self._created.abort()
        self._streams.finish()
        self._phase = Phase.ENDED
        self._loop.stop()

    # Daemons

    def _connect(self, sock: socket.socket) -> Connection:
        connection = Connection(self._loop, sock, self._handle, self._disconnected)
        self._connections.append(connection)
        return connection

    def _accept(self, sock: socket.socket) -> None:
        """Greet a daemon that has found us again."""
        self._connect(sock).send(
            Hello(
                container_id=self._request.container_id,
                shim_pid=os.getpid(),
                pid=self._created.pid,
                started=self._phase in (Phase.RUNNING, Phase.ENDED),
                paused=self._paused,
                execs=[process.state() for process in self._execs.values()],
                exit=self._exit,
            )
        )
        self._forget_ended()

    def _disconnected(self, connection: Connection) -> None:
        self._connections.remove(connection)
        if self._connections:
            return
        if self._phase in (Phase.CREATING, Phase.READY):
            self._abort()  # nobody is left who could start it
        self._end_if_done()

    def _broadcast(self, event: Event) -> None:
        for connection in list(self._connections):
            connection.send(event)

    def _handle(self, connection: Connection, request: Request, descriptors: list[int]) -> None:
        """Carry out a request and answer it."""
        try:
            value = self._carry_out(connection, request, descriptors)
        except Exception as error:  # noqa: BLE001  # a request must never end the container
            if not isinstance(error, (LadingError, OSError)):
                note(self._bundle, error)
            connection.send(Refusal(seq=request.seq, error=error_info(error)))
            return
        connection.send(Reply(seq=request.seq, value=encoded(value)))
        if isinstance(request, Start):
            self._started()
        elif isinstance(request, Quit):
            self._quitting = True
            self._end_if_done()

    def _carry_out(
        self, connection: Connection, request: Request, descriptors: list[int]
    ) -> object:
        """Do what is asked; gives the reply's value."""
        match request:
            case Attach():
                return self._attach(connection, request, descriptors)
            case Start():
                self._start()
            case Quit():
                self._quit()
            case _:
                self._require(Phase.RUNNING)
                return self._serve(connection, request, descriptors)
        return None

    def _serve(self, connection: Connection, request: Request, descriptors: list[int]) -> object:
        """Do what can be asked of a running container."""
        match request:
            case Exec():
                return self._exec(connection, request, descriptors)
            case Update():
                return self._container.update(oci_spec.decode_resources(request.resources))
            case Pids():
                return self._container.pids()
            case Signal():
                self._signal(request)
            case Resize():
                self._resize(request)
            case Pause():
                self._container.pause()
                self._paused = True
            case Resume():
                self._container.resume()
                self._paused = False
        return None

    def _require(self, *phases: Phase) -> None:
        if self._phase not in phases:
            container_id = self._request.container_id
            raise Conflict(f"container {container_id} is {self._phase.value}")

    def _start(self) -> None:
        self._require(Phase.READY)
        try:
            self._created.start()
        except BaseException:
            self._streams.finish()
            self._phase = Phase.ENDED
            self._loop.stop()
            raise
        self._phase = Phase.RUNNING

    def _started(self) -> None:
        """Do what need not keep the daemon waiting: watch PID 1, and write down how it came up."""
        now = time.time_ns()
        self._children.watch(self._created.pid, self._created.pidfd, self._on_exit)
        self._watch_oom()
        steps = files.Steps(
            steps=self._created.timings(),
            warnings=self._created.warnings,
            started_at=rfc3339(now),
            total_ns=time.monotonic_ns() - self._forked_ns,
        )
        with suppress(OSError):
            files.write(self._bundle, files.STEPS_NAME, steps)

    def _signal(self, request: Signal) -> None:
        if request.exec_id:
            self._process(request.exec_id).signal(request.signo)
        else:
            self._container.kill(request.signo, everyone=request.everyone)

    def _resize(self, request: Resize) -> None:
        streams = self._streams
        if request.exec_id:
            streams = self._process(request.exec_id).streams
        if not streams.resize(request.height, request.width):
            raise Conflict(f"container {self._request.container_id} has no terminal to resize")

    def _quit(self) -> None:
        if self._phase is Phase.RUNNING:
            self._require(Phase.ENDED)
        if self._phase in (Phase.CREATING, Phase.READY):
            self._abort()

    # Clients and further processes

    def _attach(self, connection: Connection, request: Attach, descriptors: list[int]) -> int:
        self._require(Phase.CREATING, Phase.READY, Phase.RUNNING)
        sock = _socket_of(descriptors)
        self._streams.attach(sock, request.streams, self._ended_for(connection, request.seq))
        return request.seq

    def _ended_for(self, connection: Connection, attach_id: int) -> Callable[[bool], None]:
        def ended(detached: bool) -> None:
            connection.send(AttachEnded(attach_id=attach_id, detached=detached))
            self._end_if_done()

        return ended

    def _exec(self, connection: Connection, request: Exec, descriptors: list[int]) -> int:
        """Run a process; its client is connected when it has been executed."""
        if request.exec_id in self._execs:
            raise Conflict(f"exec {request.exec_id} is already running")
        process = oci_spec.decode_process(request.process)
        attached = bool(descriptors)
        streams = ProcessStreams(
            self._loop,
            tty=process.terminal,
            stdin=attached and request.streams.stdin,
            stdin_once=True,
            output=attached,
        )
        try:
            executed = oci.exec_process(self._container, process, stdio=streams.make())
        except BaseException:
            streams.finish()
            raise
        streams.launched(executed.terminal)
        if attached:
            sock = _socket_of(descriptors)
            streams.attach(sock, request.streams, self._ended_for(connection, request.seq))
        entry = ExecutedProcess(self._loop, request.exec_id, executed, streams, self._exec_ended)
        self._execs[request.exec_id] = entry
        self._children.watch(entry.pid, entry.pidfd, entry.reaped)
        return entry.pid

    def _exec_ended(self, process: ExecutedProcess) -> None:
        self._broadcast(ExecExited(exec_id=process.exec_id, exit_code=process.exit_code or 0))
        if self._connections:
            self._forget_ended()
        self._end_if_done()

    def _forget_ended(self) -> None:
        """Drop processes whose end a daemon has been told, and whose client has been served."""
        for process in list(self._execs.values()):
            if process.exit_code is not None and process.streams.served():
                del self._execs[process.exec_id]

    def _process(self, exec_id: str) -> ExecutedProcess:
        process = self._execs.get(exec_id)
        if process is None or process.exit_code is not None:
            raise NotFound(f"exec {exec_id} is not running")
        return process

    # The end

    def _watch_oom(self) -> None:
        cgroup = self._container.cgroup
        if cgroup is not None:
            with suppress(OSError):
                self._oom_watch = cgroup.watch_oom()
        if self._oom_watch is not None:
            self._loop.watch(self._oom_watch, READABLE, self._on_oom)

    def _on_oom(self, _: int) -> None:
        assert self._oom_watch is not None
        with suppress(OSError):
            os.read(self._oom_watch, 4096)
        self._count_oom_kills()

    def _count_oom_kills(self) -> None:
        cgroup = self._container.cgroup
        if cgroup is None:
            return
        with suppress(OSError):
            kills = cgroup.oom_kill_count()
            if kills > self._oom_kills:
                self._oom_kills = kills
                self._broadcast(OutOfMemory())

    def _on_exit(self, outcome: Exit) -> None:
        """Take the exit status, end what is left, and wait for the output."""
        finished_at = rfc3339(time.time_ns())
        self._phase = Phase.ENDED
        self._count_oom_kills()
        with suppress(LadingError, OSError):
            if self._container.pids():
                self._container.kill(signal.SIGKILL, everyone=True)

        def end() -> None:
            if self._exit is None:
                self._exit = ExitStatus(
                    exit_code=outcome.status,
                    oom_killed=self._oom_kills > 0,
                    finished_at=finished_at,
                    error=self._log.error,
                )
                self._clean_up(self._exit)

        if self._streams.drain(end):
            end()
        else:
            self._loop.later(PATIENCE, end)

    def _clean_up(self, status: ExitStatus) -> None:
        """Write exit.json, tell the daemons, and remove what the kernel has of the container."""
        self._streams.finish()
        try:
            files.write(self._bundle, files.EXIT_NAME, status)
        except OSError as error:
            note(self._bundle, error)
        self._broadcast(Exited(status=status))
        if self._oom_watch is not None:
            self._loop.forget(self._oom_watch)
            os.close(self._oom_watch)
        try:
            self._created.close()
            self._container.delete()
        except (LadingError, OSError) as error:
            note(self._bundle, error)
        self._end_if_done()

    def _end_if_done(self) -> None:
        """End when the container has, its clients are served, and no daemon needs to be told."""
        if self._phase is not Phase.ENDED or self._exit is None:
            return
        if self._connections and not self._quitting:
            return
        processes = self._execs.values()
        if self._streams.served() and all(
            process.exit_code is not None and process.streams.served() for process in processes
        ):
            self._loop.stop()


def _socket_of(descriptors: list[int]) -> socket.socket:
    if not descriptors:
        raise Conflict("an attachment needs a socket")
    return socket.socket(fileno=descriptors.pop())
