"""Steps that must all pass, each a program: told as they go, counted at the end."""

from __future__ import annotations

import os
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lab.hoststate import Snapshot, left_behind, snapshot
from lab.paths import PROJECT, RESULTS, program
from lab.shell import LabError, wait_until

_PATIENCE = 10
EMULATED = ("trixie", "forky")
"""The emulated cells of the gate: cgroup v2 on Debian's stable kernel, and the newest one."""
_MINUTES = 4
"""What those may take, so that the whole gate stays within its time."""


@dataclass(frozen=True, slots=True)
class Step:
    """A program that passes by ending with 0; pytest's also tells how many tests there were."""

    name: str
    command: Sequence[str]
    report: Path | None = None


@dataclass(slots=True)
class Counts:
    """Tests by how they ended; a step without tests of its own counts as one."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    broken: list[str] = field(default_factory=list)

    def line(self) -> str:
        """As pytest closes: `5 passed, 0 failed, 1 skipped`."""
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def lint() -> list[Step]:
    """Style, formatting and the direction of imports."""
    return [
        Step("ruff check", [program("ruff"), "check", "."]),
        Step("ruff format", [program("ruff"), "format", "--check", "."]),
        Step("imports run one way", [program("lint-imports")]),
    ]


def types() -> list[Step]:
    """mypy, strict."""
    return [Step("types", [program("mypy")])]


def unit() -> list[Step]:
    """The unit tests with this environment's Python."""
    return [_pytest("unit tests", "tests")]


def scenarios(*options: str, where: str = "scenarios") -> list[Step]:
    """The scenarios in a folder or file, with the options of `scenarios/conftest.py`."""
    return [_pytest("scenarios", where, *options)]


def everything() -> list[Step]:
    """What gates a change."""
    return [*lint(), *types(), *unit(), *scenarios("--engine=both"), *emulated()]


def emulated() -> list[Step]:
    """The smoke scenarios in two emulated cells, as many as there is time for.

    Where they can not be had at once, for want of QEMU or of baked images, or where LADING_EMULATED
    is `no`, that is said, and nothing fails.
    """
    from lab.matrix.lanes import missing

    told_not_to = os.environ.get("LADING_EMULATED") == "no"
    reason = "LADING_EMULATED is no" if told_not_to else missing("qemu", EMULATED)
    if reason:
        print(f"The emulated cells {' and '.join(EMULATED)} are left out: {reason}")
        return []
    words = ["--driver=qemu", f"--cells={','.join(EMULATED)}", f"--within={_MINUTES}"]
    words += ["--scenarios=smoke", "--fresh"]
    report = RESULTS / "matrix" / "junit.xml"
    return [Step("emulated cells", [program("invoke"), "lab.matrix", *words], report)]


def _pytest(name: str, *words: str) -> Step:
    report = RESULTS / f"{name.replace(' ', '-')}.xml"
    return Step(name, [program("pytest"), *words, f"--junitxml={report}"], report)


def run(steps: Sequence[Step]) -> bool:
    """Run every step, whatever the ones before it did, and say how many tests passed.

    What the steps left on the host counts as a failure, unless other engines of the lab ran here
    already: what is theirs can not be told from what is ours then, and it is only shown.
    """
    counts, before = Counts(), snapshot()
    for step in steps:
        print(f"\n── {step.name}", flush=True)
        started = time.monotonic()
        if step.report:
            step.report.unlink(missing_ok=True)
        code = subprocess.run(step.command, cwd=PROJECT).returncode
        _count(step, code, counts)
        print(f"── {step.name}: {_verdict(code)} in {time.monotonic() - started:.0f} s", flush=True)
    traces = _traces(before)
    for trace in traces:
        print(trace)
    if traces and before.get("process"):
        print("(Others of the lab's engines run on this host: this may be theirs.)")
        traces = []
    counts.failed += len(traces)
    for name in counts.broken:
        print(f"failed: {name}")
    print(counts.line(), flush=True)
    return not counts.broken and not traces


def _traces(before: Snapshot) -> list[str]:
    """What is left, once what is just ending has had its time."""
    with suppress(LabError):
        wait_until(lambda: not left_behind(before, snapshot()), _PATIENCE, "a clean host")
    return left_behind(before, snapshot())


def _verdict(code: int) -> str:
    return "passed" if code == 0 else f"FAILED with {code}"


def _count(step: Step, code: int, counts: Counts) -> None:
    failed = 0
    if step.report and step.report.exists():
        for suite in ElementTree.parse(step.report).getroot().findall("testsuite"):
            bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped = int(suite.get("skipped", 0))
            failed += bad
            counts.skipped += skipped
            counts.failed += bad
            counts.passed += int(suite.get("tests", 0)) - bad - skipped
    elif code == 0:
        counts.passed += 1
    if code:
        counts.broken.append(step.name)
        counts.failed += 0 if failed else 1
