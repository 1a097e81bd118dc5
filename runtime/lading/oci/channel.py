"""The connection between the runtime and the container's process: one packet, one message.

    container → runtime   Terminal [descriptor], AwaitHooks, Ready, Starting, Failed
    runtime → container   GoOn, Start

The end of the connection tells, too: the program was executed, or the other one is gone.
"""

from __future__ import annotations

import os
import socket
from typing import TypeVar

import msgspec

_LARGEST = 1 << 17  # bytes; a message is some kilobytes at most


class Terminal(msgspec.Struct, tag=True, frozen=True):
    """The master side of the process's terminal comes with this."""


class AwaitHooks(msgspec.Struct, tag=True, frozen=True):
    """The mounts are done: the runtime shall run its hooks, then let go on."""


class Ready(msgspec.Struct, tag=True, frozen=True):
    """Everything is done but the start; `timings` in ns, by step."""

    timings: list[int]


class Starting(msgspec.Struct, tag=True, frozen=True):
    """The program is executed next; `timings` of the steps since `Ready`."""

    timings: list[int]


class Failed(msgspec.Struct, tag=True, frozen=True):
    """A step failed, and the process ends."""

    step: str
    errno: int
    message: str


class GoOn(msgspec.Struct, tag=True, frozen=True):
    """What the process waited for is done."""


class Start(msgspec.Struct, tag=True, frozen=True):
    """Execute the program."""


Message = Terminal | AwaitHooks | Ready | Starting | Failed | GoOn | Start
_Kind = TypeVar("_Kind", bound=Message)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Message)


class Channel:
    """One end of the connection."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def fileno(self) -> int:
        """Give the descriptor; -1 once closed."""
        return self._socket.fileno()

    def send(self, message: Message, descriptor: int | None = None) -> None:
        """Send *message*, and *descriptor* with it. Raises OSError when the other end is gone."""
        data = [_encoder.encode(message)]
        if descriptor is None:
            self._socket.sendmsg(data, (), socket.MSG_NOSIGNAL)
        else:
            socket.send_fds(self._socket, data, [descriptor], socket.MSG_NOSIGNAL)

    def receive(self) -> tuple[Message | None, int | None]:
        """Wait for a message and the descriptor with it; None when the connection has ended."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, _LARGEST, 1)
        except ConnectionResetError:
            return None, None
        if not data:
            return None, None
        for extra in descriptors[1:]:
            os.close(extra)
        for received in descriptors[:1]:
            os.set_inheritable(received, False)  # recv_fds passes no flags on
        return _decoder.decode(data), descriptors[0] if descriptors else None

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def pair() -> tuple[Channel, Channel]:
    """Make a connection: (the runtime's end, the container's)."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(ours), Channel(theirs)
