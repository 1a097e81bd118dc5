"""A machine as testinfra sees it from outside: through the agent, without ssh."""

from __future__ import annotations

from typing import Any

from testinfra.backend import base
from testinfra.host import Host

from lab.machines.base import Machine


class _Backend(base.BaseBackend):  # type: ignore[misc]
    NAME = "lading"

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.cell.name)
        self._machine = machine

    def run(self, command: str, *arguments: str, **_options: Any) -> base.CommandResult:
        """Run a command in the machine."""
        line = self.get_command(command, *arguments)
        done = self._machine.run(line)
        return self.result(done.code, line, done.out, done.err)


def host(machine: Machine) -> Host:
    """The machine as testinfra's `host`."""
    return Host(_Backend(machine))
