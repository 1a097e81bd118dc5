"""QEMU's monitor (QMP): one command after the other, on a socket that QEMU was given."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from lab.machines.base import MachineError

_ANSWERS_WITHIN = 30.0


class Monitor:
    """The monitor of one QEMU. Every method raises MachineError when QEMU refuses or is gone."""

    def __init__(self, line: socket.socket) -> None:
        self._line, self._rest = line, b""
        self._started = False

    def command(self, name: str, /, **arguments: Any) -> Any:
        """Give a command; what it returns."""
        if not self._started:
            self._started = True
            self._receive()
            self.command("qmp_capabilities")
        request = json.dumps({"execute": name, "arguments": arguments})
        try:
            self._line.sendall(request.encode() + b"\n")
        except OSError:
            raise MachineError(f"QEMU ended before {name}") from None
        while True:
            message = self._receive()
            if "error" in message:
                raise MachineError(f"QEMU: {name}: {message['error']['desc']}")
            if "return" in message:
                return message["return"]

    def migration(self, seconds: float) -> None:
        """Wait for the end of a migration."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.command("query-migrate")
            state = found.get("status", "none")
            if state == "completed":
                return
            if state in ("failed", "cancelled"):
                reason = found.get("error-desc", "QEMU gives no reason")
                raise MachineError(f"the machine's state could not be moved: {reason}")
            if time.monotonic() > deadline:
                raise MachineError(f"the machine's state did not move within {seconds:.0f} s")
            time.sleep(0.01)

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def _receive(self) -> dict[str, Any]:
        self._line.settimeout(_ANSWERS_WITHIN)
        while b"\n" not in self._rest:
            try:
                part = self._line.recv(65536)
            except TimeoutError:
                raise MachineError("QEMU's monitor does not answer") from None
            except OSError:
                part = b""
            if not part:
                raise MachineError("QEMU ended")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message
