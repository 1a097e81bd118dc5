"""The terminal of a container in the foreground, or handed over to another process."""

from __future__ import annotations

import os
import select
import signal as signals
import socket
import sys
import termios
import tty
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lading.errors import InvalidParameter, LadingError
from lading.kernel import pty
from lading.kernel.errors import KernelError
from lading.kernel.process import Exit, pidfd_send_signal, wait_pidfd

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1 << 16
_KEPT = (signals.SIGKILL, signals.SIGSTOP, signals.SIGCHLD, signals.SIGURG, signals.SIGPIPE)


def check(console_socket: str, *, wanted: bool, detached: bool) -> None:
    """Refuse what cannot be: a terminal that nobody holds, or a socket without a terminal."""
    if wanted and detached and not console_socket:
        raise InvalidParameter(
            "cannot allocate tty if lading-oci will detach without setting console socket"
        )
    if console_socket and not wanted:
        raise InvalidParameter(
            "cannot use console socket if lading-oci will not detach or allocate tty"
        )


def hand_over(path: str, terminal: int) -> None:
    """Send the terminal's master side over the unix socket *path*, and close it here."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(path)
            socket.send_fds(connection, [b"/dev/ptmx"], [terminal])
    except OSError as error:
        raise LadingError(f"cannot send the terminal to {path}: {error.strerror}") from error
    finally:
        os.close(terminal)


class Foreground:
    """Serves a process in the foreground; entered before it starts, so that no signal is lost."""

    def __init__(self) -> None:
        self._before: dict[int, object] = {}
        self._wake = self._wakeup = self._old = -1

    def __enter__(self) -> Foreground:
        self._wake, self._wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for number in signals.valid_signals():
            if number not in _KEPT and number < signals.SIGRTMIN:
                self._before[number] = signals.signal(number, _take_note)
        self._old = signals.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        return self

    def __exit__(self, *ended: object) -> None:
        signals.set_wakeup_fd(self._old)
        for number, handler in self._before.items():
            signals.signal(number, handler)  # type: ignore[arg-type]
        os.close(self._wake)
        os.close(self._wakeup)

    def attend(self, pidfd: int, terminal: int | None) -> Exit:
        """Forward signals, and the terminal if there is one, until the process ends; reap it."""
        with _raw(terminal):
            if terminal is not None:
                _resize(terminal)
            _serve(pidfd, terminal, self._wake)
        if terminal is not None:
            _drain(terminal)
            os.close(terminal)
        ended = wait_pidfd(pidfd)
        if ended is None:
            raise LadingError("the container's process ended without a status")
        return ended


def _serve(pidfd: int, terminal: int | None, wake: int) -> None:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.register(wake, select.POLLIN)
    if terminal is not None:
        poller.register(terminal, select.POLLIN)
        poller.register(0, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poller.poll()}
        if wake in ready:
            for number in os.read(wake, _CHUNK):
                _forward(number, pidfd, terminal)
        if terminal is not None and terminal in ready and not _copy(terminal, 1):
            poller.unregister(terminal)
        if terminal is not None and 0 in ready and not _copy(0, terminal):
            poller.unregister(0)
        if pidfd in ready:
            return


def _forward(number: int, pidfd: int, terminal: int | None) -> None:
    if number == signals.SIGWINCH and terminal is not None:
        _resize(terminal)
        return
    with suppress(KernelError):
        pidfd_send_signal(pidfd, number)


def _copy(source: int, target: int) -> bool:
    """Move what is there; False at the end of *source*."""
    try:
        data = os.read(source, _CHUNK)
    except OSError:
        return False  # EIO: nobody has the other side of the terminal open any more
    while data:
        written = os.write(target, data)
        data = data[written:]
        if not data:
            return True
    return False


def _drain(terminal: int) -> None:
    """Print what the process wrote just before its end."""
    os.set_blocking(terminal, False)
    while _copy(terminal, 1):
        pass


def _resize(terminal: int) -> None:
    if sys.stdin.isatty():
        pty.set_size(terminal, *pty.get_size(0))


@contextmanager
def _raw(terminal: int | None) -> Iterator[None]:
    """Let every key reach the container's terminal."""
    if terminal is None or not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSADRAIN)  # what was typed ahead stays
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _take_note(number: int, frame: object) -> None:
    """Do nothing: the wake-up descriptor has the number."""
