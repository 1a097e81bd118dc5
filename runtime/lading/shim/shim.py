"""The shim: parent of one container's processes, while one of them or a client is there.

It has the container of its bundle created, tells the daemon, waits for `Start`, and serves then.
When PID 1 ends it passes on what was written, writes exit.json, tells every connected daemon,
removes the cgroup, and ends when a daemon says so or when none is connected.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lading.errors import Conflict, LadingError
from lading.kernel.errors import KernelError
from lading.kernel.process import pidfd_open
from lading.oci import spec as oci_spec
from lading.oci.container import Container
from lading.shim import config, creator, files, title
from lading.shim.children import Children
from lading.shim.connections import Connection, Listener
from lading.shim.creator import Cloned, Running, SetUp, Undone
from lading.shim.failures import error_info, note, note_bug
from lading.shim.helpers import Helper
from lading.shim.logwriter import LogWriter
from lading.shim.loop import Loop
from lading.shim.memory import MemoryWatch
from lading.shim.moments import now
from lading.shim.processes import PATIENCE, ExecutedProcess, Processes
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
    from lading.kernel.process import Exit
    from lading.shim.creator import Message
    from lading.shim.protocol import ErrorInfo, Event, Request, SpawnRequest


class Phase(Enum):
    """How far the container is."""

    CREATING = "being created"
    READY = "created"
    STARTING = "being started"
    RUNNING = "running"
    UNDOING = "being removed"
    ENDED = "stopped"


NAME = "lading-shim"
SOON = 0.005
"""Seconds after a start for what a container that ends at once need not wait for."""
LATER = object()
"""What a request's handler gives back when the answer follows."""


