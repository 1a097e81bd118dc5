"""Show the stream of messages with which the daemon tells how a pull, push, load or build goes.

On a terminal there is a bar for each layer (rich, imported only then), elsewhere a line for each
change of state. Source of the messages' shape: the Engine API's ImageCreate and ImageBuild, as
Docker answers them.
"""

from __future__ import annotations

import os

from lading.cli.command import STDERR, STDOUT
from lading.cli.failures import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    from lading.cli.command import Context

    class Display(Protocol):
        """What messages are shown on."""

        def show(self, message: dict[str, Any]) -> None:
            """Show one message."""

        def close(self) -> None:
            """Leave the display as it is."""


class Lines:
    """One line for each message; the count of bytes, which would be a line each, is left out."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def show(self, message: dict[str, Any]) -> None:
        """Write a message, unless it only says how far a transfer is."""
        if message.get("progressDetail") or "aux" in message:
            return
        if "stream" in message:
            self._write(message["stream"])
            return
        status = message.get("status", "")
        prefix = f"{message['id']}: " if message.get("id") else ""
        self._write(f"{prefix}{status}\n")

    def close(self) -> None:
        """There is nothing to tidy up."""


def follow(
    context: Context,
    messages: Iterable[dict[str, Any]],
    *,
    quiet: bool = False,
    to_stderr: bool = False,
    aux: Callable[[dict[str, Any]], None] | None = None,
    display: Display | None = None,
) -> None:
    """Show messages until the daemon has no more, on `display` or what suits the output.

    Raises CliError with the daemon's words if one is an error.
    `aux` gets what messages carry for programs, such as the id of a built image.
    """
    if display is None and not quiet:
        display = _display(context, to_stderr=to_stderr)
    try:
        for message in messages:
            if error := message.get("errorDetail") or message.get("error"):
                text = error.get("message", "") if isinstance(error, dict) else error
                code = error.get("code", 1) if isinstance(error, dict) else 1
                raise CliError(str(text), int(code or 1))
            if aux and isinstance(message.get("aux"), dict):
                aux(message["aux"])
            if display:
                display.show(message)
    finally:
        if display:
            display.close()


def _display(context: Context, *, to_stderr: bool) -> Display:
    if os.isatty(STDERR if to_stderr else STDOUT):
        from lading.cli.bars import Bars

        return Bars(to_stderr=to_stderr)
    return Lines(context.error if to_stderr else context.out)
