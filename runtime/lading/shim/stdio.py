"""A process's standard streams: pipes or a terminal, its log, and the clients attached to it.

What the process writes is read by the chunk, logged, and given to every client. A client that does
not keep up is buffered for up to 1 MB; then nothing more is read, and the process waits, as with
Docker. A client that has gone is dropped.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import msgspec

from lading.kernel import pty
from lading.oci.container import Stdio as Descriptors
from lading.shim.attachments import Attachment
from lading.shim.loop import READABLE, WRITABLE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from lading.shim.logwriter import LogWriter
    from lading.shim.loop import Loop
    from lading.shim.protocol import Streams

CHUNK = 64 * 1024
MOST_PENDING = 1_000_000
"""Bytes kept for a client before the process has to wait (Docker's figure)."""
MOST_LEFT = 4 << 20
"""Bytes that a process can have left in its pipes; a child of it may go on writing."""
MOST_INPUT = 64 * 1024
"""Bytes of input kept for a process that does not read."""


class ProcessStreams:
    """The shim's side of one process's stdin, stdout and stderr.

    With `tty` they are a terminal, which `launched` brings. `stdin` tells whether input is let in,
    `stdin_once` whether it ends with the first client that ends its own. A process without
    `output` has nobody to write to.
    """

    def __init__(
        self,
        loop: Loop,
        *,
        tty: bool,
        stdin: bool,
        stdin_once: bool,
        output: bool = True,
        log: LogWriter | None = None,
    ) -> None:
        self.tty = tty
        self._loop = loop
        self._log = log
        self._takes_input = stdin
        self._stdin_once = stdin_once and not tty
        self._has_output = output
        self._terminal: int | None = None
        self._outputs: dict[int, str] = {}
        self._input: int | None = None
        self._pending_input = bytearray()
        self._input_ending = False
        self._paused = False
        self._attachments: list[Attachment] = []
        self._theirs: list[int] = []
        self._all_read: Callable[[], None] | None = None

    def make(self) -> Descriptors | None:
        """Make the process's descriptors, /dev/null where there is no stream; None with a tty.

        `handed_over` closes them.
        """
        if self.tty:
            return None
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._theirs.append(null)
        child = [null, null, null]
        if self._takes_input:
            child[0], self._input = os.pipe2(os.O_CLOEXEC)
            self._theirs.append(child[0])
            os.set_blocking(self._input, False)
        if self._has_output:
            for number, name in ((1, "stdout"), (2, "stderr")):
                ours, child[number] = os.pipe2(os.O_CLOEXEC)
                self._theirs.append(child[number])
                os.set_blocking(ours, False)
                self._outputs[ours] = name
        return Descriptors(*child)

    def handed_over(self) -> None:
        """Let go of the process's own descriptors: whoever makes the process has them."""
        for descriptor in self._theirs:
            os.close(descriptor)
        self._theirs.clear()

    def launched(self, terminal: int | None) -> None:
        """Take the process's terminal, and begin to read."""
        if terminal is not None:
            self._terminal = terminal
            os.set_blocking(terminal, False)
            self._outputs[terminal] = "stdout"
            if self._takes_input:
                self._input = terminal
        self._watch()
        if self._pending_input:
            self._write_input()

    def attach(
        self,
        sock: socket.socket,
        streams: Streams,
        ended: Callable[[bool], None],
    ) -> None:
        """Serve a client; `ended` is called once, with whether its detach keys ended it."""

        def forget(attachment: Attachment, detached: bool) -> None:
            if attachment in self._attachments:
                self._attachments.remove(attachment)
            ended(detached)

        if not self._takes_input:
            streams = msgspec.structs.replace(streams, stdin=False)
        attachment = Attachment(
            self._loop,
            sock,
            streams,
            multiplexed=not self.tty,
            host=self,
            ended=forget,
        )
        self._attachments.append(attachment)

    def resize(self, height: int, width: int) -> bool:
        """Set the terminal's size; False if there is no terminal."""
        if self._terminal is None:
            return False
        pty.set_size(self._terminal, height, width)
        return True

    def drain(self, all_read: Callable[[], None] | None = None) -> bool:
        """Read, after the process has ended, what is there; tells whether the output is over.

        If it is not, because a child of the process holds it, `all_read` is called at its end.
        """
        for descriptor in list(self._outputs):
            for _ in range(MOST_LEFT // CHUNK):
                if not self._read(descriptor):
                    break
        if self._outputs:
            self._all_read = all_read
        return not self._outputs

    def finish(self) -> None:
        """Close everything: the log now, clients when they have got their output."""
        self._all_read = None
        for descriptor in list(self._outputs):
            self._end_output(descriptor)
        self._end_input()
        if self._terminal is not None:
            self._loop.forget(self._terminal)
            os.close(self._terminal)
            self._terminal = None
        self.handed_over()
        for attachment in list(self._attachments):
            attachment.finish()
        if self._log is not None:
            self._log.close()

    def served(self) -> bool:
        """Tell whether every client has got everything."""
        return not self._attachments

    def _watch(self) -> None:
        """Watch the process's descriptors for what can be done now."""
        for descriptor in self._outputs:
            events = 0 if self._paused else READABLE
            if descriptor == self._input and self._pending_input:
                events |= WRITABLE
            if events:
                self._loop.watch(descriptor, events, self._handler(descriptor))
            else:  # hanging up is reported whatever is asked for, and would be again and again
                self._loop.forget(descriptor)
        if self._input is not None and self._input not in self._outputs:
            if self._pending_input:
                self._loop.watch(self._input, WRITABLE, lambda _: self._write_input())
            else:
                self._loop.forget(self._input)

    def _handler(self, descriptor: int) -> Callable[[int], None]:
        def handle(events: int) -> None:
            if events & WRITABLE and self._pending_input:
                self._write_input()
            if events & ~WRITABLE and descriptor in self._outputs:
                self._read(descriptor)

        return handle

    def _read(self, descriptor: int) -> bool:
        """Read once and pass it on; False if there was nothing."""
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EIO:  # EIO: nobody has the terminal open any more
                raise
            data = b""
        if not data:
            self._end_output(descriptor)
            return False
        self._deliver(self._outputs[descriptor], data)
        return True

    def _deliver(self, stream: str, data: bytes) -> None:
        if self._log is not None:
            self._log.write(stream, data)
        for attachment in list(self._attachments):
            if attachment.wants(stream):
                attachment.send(stream, data)
        self.progressed()

    def _end_output(self, descriptor: int) -> None:
        self._loop.forget(descriptor)
        del self._outputs[descriptor]
        if descriptor == self._terminal:
            self._end_input()
        else:
            os.close(descriptor)
        if not self._outputs and self._all_read is not None:
            all_read, self._all_read = self._all_read, None
            all_read()

    # What attachments call

    def progressed(self) -> None:
        """Stop or go on reading, according to the slowest client."""
        behind = any(attachment.pending > MOST_PENDING for attachment in self._attachments)
        if behind != self._paused:
            self._paused = behind
            self._watch()

    def take_input(self, data: bytes) -> None:
        """Write a client's input to the process, or keep it until the process reads."""
        if not self._takes_input or self._input_ending:
            return
        self._pending_input += data
        self._write_input()

    def input_is_full(self) -> bool:
        """Tell whether the process is behind with reading its input."""
        return len(self._pending_input) >= MOST_INPUT

    def input_ended(self, attachment: Attachment) -> None:
        """End the process's input with the client's if it is to have one; else end the client.

        Source: observed with Docker 28.5.2: without StdinOnce, or on a terminal, a client that
        ends its input gets no more output.
        """
        if not self._stdin_once:
            attachment.finish()
        elif self._pending_input:
            self._input_ending = True
        else:
            self._end_input()

    def _write_input(self) -> None:
        if self._input is None:
            return
        was_full = self.input_is_full()
        try:
            while self._pending_input:
                count = os.write(self._input, memoryview(self._pending_input)[:CHUNK])
                del self._pending_input[:count]
        except BlockingIOError:
            pass
        except OSError:
            self._end_input()  # the process has closed its end: input is dropped from now on
            return
        if self._input_ending and not self._pending_input:
            self._end_input()
            return
        self._watch()
        if was_full and not self.input_is_full():
            self._let_clients_write()

    def _end_input(self) -> None:
        """Take no more input, and let the process know."""
        self._takes_input = False
        self._pending_input.clear()
        if self._input is not None and self._input != self._terminal:
            self._loop.forget(self._input)
            os.close(self._input)
        self._input = None
        self._let_clients_write()

    def _let_clients_write(self) -> None:
        for attachment in list(self._attachments):
            attachment.update()
