from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.cells import Cell, choose
from lab.matrix import main, plan, smoke
from lab.matrix.durations import PREPARE, Durations, estimate
from lab.matrix.journal import Journal
from lab.matrix.main import Options, matrix
from lab.matrix.model import ERROR, NOT_RUN, PASSED, SKIPPED, Job, Machine, Result, Run
from lab.matrix.plan import Plan, clock, collect, describe, select, shard, within
from lab.matrix.run import Floor
from lab.shell import LabError
from tests.unit.lab.fakelane import FakeLane, passed

SCENARIOS = ["a/test_x.py::test_one", "a/test_x.py::test_two", "b/test_y.py::test_three"]


def jobs(*cells: str) -> list[Job]:
    return [Job(cell, name) for cell in choose(cells) for name in SCENARIOS]


def floor(lane: FakeLane, work: list[Job], at_once: int = 2) -> list[Machine | Result]:
    told: list[Machine | Result] = []
    Floor(lane, "lading", work, at_once, told.append).run()
    return told


def outcomes(told: list[Machine | Result]) -> dict[tuple[str, str], str]:
    return {one.key: one.outcome for one in told if isinstance(one, Result)}


def test_every_job_runs_once_and_no_more_at_once_than_said() -> None:
    lane = FakeLane()
    told = floor(lane, jobs("bookworm", "trixie"))
    assert sorted(lane.ran) == sorted(job.key for job in jobs("bookworm", "trixie"))
    assert lane.peak <= 2
    assert set(outcomes(told).values()) == {PASSED}
    assert sorted(lane.released) == ["bookworm", "trixie"]
    assert lane.closed == 1


def test_a_cell_that_can_not_be_made_ready_leaves_the_others_alone() -> None:
    told = floor(FakeLane(broken={"trixie": "the mirror fails"}), jobs("bookworm", "trixie"))
    results = {one.key: one for one in told if isinstance(one, Result)}
    assert {results["trixie", name].outcome for name in SCENARIOS} == {NOT_RUN}
    assert results["trixie", SCENARIOS[0]].complaint == "the mirror fails"
    assert {results["bookworm", name].outcome for name in SCENARIOS} == {PASSED}
    machines = [one for one in told if isinstance(one, Machine) and one.problem]
    assert [one.cell for one in machines] == ["trixie"]


def test_nothing_starts_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def ending(cell: str, scenario: str) -> Mapping[str, Any]:
        now[0] += 60
        return passed(cell, scenario)

    monkeypatch.setattr("lab.matrix.run.time", SimpleNamespace(monotonic=lambda: now[0]))
    lane, told = FakeLane(ending), list[Machine | Result]()
    Floor(lane, "lading", jobs("bookworm", "trixie"), 1, told.append, within=100).run()
    assert lane.ran == [("bookworm", name) for name in SCENARIOS[:2]]
    skipped = [one for one in told if isinstance(one, Result) and one.outcome == SKIPPED]
    assert {one.key for one in skipped} == {job.key for job in jobs("bookworm", "trixie")[2:]}
    assert {one.complaint for one in skipped} == {"left out: the time of the run was over"}


def test_what_is_not_ready_in_time_is_given_up() -> None:
    closing = threading.Event()

    class Slow(FakeLane):
        def prepare(self, cell: Cell, engine: str) -> Machine:
            if cell.name == "trixie":
                assert closing.wait(30)
                raise LabError("the lab is closing")
            return super().prepare(cell, engine)

        def close(self) -> None:
            super().close()
            closing.set()

    lane, told = Slow(), list[Machine | Result]()
    Floor(lane, "lading", jobs("bookworm", "trixie"), 2, told.append, within=0.2).run()
    ends = outcomes(told)
    assert {ends["trixie", name] for name in SCENARIOS} == {SKIPPED}
    assert [one.problem for one in told if isinstance(one, Machine) and one.cell == "trixie"] == [
        "left out: the time of the run was over"
    ]


def test_a_machine_that_dies_costs_its_own_scenario() -> None:
    def ending(cell: str, scenario: str) -> Mapping[str, Any]:
        if scenario.endswith("one"):
            raise LabError("the guest panicked")
        return passed(cell, scenario)

    found = outcomes(floor(FakeLane(ending), jobs("bookworm")))
    assert found["bookworm", SCENARIOS[0]] == ERROR
    assert found["bookworm", SCENARIOS[2]] == PASSED


def test_a_cell_whose_machines_all_die_is_given_up() -> None:
    def ending(_cell: str, _scenario: str) -> Mapping[str, Any]:
        raise LabError("no answer")

    cell = choose(["v1"])[0]
    told = floor(FakeLane(ending), [Job(cell, f"a/t.py::test_{n}") for n in range(9)], at_once=1)
    assert list(outcomes(told).values()) == [ERROR] * 3 + [NOT_RUN] * 6
    assert "3 machines in a row died; the last: no answer" in told[-1].complaint  # type: ignore[union-attr]


