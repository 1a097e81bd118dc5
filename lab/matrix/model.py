"""What the matrix is about: jobs, what came of them, and the machines they ran on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lab.cells import Cell

PASSED, FAILED, SKIPPED, ERROR, NOT_RUN = "passed", "failed", "skipped", "error", "not run"
"""How a scenario ends: `error` is what is around it, `not run` that its cell was given up."""


@dataclass(frozen=True, slots=True)
class Job:
    """One scenario, such as `limits/test_limits.py::test_x`, on a fresh machine of a cell."""

    cell: Cell
    scenario: str

    @property
    def key(self) -> tuple[str, str]:
        """What a result is found by."""
        return self.cell.name, self.scenario


@dataclass(slots=True)
class Result:
    """What came of a job; `duration` is the scenario's, `took` with its machine (seconds).

    `kept` is where the machine's logs are, `again` the command that opens the same machine.
    """

    cell: str
    scenario: str
    outcome: str
    duration: float = 0.0
    took: float = 0.0
    complaint: str = ""
    observations: dict[str, Any] = field(default_factory=dict)
    kept: str = ""
    again: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What it is found by."""
        return self.cell, self.scenario

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


@dataclass(slots=True)
class Machine:
    """What a cell's machines really are; `config` are the findings of `kernel.check`.

    `how` is how they run, such as `KVM`, `emulated` or `this host`; `took` the seconds until the
    cell could be used; `engine`, `version` and `image` those of the engine under test.
    """

    cell: str
    how: str = ""
    kernel: str = ""
    cgroups: str = ""
    engine: str = ""
    version: str = ""
    image: str = ""
    took: float = 0.0
    config: list[dict[str, Any]] = field(default_factory=list)
    problem: str = ""

    def learn(self, document: Mapping[str, Any]) -> None:
        """Take over what a scenario's outcome says about where it ran."""
        for name in ("kernel", "cgroups", "engine", "version", "image"):
            if document.get(name):
                setattr(self, name, document[name])

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


@dataclass(slots=True)
class Run:
    """A whole matrix: its plan's figures (seconds), its machines and its results."""

    driver: str
    engine: str
    started: str
    code: str
    cells: list[Cell]
    scenarios: list[str]
    estimate: float = 0.0
    took: float = 0.0
    at_once: int = 1
    machines: dict[str, Machine] = field(default_factory=dict)
    results: dict[tuple[str, str], Result] = field(default_factory=dict)
