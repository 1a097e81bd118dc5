"""The driver's end of the agent's line: requests, answers, and how long they may take."""

from __future__ import annotations

import base64
import os
import select
import socket
import time
from pathlib import Path
from typing import Any, Protocol

from lab.agent.frames import BrokenFrame, pack, unpack
from lab.machines.base import MachineError

_PART = 256 << 10


class Late(MachineError):
    """The agent did not answer in time: the machine hangs, or is slower than thought."""


class Gone(MachineError):
    """The machine ended."""


class Asks(Protocol):
    """Whatever a machine's agent can be asked through."""

    def ask(self, what: str, limit: float, /, **arguments: Any) -> dict[str, Any]:
        """Have the agent do something, and wait so many seconds for its answer."""
        ...


class Channel:
    """The line to one machine's agent. Methods raise Late, Gone, or MachineError."""

    def __init__(self, line: socket.socket) -> None:
        self._line, self._asked = line, 0

    def hello(self, seconds: float) -> str:
        """Wait for the agent of a machine that boots; the release of its kernel."""
        return str(self._receive(seconds)["ready"])

    def ask(self, what: str, limit: float, /, **arguments: Any) -> dict[str, Any]:
        """Have the agent do something, and wait so many seconds for its answer."""
        self._asked += 1
        number = self._asked
        try:
            self._line.sendall(pack({"do": what, "number": number, **arguments}))
        except OSError:
            raise Gone("the machine ended") from None
        answer = self._receive(limit)
        # What was given up is answered late.
        while "ready" not in answer and answer.get("number") != number:
            answer = self._receive(limit)
        if "ready" in answer:
            raise MachineError("the machine started anew, or its agent did")
        if "error" in answer:
            raise MachineError(f"in the machine: {answer['error']}")
        found: dict[str, Any] = answer["ok"]
        return found

    def write(self, path: str, data: bytes, mode: int) -> None:
        """Write a file in the machine."""
        for start in range(0, max(1, len(data)), _PART):
            part = base64.b64encode(data[start : start + _PART]).decode()
            self.ask("write", 30, path=path, data=part, mode=mode, first=start == 0)

    def read(self, path: str) -> bytes:
        """A file of the machine's."""
        parts: list[bytes] = []
        while True:
            offset = sum(map(len, parts))
            part = base64.b64decode(self.ask("read", 30, path=path, offset=offset)["data"])
            if not part:
                return b"".join(parts)
            parts.append(part)

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def _receive(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        try:
            return unpack(lambda count: self._exactly(count, deadline, seconds))
        except BrokenFrame as error:
            raise MachineError(f"the machine's agent speaks nonsense: {error}") from None

    def _exactly(self, count: int, deadline: float, seconds: float) -> bytes:
        data = bytearray()
        while len(data) < count:
            ready, _, _ = select.select([self._line], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise Late(f"the machine did not answer within {seconds:.0f} s")
            try:
                part = self._line.recv(count - len(data))
            except OSError:
                part = b""
            if not part:
                raise Gone("the machine ended")
            data += part
        return bytes(data)


def wake(agent: Asks, limit: float) -> None:
    """Give a machine that was saved the time of now, and random bytes of its own."""
    entropy = base64.b64encode(os.urandom(64)).decode()
    agent.ask("wake", limit, time=time.time(), entropy=entropy)


def put(channel: Channel, source: Path, target: str) -> None:
    """Copy a file into a machine. Raises MachineError: it can not be read, or written there."""
    try:
        data, mode = source.read_bytes(), source.stat().st_mode & 0o7777
    except OSError as error:
        raise MachineError(f"{source} can not be read: {error.strerror}") from None
    channel.write(target, data, mode)
