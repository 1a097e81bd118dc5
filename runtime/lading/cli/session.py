"""One stay with a process in a container: streams, signals, the terminal's size, the end."""

from __future__ import annotations

import os
from _signal import (  # type: ignore[import-not-found]  # typeshed has signal only
    SIGCHLD,
    SIGHUP,
    SIGINT,
    SIGPIPE,
    SIGQUIT,
    SIGRTMAX,
    SIGRTMIN,
    SIGTERM,
    SIGURG,
    SIGWINCH,
)

from lading.cli import terminal
from lading.cli.command import STDIN, STDOUT
from lading.cli.failures import ApiError, CliError, Exit
from lading.cli.loop import Loop
from lading.cli.streams import Pump

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lading.cli.client.api import Hijacked
    from lading.cli.client.http import Response
    from lading.cli.command import Context

#: Signals that are ours alone: about our own children and pipes.
OWN_SIGNALS = frozenset((SIGCHLD, SIGPIPE, SIGURG))
#: Signals that end us; with a terminal in raw mode, that has to be undone first.
ENDING = (SIGHUP, SIGINT, SIGQUIT, SIGTERM)
PROXIED = tuple(n for n in (*range(1, 32), *range(SIGRTMIN, SIGRTMAX + 1)) if n not in OWN_SIGNALS)


def detach_keys(context: Context, given: str) -> bytes:
    """Give the keys that detach: as given, as configured, or ctrl-p ctrl-q.

    Raises CliError for keys there are not.
    """
    text = given or context.config.text("detachKeys")
    if not text:
        return terminal.DEFAULT_DETACH_KEYS
    try:
        return terminal.parse_detach_keys(text)
    except ValueError as error:
        raise CliError(f"invalid detach keys ({text}): {error}") from None


def check_terminal(*, stdin: bool, tty: bool) -> None:
    """Refuse to attach something that is no terminal to a container that has one.

    Raises CliError.
    """
    if stdin and tty and not os.isatty(STDIN):
        raise CliError("the input device is not a TTY")


class Session:
    """The event loop around a hijacked connection to a process, and the requests that belong to it.

    `resize_path` is where the API wants to hear the terminal's size.
    """

    def __init__(self, context: Context, *, tty: bool, resize_path: str) -> None:
        self.context = context
        self.tty = tty
        self.loop = Loop()
        self.pump: Pump | None = None
        self._resize_path = resize_path
        self._raw = terminal.RawTerminal(STDIN)
        self._proxy_to = ""
        self._size: tuple[int, int] | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.restore()
        if self.pump:
            self.pump.close()
        self.loop.close()

    def connect(self, hijacked: Hijacked, *, stdin: bool, keys: bytes) -> None:
        """Take over a hijacked connection."""
        if stdin and self.tty:
            self._raw.__enter__()
        self.pump = Pump(self.loop, hijacked, tty=self.tty, stdin=stdin, detach_keys=keys)

    def catch_signals(self, proxy_to: str) -> None:
        """Pass signals on to a container, if one is named.

        With a terminal, notice its changes of size.
        Signals that nobody gets end the session, and leave the process in the container alone.
        """
        self._proxy_to = proxy_to
        numbers = PROXIED if proxy_to else (SIGWINCH, *ENDING) if self.tty else ()
        if numbers:
            self.loop.signals(numbers, self._signalled)

    def _signalled(self, number: int) -> None:
        if number == SIGWINCH and self.tty:
            self.resize()
        if not self._proxy_to:
            if number in ENDING:
                raise Exit(128 + number)
            return
        try:
            self.context.client.post(f"/containers/{self._proxy_to}/kill", {"signal": str(number)})
        except ApiError:
            return

    def redraw(self) -> None:
        """Have the program draw itself again: for it, the size changes and changes back."""
        size = terminal.size(STDOUT)
        if self.tty and size:
            self._send_size((size[0] + 1, size[1] + 1))
            self._send_size(size)

    def resize(self) -> None:
        """Tell the daemon the terminal's size, if it has one that is not known there."""
        size = terminal.size(STDOUT)
        if self.tty and size and size != self._size:
            self._send_size(size)

    def _send_size(self, size: tuple[int, int]) -> None:
        self._size = size
        try:
            self.context.client.post(self._resize_path, {"h": size[0], "w": size[1]})
        except ApiError:
            return

    def stream(self) -> bool:
        """Carry the streams until the process closes them; True if the user detached instead."""
        if self.pump:
            pump = self.pump
            self.loop.run(lambda: pump.done)
            self._raw.restore()
            return pump.detached
        return False

    def status(self, waiting: Response) -> int:
        """Wait for the exit status that was asked for before the start.

        Signals are still passed on.
        """
        connection = waiting.connection
        ready = [bool(connection.buffer)]
        self.loop.reader(connection.sock.fileno(), lambda: ready.__setitem__(0, True))
        self.loop.run(lambda: ready[0])
        self.loop.reader(connection.sock.fileno(), None)
        answer = waiting.json() or {}
        if error := (answer.get("Error") or {}).get("Message"):
            self.context.error(f"lading: error waiting for the container: {error}\n")
            return 125
        return int(answer.get("StatusCode", 0))
