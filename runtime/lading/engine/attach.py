"""Attached streams: what a hijacked connection is pumped with."""

from __future__ import annotations

from typing import Protocol


class Session(Protocol):
    """A client's end of a process's streams; used for attach and for exec.

    `read` gives bytes ready for the wire: frames of the multiplexed stream, or what a terminal
    says when `multiplexed` is false.
    """

    multiplexed: bool

    async def read(self) -> bytes:
        """Give the next bytes; empty when the streams have ended or the client detached."""
        ...

    async def write(self, data: bytes) -> bool:
        """Send input to the process; False once the detach keys were typed: hang up then."""
        ...

    async def close_stdin(self) -> None:
        """Tell the process that no input follows."""
        ...

    def close(self) -> None:
        """Let go of the streams; the process goes on."""
        ...
