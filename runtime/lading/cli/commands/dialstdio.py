"""`lading system dial-stdio`: the far end of an ssh:// address."""

from __future__ import annotations

import os
from _socket import SHUT_WR
from select import POLLHUP, POLLIN, poll

from lading.cli.command import STDIN, STDOUT, Command, Context, write_all
from lading.cli.flags import Options

_PIECE = 65536


def dial_stdio(context: Context, _options: Options) -> int:
    """Pass stdin to the daemon and what it answers to stdout, until the daemon is done."""
    sock = context.client.open_stream()
    waiting = poll()
    waiting.register(STDIN, POLLIN | POLLHUP)
    waiting.register(sock.fileno(), POLLIN | POLLHUP)
    while True:
        ready = {number for number, _ in waiting.poll()}
        if sock.fileno() in ready:
            data = sock.recv(_PIECE)
            if not data:
                return 0
            write_all(STDOUT, data)
        if STDIN in ready:
            data = os.read(STDIN, _PIECE)
            if data:
                sock.sendall(data)
            else:
                waiting.unregister(STDIN)
                sock.shutdown(SHUT_WR)


COMMANDS = {
    "system dial-stdio": Command(
        "system dial-stdio",
        "",
        "Pass stdin and stdout to the daemon",
        dial_stdio,
        arguments=(0, 0),
        about="Run by ssh on the machine that an ssh:// address names.",
    ),
}
