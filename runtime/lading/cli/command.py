"""What a command is, and what it is given when it runs."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from lading.cli.client.api import Client
    from lading.cli.configfile import ConfigFile
    from lading.cli.flags import Flag, Options

STDIN, STDOUT, STDERR = 0, 1, 2


class Command:
    """One command: how it is called, what it does in words, and the function that does it.

    `about` is the paragraph that `--help` begins with, `examples` are pairs of a command line
    (without "lading ") and what it does. `arguments` is the least and the greatest number of
    arguments, None for no limit.
    """

    __slots__ = (
        "about",
        "arguments",
        "examples",
        "flags",
        "interspersed",
        "name",
        "run",
        "summary",
        "usage",
    )

    def __init__(
        self,
        name: str,
        usage: str,
        summary: str,
        run: Callable[[Context, Options], int],
        *,
        flags: tuple[Flag, ...] = (),
        arguments: tuple[int, int | None] = (0, 0),
        about: str = "",
        examples: tuple[tuple[str, str], ...] = (),
        interspersed: bool = True,
    ) -> None:
        self.name = name
        self.usage = usage
        self.summary = summary
        self.run = run
        self.flags = flags
        self.arguments = arguments
        self.about = about
        self.examples = examples
        self.interspersed = interspersed


class Context:
    """What all commands share: the daemon, the user's configuration, the way to the terminal."""

    def __init__(
        self, *, host: str = "", config_dir: str = "", tls: dict[str, Any] | None = None
    ) -> None:
        self.host = host
        self.config_dir = config_dir
        self.tls = tls
        self.debug = False
        self.command = ""
        self._client: Client | None = None
        self._config: ConfigFile | None = None

    @property
    def client(self) -> Client:
        """The daemon; connecting is left to the first request."""
        if self._client is None:
            from lading.cli.client.choose import make_client

            self._client = make_client(self.host, self.tls)
            if headers := self.config.headers:
                self._client.extra_headers = headers
        return self._client

    @property
    def config(self) -> ConfigFile:
        """The user's config.json, which is Docker's."""
        if self._config is None:
            from lading.cli.configfile import ConfigFile

            self._config = ConfigFile(self.config_dir)
        return self._config

    def out(self, text: str | bytes) -> None:
        """Write to stdout, all of it and at once."""
        write_all(
            STDOUT, text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        )

    def error(self, text: str | bytes) -> None:
        """Write to stderr."""
        write_all(
            STDERR, text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        )

    def width(self) -> int | None:
        """Give the width of the terminal that stdout is, None if it is none."""
        if not os.isatty(STDOUT):
            return None
        try:
            return os.get_terminal_size(STDOUT).columns or None
        except OSError:
            return None

    def confirm(self, question: str) -> bool:
        """Ask on the terminal; only y means yes."""
        self.out(f"{question} [y/N] ")
        return sys.stdin.readline().strip().lower() in ("y", "yes")


def write_all(fd: int, data: bytes) -> None:
    """Write all bytes to a descriptor, however many calls it takes; waits where it would block."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            from select import POLLOUT, poll

            waiting = poll()
            waiting.register(fd, POLLOUT)
            waiting.poll()
