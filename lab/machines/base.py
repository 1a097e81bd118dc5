"""A machine of the lab, whatever drives it: its verbs read like the test."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lab.cells import Cell
from lab.shell import LabError


class MachineError(LabError):
    """The machine or its driver failed: not what a test found."""


class CommandFailed(AssertionError):
    """A command in a machine did not end as the test says it must: what a test found."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command in a machine ended, and what it wrote."""

    code: int
    out: str
    err: str


class Machine(Protocol):
    """A machine of a cell, in use by one test.

    Commands are lines for `sh`. Verbs raise CommandFailed for what the test is about, and
    MachineError when the machine died, hung or can not do that at all.
    """

    cell: Cell

    def run(self, command: str, *, seconds: float = 60, stdin: bytes = b"") -> Finished:
        """Run a command to its end."""
        ...

    def succeed(self, command: str, *, seconds: float = 60) -> str:
        """Run a command that must end with 0; its output without the last newline."""
        ...

    def fail(self, command: str, *, seconds: float = 60) -> str:
        """Run a command that must not end with 0; its complaint."""
        ...

    def wait_until_succeeds(self, command: str, *, seconds: float = 60) -> str:
        """Run a command again and again until it ends with 0; its output."""
        ...

    def copy_to(self, source: Path, target: str) -> None:
        """Copy a file into the machine, with its mode."""
        ...

    def copy_from(self, source: str, target: Path) -> None:
        """Copy a file out of the machine."""
        ...

    def crash(self) -> None:
        """Cut the power: what was not flushed to the disk is lost. `start` boots it again."""
        ...

    def start(self) -> None:
        """Boot a machine whose power was cut, from its own disk."""
        ...

    def reboot(self) -> None:
        """Shut it down in order, and boot it again."""
        ...

    def freeze(self) -> None:
        """Stop its time until `unfreeze`."""
        ...

    def unfreeze(self) -> None:
        """Let its time go on."""
        ...

    def disconnect_network(self) -> None:
        """Pull its network cable."""
        ...

    def connect_network(self) -> None:
        """Put its network cable back."""
        ...

    def run_scenario(self, scenario: str, *, seconds: float = 600) -> dict[str, Any]:
        """Run a scenario such as `limits/test_limits.py::test_x`; what `pytest --result` writes."""
        ...

    def close(self) -> None:
        """Throw the machine away, whatever happens in it."""
        ...


class Driver(Protocol):
    """A way to have machines; `how` says what runs them, such as `KVM` or `emulated`."""

    name: str

    @property
    def how(self) -> str:
        """What runs the machines."""
        ...

    def missing(self, cell: Cell) -> str:
        """Why the cell can not be had here within a minute or two; "" when it can."""
        ...

    def machine(self, cell: Cell, engine: str = "") -> Machine:
        """Have a fresh machine, with `engine` (lading, docker or "") up in it. Raises LabError."""
        ...


class Verbs(ABC):
    """The verbs that follow from running a command and moving bytes."""

    cell: Cell

    @abstractmethod
    def run(self, command: str, *, seconds: float = 60, stdin: bytes = b"") -> Finished:
        """Run a command to its end."""

    def succeed(self, command: str, *, seconds: float = 60) -> str:
        """Run a command that must end with 0; its output without the last newline."""
        done = self.run(command, seconds=seconds)
        if done.code:
            raise CommandFailed(
                f"{self.cell.name}: `{command}` ended with {done.code}: {_why(done)}"
            )
        return done.out.removesuffix("\n")

    def fail(self, command: str, *, seconds: float = 60) -> str:
        """Run a command that must not end with 0; its complaint."""
        done = self.run(command, seconds=seconds)
        if not done.code:
            raise CommandFailed(f"{self.cell.name}: `{command}` succeeded: {done.out.strip()}")
        return done.err

    def wait_until_succeeds(self, command: str, *, seconds: float = 60) -> str:
        """Run a command again and again until it ends with 0; its output."""
        deadline = time.monotonic() + seconds
        while (done := self.run(command, seconds=max(1, deadline - time.monotonic()))).code:
            if time.monotonic() > deadline:
                raise CommandFailed(
                    f"{self.cell.name}: `{command}` did not succeed within {seconds:.0f} s: "
                    f"{_why(done)}"
                )
            time.sleep(0.1)
        return done.out.removesuffix("\n")


def _why(done: Finished) -> str:
    return (done.err or done.out).strip() or "it said nothing"
