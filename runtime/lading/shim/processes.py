"""A further process in the container, as the shim keeps it: its streams and its end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lading.kernel.process import pidfd_send_signal
from lading.shim.protocol import ExecState

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading.kernel.process import Exit
    from lading.oci.container import Executed
    from lading.shim.loop import Loop
    from lading.shim.stdio import ProcessStreams

PATIENCE = 2.0
"""Seconds that output is waited for after a process ended, if a child of it holds its streams.

Source: Docker 28.5.2 lets `docker exec c sh -c 'sleep 8 &'` end after two seconds.
"""


class ExecutedProcess:
    """An exec'd process; `ended` is called once, when it has ended and its output was passed on."""

    def __init__(
        self,
        loop: Loop,
        exec_id: str,
        executed: Executed,
        streams: ProcessStreams,
        ended: Callable[[ExecutedProcess], None],
    ) -> None:
        self.exec_id = exec_id
        self.pid = executed.pid
        self.pidfd = executed.pidfd
        self.streams = streams
        self.exit_code: int | None = None
        self._loop = loop
        self._ended = ended
        self._status = 0

    def state(self) -> ExecState:
        """Tell a daemon of it."""
        return ExecState(exec_id=self.exec_id, pid=self.pid, exit_code=self.exit_code)

    def signal(self, number: int) -> None:
        """Send a signal to it."""
        pidfd_send_signal(self.pidfd, number)

    def reaped(self, outcome: Exit) -> None:
        """Take its exit status, and what it left in its pipes."""
        self._status = outcome.status
        os.close(self.pidfd)
        if self.streams.drain(self._finish):
            self._finish()
        else:
            self._loop.later(PATIENCE, self._finish)

    def _finish(self) -> None:
        if self.exit_code is None:
            self.exit_code = self._status
            self.streams.finish()
            self._ended(self)
