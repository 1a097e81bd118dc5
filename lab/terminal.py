"""A command with a terminal, as a person has it."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Sequence


def on_terminal(command: Sequence[str]) -> tuple[int, str]:
    """Run a command on a terminal of its own; its exit code, and what it wrote there."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        ) as process:
            os.close(theirs)
            theirs = -1
            output = _drained(ours)
        return process.returncode, output.decode(errors="replace").replace("\r\n", "\n")
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)


def _drained(terminal: int) -> bytes:
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # EIO: nobody has the other side open any more
            part = b""
        if not part:
            return b"".join(parts)
        parts.append(part)
