"""How scenarios ended, as one JSON document: what a machine of the lab sends back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.files import write_whole
from scenarios.harness.observations import Observations, Value

_WORST = ("failed", "error", "skipped", "passed")


def scenario_of(node: str) -> str:
    """A scenario's name out of pytest's: `limits/test_limits.py::test_x`, whatever its case."""
    return node.partition("[")[0].removeprefix("scenarios/")


@dataclass(slots=True)
class Outcome:
    """A scenario's end, the worst of its cases; `duration` in seconds, with set-up and sweep.

    `failed` is the scenario's own complaint, `error` one of what is around it.
    """

    outcome: str = "passed"
    duration: float = 0.0
    complaint: str = ""


@dataclass(slots=True, eq=False)
class Outcomes:
    """A plugin that notes how scenarios end on the engine under test, the last of a session's.

    With a path it writes them when the session ends.
    """

    path: Path | None
    records: Mapping[str, Observations]
    others: Sequence[str] = ()
    scenarios: dict[str, Outcome] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take one phase of one case into account."""
        case = report.nodeid.partition("[")[2]
        if case.startswith(tuple(f"{other}{end}" for other in self.others for end in "-]")):
            return
        found = self.scenarios.setdefault(scenario_of(report.nodeid), Outcome())
        found.duration += report.duration
        ended = report.outcome
        word = "error" if ended == "failed" and report.when != "call" else ended
        if _WORST.index(word) < _WORST.index(found.outcome):
            found.outcome = word
        if ended != "passed":
            parts = [found.complaint, report.longreprtext, *(text for _, text in report.sections)]
            found.complaint = "\n".join(part for part in parts if part)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Write the document, whole or not at all."""
        if self.path is None:
            return
        write_whole(self.path, json.dumps(self.document(), indent=1, sort_keys=True) + "\n")

    def not_passed(self) -> dict[str, str]:
        """The scenarios that did not pass, each with how it ended."""
        return {
            name: one.outcome for name, one in self.scenarios.items() if one.outcome != "passed"
        }

    def document(self) -> dict[str, object]:
        """`{"engine", "version", "kernel", "cgroups", "image", "scenarios": {name: …}}`.

        Each scenario has `outcome`, `duration`, `complaint` and `observations`; of several
        engines that ran, the last is the one told about.
        """
        record = list(self.records.values())[-1] if self.records else Observations("none")
        return {
            "engine": record.engine,
            "version": record.version,
            "kernel": record.kernel,
            "cgroups": record.cgroups,
            "image": record.image,
            "scenarios": {
                name: self._entry(one, record.scenarios.get(name, {}))
                for name, one in sorted(self.scenarios.items())
            },
        }

    @staticmethod
    def _entry(one: Outcome, observations: Mapping[str, Value]) -> dict[str, object]:
        return {
            "outcome": one.outcome,
            "duration": round(one.duration, 3),
            "complaint": one.complaint,
            "observations": dict(observations),
        }
