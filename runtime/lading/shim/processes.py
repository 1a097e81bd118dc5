"""Further processes in the container, as the shim keeps them: their streams and their end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from lading.errors import Conflict, NotFound
from lading.kernel.process import pidfd_open, pidfd_send_signal
from lading.shim import creator
from lading.shim.creator import Executed, Undone
from lading.shim.helpers import Helper
from lading.shim.protocol import AttachEnded, ExecState, Refusal, Reply
from lading.shim.stdio import ProcessStreams
from lading.shim.transport import encoded

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from lading.kernel.process import Exit
    from lading.shim.children import Children
    from lading.shim.connections import Connection
    from lading.shim.creator import Message
    from lading.shim.loop import Loop
    from lading.shim.protocol import ErrorInfo, Exec

PATIENCE = 2.0
"""Seconds that output is waited for after a process ended, if a child of it holds its streams.

Source: Docker 28.5.2 lets `docker exec c sh -c 'sleep 8 &'` end after two seconds.
"""


class _Shape(msgspec.Struct):
    """The part of an OCI process that its streams depend on."""

    terminal: bool = False


class ExecutedProcess:
    """One exec'd process, from a daemon's request, which it answers, to its end.

    `ended` is called when it has ended and its output was passed on, `changed` when that or its
    client's leaving may let the shim end.
    """

    def __init__(
        self,
        loop: Loop,
        children: Children,
        connection: Connection,
        request: Exec,
        ended: Callable[[ExecutedProcess], None],
        changed: Callable[[], None],
    ) -> None:
        self.exec_id = request.exec_id
        self.pid = 0
        self.exit_code: int | None = None
        self._loop = loop
        self._children = children
        self._connection = connection
        self._request = request
        self._ended = ended
        self._changed = changed
        self._client: socket.socket | None = None
        self._pidfd = -1
        self._status = 0

    def execute(self, bundle: str, client: socket.socket | None) -> None:
        """Have it executed, with its streams on the client's socket or on /dev/null."""
        attached = client is not None
        process = self._request.process
        self._client = client
        self.streams = ProcessStreams(
            self._loop,
            tty=msgspec.json.decode(process, type=_Shape).terminal,
            stdin=attached and self._request.streams.stdin,
            stdin_once=True,
            output=attached,
        )
        helper = Helper()
        helper.assign(creator.Execute(bundle, process), self.streams.make())
        self.streams.handed_over()
        helper.listen(self._loop, self._children, self._heard, self._helper_ended)

    def state(self) -> ExecState:
        """Tell a daemon of it."""
        return ExecState(exec_id=self.exec_id, pid=self.pid, exit_code=self.exit_code)

    def is_over(self) -> bool:
        """Tell whether it has ended and its client has got everything."""
        return self.exit_code is not None and self.streams.served()

    def signal(self, number: int) -> None:
        """Send a signal to it."""
        pidfd_send_signal(self._pidfd, number)

    def _heard(self, message: Message, descriptors: list[int]) -> None:
        match message:
            case Executed(pid=pid):
                self.pid = pid
                self._pidfd = pidfd_open(pid)
                self.streams.launched(descriptors.pop() if descriptors else None)
                self._connection.send(Reply(seq=self._request.seq, value=encoded(pid)))
                self._attach()
                self._children.watch(pid, self._pidfd, self._reaped)
            case Undone(error=error):
                self._refuse(error)

    def _attach(self) -> None:
        if self._client is not None:
            self.streams.attach(self._client, self._request.streams, self._client_left)
            self._client = None

    def _client_left(self, by_keys: bool) -> None:
        self._connection.send(AttachEnded(attach_id=self._request.seq, detached=by_keys))
        self._changed()

    def _refuse(self, error: ErrorInfo) -> None:
        if self.exit_code is not None:
            return
        self.exit_code = 0
        self.streams.finish()
        if self._client is not None:
            self._client.close()
        self._connection.send(Refusal(seq=self._request.seq, error=error))
        self._changed()

    def _helper_ended(self) -> None:
        """Refuse if the creator went without a word: it was killed."""
        if self.pid == 0:
            self._refuse(creator.killed())

    def _reaped(self, outcome: Exit) -> None:
        """Take its exit status, and what it left in its pipes."""
        self._status = outcome.status
        if self.streams.drain(self._finish):
            self._finish()
        else:
            self._loop.later(PATIENCE, self._finish)

    def _finish(self) -> None:
        if self.exit_code is None:
            self.exit_code = self._status
            os.close(self._pidfd)
            self._pidfd = -1
            self.streams.finish()
            self._ended(self)
            self._changed()


class Processes:
    """All exec'd processes of the container, by their exec ids."""

    def __init__(self) -> None:
        self._known: dict[str, ExecutedProcess] = {}

    def add(self, process: ExecutedProcess) -> None:
        """Take one in. Raises Conflict if its id is in use."""
        if process.exec_id in self._known:
            raise Conflict(f"exec {process.exec_id} is already running")
        self._known[process.exec_id] = process

    def remove(self, process: ExecutedProcess) -> None:
        """Forget one."""
        self._known.pop(process.exec_id, None)

    def running(self, exec_id: str) -> ExecutedProcess:
        """Find one that runs. Raises NotFound."""
        process = self._known.get(exec_id)
        if process is None or process.pid == 0 or process.exit_code is not None:
            raise NotFound(f"exec {exec_id} is not running")
        return process

    def states(self) -> list[ExecState]:
        """Tell a daemon of all that have been executed."""
        return [process.state() for process in self._known.values() if process.pid]

    def forget_ended(self) -> None:
        """Drop those whose end a daemon has been told, and whose client has been served."""
        self._known = {key: value for key, value in self._known.items() if not value.is_over()}

    def are_over(self) -> bool:
        """Tell whether all have ended and been served."""
        return all(process.is_over() for process in self._known.values())