class Shim:
    """The shim of one container; `run` is its whole life."""

    def __init__(
        self,
        request: SpawnRequest,
        control: socket.socket,
        helper: Helper,
        loop: Loop,
        children: Children,
        begun_ns: int,
    ) -> None:
        self._request = request
        self._bundle = request.bundle
        self._helper = helper
        self._loop = loop
        self._children = children
        self._phase = Phase.CREATING
        self._pid = 0
        self._paused = False
        self._exit: ExitStatus | None = None
        self._clean = False
        self._quitting = False
        self._memory = MemoryWatch(loop, self._out_of_memory)
        self._starter: tuple[Connection, int] | None = None
        """Who has asked for the start, and by which request."""
        self._answers: list[tuple[Connection, int]] = []
        self._connections: list[Connection] = []
        self._processes = Processes()
        self._listener: Listener | None = None
        loop.on_error = lambda error: note(self._bundle, error)
        self._connect(control)
        try:
            self._create(begun_ns)
        except Exception as error:  # noqa: BLE001  # whatever it is, the daemon must hear of it
            note_bug(self._bundle, error)
            self._undone(error_info(error))

    def run(self) -> None:
        """Serve the container to its end, if it could be begun with."""
        if self._phase is Phase.UNDOING:
            return
        title.set_title(f"{NAME} {self._request.container_id}")
        with suppress(FileNotFoundError):
            os.unlink(f"{self._bundle}/{files.EXIT_NAME}")
        self._listener = Listener(self._loop, self._bundle, self._accept)
        self._loop.run()

    # Creation

    def _create(self, begun_ns: int) -> None:
        """Have the container created, first of all: the rest of the shim comes up meanwhile."""
        request = self._request
        spec = config.load(self._bundle)
        self._leaves_others = not spec.has_own_processes()
        self._log = LogWriter(request.log)
        self._streams = ProcessStreams(
            self._loop,
            tty=spec.has_terminal(),
            stdin=request.open_stdin,
            stdin_once=request.stdin_once,
            log=self._log,
        )
        job, stdio = creator.Create(request, begun_ns), self._streams.make()
        try:
            self._helper.assign(job, stdio)
        except (BrokenPipeError, ConnectionResetError):  # somebody has killed it in its sleep
            self._helper = Helper()
            self._helper.assign(job, stdio)
        self._streams.handed_over()
        self._helper.listen(self._loop, self._children, self._heard, self._creator_ended)

    def _heard(self, message: Message, descriptors: list[int]) -> None:
        """Pass on how far the creator is."""
        match message:
            case Cloned(pid=pid):
                self._children.expect(pid)
                try:
                    self._pid, self._pidfd = pid, pidfd_open(pid)
                except KernelError:
                    return  # it has failed already, and `Undone` is on the way
                self._broadcast(Created(pid=pid, shim_pid=os.getpid()))
            case SetUp():
                self._streams.launched(descriptors.pop() if descriptors else None)
                if self._phase is Phase.CREATING:
                    self._phase = Phase.READY
                    self._broadcast(Ready())
                    self._begin()
            case Running():
                self._started()
            case Undone(error=error):
                self._undone(error)

    def _started(self) -> None:
        self._phase = Phase.RUNNING
        if self._starter is not None:
            connection, seq = self._starter
            connection.send(Reply(seq=seq))
        self._children.watch(self._pid, self._pidfd, self._on_exit)
        self._loop.later(SOON, self._watch_memory)

    @cached_property
    def _container(self) -> Container:
        return Container.load(Path(self._bundle))

    def _undone(self, error: ErrorInfo) -> None:
        """Tell why there is no container, whoever waits for one."""
        if self._starter is not None:
            connection, seq = self._starter
            connection.send(Refusal(seq=seq, error=error))
        elif self._phase is not Phase.UNDOING:
            self._broadcast(Failed(error=error))
        self._phase = Phase.UNDOING
        self._children.abandon(self._pid)

    def _creator_ended(self) -> None:
        """Go on only if the container was started; a creator that was killed has not undone it."""
        if self._phase in (Phase.RUNNING, Phase.ENDED):
            self._end_if_done()
            return
        if self._phase is not Phase.UNDOING:
            with suppress(LadingError, OSError):
                Container.load(Path(self._bundle)).delete(force=True)
            self._undone(creator.killed())
        self._streams.finish()
        self._stop_listening()
        self._answer_all()
        self._loop.stop()

    def _abort(self) -> None:
        """Have the creation undone: it is no longer wanted."""
        self._phase = Phase.UNDOING
        self._helper.hang_up()

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
                pid=self._pid,
                started=self._phase in (Phase.RUNNING, Phase.ENDED),
                paused=self._paused,
                execs=self._processes.states(),
                exit=self._exit,
            )
        )
        self._processes.forget_ended()

    def _disconnected(self, connection: Connection) -> None:
        self._connections.remove(connection)
        if not self._connections and self._phase in (Phase.CREATING, Phase.READY):
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
            note_bug(self._bundle, error)
            connection.send(Refusal(seq=request.seq, error=error_info(error)))
            return
        if value is not LATER:
            connection.send(Reply(seq=request.seq, value=encoded(value)))

    def _carry_out(
        self, connection: Connection, request: Request, descriptors: list[int]
    ) -> object:
        """Do what is asked; gives the reply's value."""
        match request:
            case Attach():
                return self._attach(connection, request, descriptors)
            case Start():
                return self._start(connection, request)
            case Quit():
                return self._quit(connection, request)
            case _:
                self._require(Phase.RUNNING)
                return self._serve(connection, request, descriptors)

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

    def _answer_all(self) -> None:
        """Answer those who have been waiting."""
        answers, self._answers = self._answers, []
        for connection, seq in answers:
            connection.send(Reply(seq=seq))

    def _start(self, connection: Connection, request: Start) -> object:
        self._require(Phase.CREATING, Phase.READY)
        if self._starter is not None:
            raise Conflict(f"container {self._request.container_id} is being started")
        self._starter = (connection, request.seq)
        self._begin()
        return LATER

    def _begin(self) -> None:
        """Let the container run, once it is set up and somebody has asked for it."""
        if self._phase is Phase.READY and self._starter is not None:
            self._helper.begin()
            self._phase = Phase.STARTING

    def _quit(self, connection: Connection, request: Quit) -> object:
        self._require(Phase.CREATING, Phase.READY, Phase.UNDOING, Phase.ENDED)
        self._answers.append((connection, request.seq))
        self._quitting = True
        if self._phase in (Phase.CREATING, Phase.READY):
            self._abort()
        self._end_if_done()
        return LATER

    def _signal(self, request: Signal) -> None:
        if request.exec_id:
            self._processes.running(request.exec_id).signal(request.signo)
        else:
            self._container.kill(request.signo, everyone=request.everyone)

    def _resize(self, request: Resize) -> None:
        streams = self._streams
        if request.exec_id:
            streams = self._processes.running(request.exec_id).streams
        if not streams.resize(request.height, request.width):
            raise Conflict(f"container {self._request.container_id} has no terminal to resize")

    # Clients and further processes

    def _attach(self, connection: Connection, request: Attach, descriptors: list[int]) -> int:
        self._require(Phase.CREATING, Phase.READY, Phase.STARTING, Phase.RUNNING)
        sock = _socket_of(descriptors)
        if sock is None:
            raise Conflict("an attachment needs a socket")

        def ended(by_keys: bool) -> None:
            connection.send(AttachEnded(attach_id=request.seq, detached=by_keys))
            self._end_if_done()

        self._streams.attach(sock, request.streams, ended)
        return request.seq

    def _exec(self, connection: Connection, request: Exec, descriptors: list[int]) -> object:
        """Have a process executed; the answer comes when it is."""
        process = ExecutedProcess(
            self._loop, self._children, connection, request, self._exec_ended, self._exec_changed
        )
        self._processes.add(process)
        try:
            process.execute(self._bundle, _socket_of(descriptors))
        except BaseException:
            self._processes.remove(process)
            raise
        return LATER

    def _exec_ended(self, process: ExecutedProcess) -> None:
        self._broadcast(ExecExited(exec_id=process.exec_id, exit_code=process.exit_code or 0))

    def _exec_changed(self) -> None:
        if self._connections:
            self._processes.forget_ended()
        self._end_if_done()

    # The end

    def _watch_memory(self) -> None:
        if self._phase is Phase.RUNNING:
            self._memory.watch(self._container.cgroup)

    def _out_of_memory(self) -> None:
        self._broadcast(OutOfMemory())

    def _on_exit(self, outcome: Exit) -> None:
        """Take the exit status, end what is left, and wait for the output."""
        finished_at = now()
        self._phase = Phase.ENDED
        os.close(self._pidfd)
        self._memory.count(self._container.cgroup)
        if self._leaves_others:
            with suppress(LadingError, OSError):
                self._container.kill(signal.SIGKILL, everyone=True)

        def end() -> None:
            if self._exit is None:
                self._streams.finish()
                self._exit = ExitStatus(
                    exit_code=outcome.status,
                    oom_killed=self._memory.kills > 0,
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
        try:
            files.write(self._bundle, files.EXIT_NAME, status)
        except OSError as error:
            note(self._bundle, error)
        self._broadcast(Exited(status=status))
        self._memory.close()
        try:
            self._container.delete()
        except (LadingError, OSError) as error:
            note(self._bundle, error)
        self._stop_listening()
        self._clean = True
        self._end_if_done()

    def _stop_listening(self) -> None:
        """Remove shim.sock, before anybody may make a new container in the bundle."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _end_if_done(self) -> None:
        """End when the container has, its clients are served, and no daemon needs to be told."""
        if not self._clean or not self._helper.ended:
            return
        if self._quitting:
            self._answer_all()
        elif self._connections:
            return
        if self._streams.served() and self._processes.are_over():
            self._loop.stop()


def _socket_of(descriptors: list[int]) -> socket.socket | None:
    return socket.socket(fileno=descriptors.pop()) if descriptors else None