def test_what_fails_in_a_worker_is_raised_and_the_machines_end() -> None:
    def ending(_cell: str, _scenario: str) -> Mapping[str, Any]:
        raise ZeroDivisionError

    lane = FakeLane(ending)
    with pytest.raises(ZeroDivisionError):
        floor(lane, jobs("bookworm"))
    assert lane.closed == 1


def test_an_interrupt_ends_every_machine_and_tells_nothing_more() -> None:
    """The machine that runs ends by `close` alone, as a real one does."""
    gone = threading.Event()

    class Hanging(FakeLane):
        def run(self, cell: Cell, scenario: str, engine: str) -> tuple[Result, Mapping[str, Any]]:
            if scenario != SCENARIOS[0]:
                started.set()
                gone.wait(30)
                raise LabError("the machine was ended")
            return super().run(cell, scenario, engine)

        def close(self) -> None:
            super().close()
            gone.set()

    lane, started = Hanging(), threading.Event()
    told: list[Machine | Result] = []

    class Interrupted(threading.Thread):
        def join(self, timeout: float | None = None) -> None:
            if started.wait(30) and not gone.is_set():
                raise KeyboardInterrupt
            super().join(timeout)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "Thread", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            Floor(lane, "lading", jobs("bookworm"), 1, told.append).run()
    assert lane.closed >= 1
    assert outcomes(told) == {("bookworm", SCENARIOS[0]): PASSED}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("lab.matrix.durations.CACHE", tmp_path)
    monkeypatch.setattr(main, "RESULTS", tmp_path)
    monkeypatch.setattr(main, "collect", lambda: SCENARIOS)
    monkeypatch.setattr("scenarios.harness.parity.RECORDS", tmp_path / "records")
    return tmp_path


def test_an_interrupted_run_goes_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def ending(cell: str, scenario: str) -> Mapping[str, Any]:
        if scenario == SCENARIOS[2]:
            raise KeyboardInterrupt
        return passed(cell, scenario)

    options = Options(cells=["bookworm"], driver="fake", machines=1)
    with pytest.raises(KeyboardInterrupt):
        matrix(options, FakeLane(ending), place / "journal")
    again = FakeLane()
    assert matrix(options, again, place / "journal")
    assert again.ran == [("bookworm", SCENARIOS[2])]
    assert "Going on with the run of" in capsys.readouterr().out
    document = json.loads((place / "matrix" / "matrix.json").read_text())
    assert {one["scenario"] for one in document["squares"]} == set(SCENARIOS)
    third = FakeLane()
    matrix(options, third, place / "journal")
    assert len(third.ran) == 3, "a run that came to its end is not gone on with"


@pytest.mark.parametrize("change", ["fresh", "code", "cells"])
def test_another_run_does_not_go_on(
    change: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = FakeLane(lambda _cell, _name: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        matrix(Options(cells=["bookworm"], driver="fake"), lane, place / "journal")
    if change == "code":
        monkeypatch.setattr(main, "code_digest", lambda: "other")
    cells = ["trixie"] if change == "cells" else ["bookworm"]
    again = FakeLane()
    options = Options(cells=cells, driver="fake", fresh=change == "fresh")
    matrix(options, again, place / "journal")
    assert len(again.ran) == 3


def test_a_line_that_was_cut_off_does_not_count(tmp_path: Path) -> None:
    cell = choose(["v1"])[0]
    run = Run("fake", "lading", "now", "code", [cell], SCENARIOS)
    journal = Journal(tmp_path / "journal")
    journal.begin({"a": ("b",)}, run)
    journal.add(Result("v1", SCENARIOS[0], PASSED, took=2.0))
    journal.spent(7.5, finished=False)
    journal.close()
    with open(tmp_path / "journal", "a") as file:
        file.write('{"result": {"cell": "v1", "scen')
    again = Run("fake", "lading", "later", "code", [cell], SCENARIOS)
    journal = Journal(tmp_path / "journal")
    assert journal.resume({"a": ["b"]}, again)
    journal.add(Result("v1", SCENARIOS[1], PASSED))
    journal.close()
    assert list(again.results) == [("v1", SCENARIOS[0])]
    assert (again.started, again.took) == ("now", 7.5)
    lines = [json.loads(line) for line in (tmp_path / "journal").read_text().splitlines()]
    assert [next(iter(line)) for line in lines] == ["plan", "result", "spent", "result"]


def test_an_estimate_is_of_what_was_measured(tmp_path: Path) -> None:
    durations = Durations(tmp_path / "durations.json")
    work = jobs("bookworm", "trixie")
    assert estimate(durations, "fake/lading", work, (10.0, 2.0), 1) == 32.0
    run = Run("fake", "lading", "now", "code", choose(["bookworm", "trixie"]), SCENARIOS)
    run.machines["bookworm"] = Machine("bookworm", took=4.0)
    for name in SCENARIOS:
        run.results["bookworm", name] = Result("bookworm", name, PASSED, took=3.0)
    durations.learn(run)
    again = Durations(tmp_path / "durations.json")
    assert again.of("fake/lading", "trixie", PREPARE, 99.0) == 4.0
    assert again.of("fake/lading", "trixie", "a/new.py::test_new", 99.0) == 3.0
    assert again.of("qemu/lading", "trixie", SCENARIOS[0], 99.0) == 99.0
    assert estimate(again, "fake/lading", work, (10.0, 2.0), 1) == 26.0
    assert estimate(again, "fake/lading", work, (10.0, 2.0), 2) < 26.0
    assert estimate(again, "fake/lading", work, (10.0, 2.0), 1, ready=["bookworm"]) == 22.0


def test_what_two_runs_learn_at_once_is_kept(tmp_path: Path) -> None:
    both = [Durations(tmp_path / "durations.json") for _ in range(2)]
    for durations, cell, took in zip(both, ("bookworm", "trixie"), (4.0, 6.0), strict=True):
        run = Run("fake", "lading", "now", "code", choose([cell]), SCENARIOS)
        run.machines[cell] = Machine(cell, took=took)
        durations.learn(run)
    again = Durations(tmp_path / "durations.json")
    found = [again.of("fake/lading", cell, PREPARE, 99.0) for cell in ("bookworm", "trixie")]
    assert found == [4.0, 6.0]


def test_a_broken_file_of_durations_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "durations.json").write_text("{")
    assert Durations(tmp_path / "durations.json").of("x", "y", "z", 5.0) == 5.0


def test_the_plan_is_told_before_it_starts(tmp_path: Path) -> None:
    cells = choose(["bookworm", "v1"])
    planned = Plan("fake", "lading", cells, SCENARIOS, "code")
    durations = Durations(tmp_path / "none")
    lines, seconds = describe(planned, FakeLane(), durations, planned.jobs[1:], 2)
    assert lines[0].split()[:3] == ["bookworm", "2", "scenarios"]
    assert lines[-1] == (
        f"5 scenarios (1 done before) on lading, 2 fake machines at once: about {clock(seconds)}"
    )


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ([], [0, 1, 2]),
        (["a"], [0, 1]),
        (["scenarios/b/test_y.py"], [2]),
        (["test_two"], [1]),
        (["*one", "b"], [0, 2]),
    ],
)
def test_scenarios_are_selected(wanted: list[str], chosen: list[int]) -> None:
    assert select(SCENARIOS, wanted) == [SCENARIOS[number] for number in chosen]


