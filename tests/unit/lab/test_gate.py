from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

from lab import gate
from lab.gate import Counts, Step
from lab.matrix import lanes
from lab.shell import LabError
from tests.unit.lab.fakelane import FakeLane

REPORT = """<testsuites><testsuite tests="7" failures="{failures}" errors="1" skipped="2"/>
</testsuites>"""


@pytest.fixture(autouse=True)
def _quiet_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "snapshot", lambda: {"mount": frozenset({"/"})})


def step(code: int, report: Path | None = None, text: str = "") -> Step:
    script = f"import sys, pathlib; {f'pathlib.Path({str(report)!r}).write_text({text!r});' if report else ''} sys.exit({code})"  # noqa: E501
    return Step(f"ends with {code}", [sys.executable, "-c", script], report)


def test_all_that_pass_pass(capfd: pytest.CaptureFixture[str]) -> None:
    assert gate.run([step(0), step(0)])
    assert capfd.readouterr().out.splitlines()[-1] == "2 passed, 0 failed, 0 skipped"


def test_one_that_fails_fails_all_and_the_others_run(capfd: pytest.CaptureFixture[str]) -> None:
    assert not gate.run([step(3), step(0)])
    lines = capfd.readouterr().out.splitlines()
    assert lines[-2:] == ["failed: ends with 3", "1 passed, 1 failed, 0 skipped"]


def test_tests_are_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.xml"
    assert not gate.run([step(1, report, REPORT.format(failures=1))])
    assert capfd.readouterr().out.splitlines()[-1] == "3 passed, 2 failed, 2 skipped"


def test_a_report_of_an_earlier_run_is_not_taken(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT.format(failures=0))
    assert not gate.run([Step("crashes", [sys.executable, "-c", "exit(2)"], report)])
    assert capfd.readouterr().out.splitlines()[-1] == "0 passed, 1 failed, 0 skipped"


@pytest.mark.parametrize("alone", [True, False])
def test_what_is_left_behind_fails_where_nobody_else_is(
    alone: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    others = frozenset() if alone else frozenset({"1 /x/ladingd"})
    before = {"mount": frozenset({"/"}), "process": others}
    states = itertools.chain(
        [before], itertools.repeat({**before, "mount": frozenset({"/", "/x"})})
    )
    monkeypatch.setattr(gate, "_PATIENCE", 0)
    monkeypatch.setattr(gate, "snapshot", lambda: next(states))
    assert gate.run([step(0)]) is not alone
    assert "mount left behind: /x" in capfd.readouterr().out


@pytest.mark.parametrize("broken", [{}, {"forky": "its root is not baked"}])
def test_emulated_cells_are_left_out_only_where_they_can_not_be(
    broken: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lanes, "LANES", {"qemu": lambda: FakeLane(broken=broken)})
    steps = gate.emulated()
    assert len(steps) == (0 if broken else 1)
    left_out = "The emulated cells trixie and forky are left out: its root is not baked"
    assert (left_out in capsys.readouterr().out) is bool(broken)


def test_the_gate_has_the_emulated_cells_unless_it_is_told_not_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lanes, "LANES", {"qemu": FakeLane})
    monkeypatch.delenv("LADING_EMULATED", raising=False)
    step = gate.everything()[-1]
    assert step.name == "emulated cells"
    assert {"--cells=trixie,forky", "--scenarios=smoke", "--within=4"} <= set(step.command)
    monkeypatch.setenv("LADING_EMULATED", "no")
    assert gate.everything()[-1].name == "scenarios"
    assert "are left out: LADING_EMULATED is no" in capsys.readouterr().out


def test_without_qemu_the_emulated_cells_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_qemu() -> FakeLane:
        raise LabError("qemu-system-x86_64 is not installed")

    monkeypatch.setattr(lanes, "LANES", {"qemu": no_qemu})
    assert gate.emulated() == []
    assert "left out: qemu-system-x86_64 is not installed" in capsys.readouterr().out


def test_the_suites_of_all_cells_are_counted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.xml"
    text = '<testsuites><testsuite tests="2" skipped="1"/><testsuite tests="3"/></testsuites>'
    assert gate.run([step(0, report, text)])
    assert capfd.readouterr().out.splitlines()[-1] == "4 passed, 0 failed, 1 skipped"


def test_counts_read_like_pytest_s() -> None:
    assert Counts(5, 1, 2).line() == "5 passed, 1 failed, 2 skipped"
