"""What a matrix's results mean: parity, known divergence, difference or failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from lab.cells import Cell
from lab.matrix.model import FAILED, NOT_RUN, PASSED, SKIPPED, Machine, Result, Run
from scenarios.harness.divergences import Divergence, load
from scenarios.harness.observations import Difference, Observations, differences
from scenarios.harness.parity import NoRecord, recorded_for


class Status(Enum):
    """A square of the matrix: its word, the sign that stands for it, and whether that is well."""

    SAME = ("same", "=", True)
    ALIKE = ("fails as Docker does", "≃", True)
    KNOWN = ("known divergence", "≈", True)
    ALONE = ("passed, nothing to compare with", "✓", True)
    SKIPPED = ("skipped", "–", True)  # noqa: RUF001
    DIFFERS = ("differs", "≠", False)
    FAILED = ("failed", "✗", False)
    ERROR = ("machine or set-up failed", "!", False)
    NOT_RUN = ("not run", "·", False)

    def __init__(self, word: str, sign: str, fine: bool) -> None:
        self.word, self.sign, self.fine = word, sign, fine


@dataclass(frozen=True, slots=True)
class Judged:
    """A result with what it was held against."""

    result: Result
    status: Status
    reference: Mapping[str, Any] | None = None
    differences: tuple[tuple[Difference, Divergence | None], ...] = ()

    def document(self) -> dict[str, Any]:
        """As the report's JSON has it."""
        return {
            **self.result.document(),
            "status": self.status.name.lower(),
            "reference": self.reference,
            "differences": [
                {
                    "fact": one.name,
                    "reference": one.reference,
                    "subject": one.subject,
                    "divergence": rule.file if rule else None,
                    "reason": rule.reason if rule else None,
                }
                for one, rule in self.differences
            ],
        }


@dataclass(slots=True)
class Judgement:
    """Every square, and the divergences that matched nothing though they were tried."""

    squares: list[Judged]
    stale: list[Divergence] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether the gate opens."""
        return not self.stale and all(one.status.fine for one in self.squares)

    def counts(self, cell: str = "") -> dict[Status, int]:
        """How many squares there are of each status, in one cell or in all."""
        found = [one.status for one in self.squares if cell in ("", one.result.cell)]
        return {status: found.count(status) for status in Status if status in found}

    def parity(self, cell: str = "") -> tuple[int, int]:
        """How many scenarios are as the reference has them, and how many were compared."""
        mine = [one for one in self.squares if cell in ("", one.result.cell)]
        idle = (Status.SKIPPED, Status.NOT_RUN)
        compared = [one for one in mine if one.reference is not None and one.status not in idle]
        return sum(one.status in (Status.SAME, Status.ALIKE) for one in compared), len(compared)


def judge(run: Run, known: list[Divergence] | None = None) -> Judgement:
    """Hold every result against what was recorded where it ran."""
    divergences = load() if known is None else known
    judgement = Judgement([])
    tried: set[str] = set()
    matched: set[str] = set()
    for cell in run.cells:
        machine = run.machines.get(cell.name, Machine(cell.name))
        reference = _reference(cell, machine, judgement)
        rules = [
            one
            for one in divergences
            if reference and one.applies_to(reference, cell.name, run.engine)
        ]
        for scenario in run.scenarios:
            result = run.results.get((cell.name, scenario))
            if result is None:
                result = Result(cell.name, scenario, NOT_RUN, complaint="the run was interrupted")
            square = _square(result, reference, rules)
            judgement.squares.append(square)
            if square.reference is not None and result.outcome == PASSED:
                tried |= {one.file for one in rules if one.concerns(scenario)}
            matched |= {rule.file for _difference, rule in square.differences if rule}
    judgement.stale = [one for one in divergences if one.file in tried - matched]
    return judgement


def _reference(cell: Cell, machine: Machine, judgement: Judgement) -> Observations | None:
    if not machine.version:
        return None
    where = Observations("", "", machine.kernel, machine.cgroups, machine.image)
    try:
        return recorded_for(where, cell.engine)
    except NoRecord as error:
        judgement.notes[cell.name] = str(error)
        return None


def _square(result: Result, reference: Observations | None, rules: list[Divergence]) -> Judged:
    plain = {FAILED: Status.FAILED, SKIPPED: Status.SKIPPED, NOT_RUN: Status.NOT_RUN}
    scenario = result.scenario
    if reference is None or scenario not in reference.known():
        own = Status.ALONE if result.outcome == PASSED else plain.get(result.outcome, Status.ERROR)
        return Judged(result, own)
    theirs = reference.scenarios.get(scenario, {})
    outcome = reference.outcomes.get(scenario, PASSED)
    if result.outcome == FAILED and outcome == FAILED:
        return Judged(result, Status.ALIKE, theirs)
    if result.outcome != PASSED:
        return Judged(result, plain.get(result.outcome, Status.ERROR), theirs)
    if outcome == FAILED:
        # What it showed before it failed is no measure for one that went on.
        return Judged(result, Status.ALONE)
    ours = Observations("", scenarios={scenario: dict(result.observations)})
    against = Observations("", scenarios={scenario: theirs})
    found = tuple(
        (one, next((rule for rule in rules if rule.covers(one)), None))
        for one in differences(against, ours)
    )
    if not found:
        return Judged(result, Status.SAME, theirs)
    known = all(rule for _difference, rule in found)
    return Judged(result, Status.KNOWN if known else Status.DIFFERS, theirs, found)


def document(run: Run, judgement: Judgement) -> dict[str, Any]:
    """The whole matrix as one JSON document: what reports are made of."""
    same, compared = judgement.parity()
    return {
        "format": 1,
        "driver": run.driver,
        "engine": run.engine,
        "started": run.started,
        "code": run.code,
        "at_once": run.at_once,
        "estimate": round(run.estimate, 1),
        "took": round(run.took, 1),
        "passed": judgement.passed,
        "parity": {"same": same, "compared": compared},
        "scenarios": list(run.scenarios),
        "statuses": {
            status.name.lower(): {"word": status.word, "sign": status.sign, "fine": status.fine}
            for status in Status
        },
        "cells": [_cell(cell, run, judgement) for cell in run.cells],
        "squares": [one.document() for one in judgement.squares],
        "stale": [asdict(one) for one in judgement.stale],
    }


def _cell(cell: Cell, run: Run, judgement: Judgement) -> dict[str, Any]:
    same, compared = judgement.parity(cell.name)
    return {
        **cell.facts(),
        "title": cell.describe(),
        "machine": run.machines.get(cell.name, Machine(cell.name)).document(),
        "parity": {"same": same, "compared": compared},
        "note": judgement.notes.get(cell.name, ""),
    }