def test_what_selects_nothing_is_told() -> None:
    with pytest.raises(LabError, match=r"no scenario is meant by c: `invoke lab\.list`"):
        select(SCENARIOS, ["a", "c"])


def test_shards_are_all_of_it_once() -> None:
    parts = [shard(SCENARIOS, f"{number}/2") for number in (1, 2)]
    assert sorted(parts[0] + parts[1]) == sorted(SCENARIOS)
    for bad in ("0/2", "3/2", "x", "1/"):
        with pytest.raises(LabError, match="such as 2/3"):
            shard(SCENARIOS, bad)


def test_a_limit_takes_from_each_folder_in_turn(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = choose(["bookworm"])
    assert within(14.5, FakeLane(), "lading", cells, SCENARIOS, 1) == [SCENARIOS[0], SCENARIOS[2]]
    assert "2 of 3 scenarios fit in 14 s" in capsys.readouterr().out
    assert within(3, FakeLane(), "lading", cells, SCENARIOS, 1) == SCENARIOS[:1]


def test_as_many_machines_as_the_host_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_available", lambda: 1000 << 20)
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {0, 1})
    lane = FakeLane()
    lane.memory = 300 << 20
    assert plan.at_once(lane) == 2
    lane.memory = 10 << 20
    assert plan.at_once(lane) == 4
    assert plan.at_once(lane, asked=3) == 3
    lane.memory = 2000 << 20
    with pytest.raises(LabError, match="a machine takes 2000 MiB, and 1000 MiB are free here"):
        plan.at_once(lane)


def test_the_project_s_scenarios_are_collected() -> None:
    found = plan.collect()
    assert "limits/test_limits.py::test_cpus_are_a_quota" in found
    assert len(found) == len(set(found)) > 60


@pytest.mark.parametrize(("seconds", "text"), [(12.4, "12 s"), (245, "4:05 min"), (4200, "1:10 h")])
def test_times_are_read_by_people(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_only_two_engines_run_in_the_matrix(place: Path) -> None:
    with pytest.raises(LabError, match="the matrix runs lading or docker"):
        matrix(Options(engine="podman"), FakeLane(), place / "journal")


def test_the_smoke_scenarios_exist_in_every_folder_but_the_builds() -> None:
    every = collect()
    chosen = select(every, ["smoke"])
    assert sorted(chosen) == sorted(smoke.SCENARIOS)
    folders = {name.partition("/")[0] for name in every} - {"build"}
    assert {name.partition("/")[0] for name in chosen} == folders
    assert select(every, ["smoke", "images"]) == [
        name for name in every if name in chosen or name.startswith("images/")
    ]
