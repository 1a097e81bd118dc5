"""`invoke lab.matrix`: plan, run or go on, judge, report."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from lab.cells import LOCAL, Cell, choose
from lab.matrix import judge as judging
from lab.matrix.durations import Durations
from lab.matrix.journal import Journal, default_path
from lab.matrix.lanes import LANES, Lane, host_cell
from lab.matrix.model import Machine, Result, Run
from lab.matrix.plan import (
    Plan,
    at_once,
    clock,
    code_digest,
    collect,
    describe,
    select,
    shard,
    within,
)
from lab.matrix.progress import shown
from lab.matrix.record import record
from lab.matrix.run import Floor
from lab.paths import RESULTS
from lab.reference import NEWEST
from lab.shell import LabError


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for; `cells` and `scenarios` mean all when empty, `machines` 0 as many as go.

    `engine` is what is tested: lading, or docker where the reference is recorded; `within` the
    seconds that the run may take, 0 for as many as it needs. On this host each of the `releases` of
    Docker to compare with makes a cell.
    """

    cells: Sequence[str] = ()
    scenarios: Sequence[str] = ()
    driver: str = LOCAL
    engine: str = "lading"
    machines: int = 0
    part: str = ""
    fresh: bool = False
    only_plan: bool = False
    within: float = 0.0
    releases: Sequence[str] = (NEWEST,)


def matrix(options: Options, lane: Lane | None = None, journal: Path | None = None) -> bool:
    """Run it; whether everything is as the reference has it.

    Raises LabError: what was asked for is not there, or nothing can run.
    """
    if options.engine not in ("lading", "docker"):
        raise LabError(f"--engine {options.engine}: the matrix runs lading or docker")
    cells = _cells(options)
    lane = lane or lane_of(options.driver)
    scenarios = shard(select(collect(), options.scenarios), options.part)
    machines, durations = at_once(lane, options.machines), Durations()
    if options.within:
        scenarios = within(options.within, lane, options.engine, cells, scenarios, machines)
    plan = Plan(lane.name, options.engine, cells, scenarios, code_digest())
    started = datetime.now(UTC).isoformat(timespec="seconds")
    run = Run(lane.name, options.engine, started, plan.code, cells, scenarios)
    kept = Journal(journal or default_path())
    if not options.fresh and not options.only_plan and kept.resume(plan.key, run):
        print(f"Going on with the run of {run.started} (--fresh starts anew).")
    before = set(run.results)
    todo = [job for job in plan.jobs if job.key not in before]
    run.at_once = machines
    lines, seconds = describe(plan, lane, durations, todo, run.at_once)
    print("\n".join(lines), flush=True)
    if options.only_plan:
        return True
    if not before:
        run.estimate = seconds
        kept.begin(plan.key, run)
    try:
        _work(run, lane, plan, kept, (seconds, options.within))
    finally:
        kept.close()
        durations.learn(run)
    print(f"Took {clock(run.took)}; the estimate was {clock(run.estimate)}.")
    return _finish(run)


def lane_of(driver: str) -> Lane:
    """The way to machines by its name. Raises LabError: there is none of that name, or not here."""
    make = LANES.get(driver)
    if make is None:
        raise LabError(f"there is no driver {driver}: choose among {', '.join(LANES)}")
    return make()


def _cells(options: Options) -> list[Cell]:
    if options.driver != LOCAL:
        return choose(options.cells)
    if any(name not in ("", LOCAL) for name in options.cells):
        raise LabError("the driver local has no cell but local, which is this host")
    return [host_cell(release) for release in options.releases]


def _work(run: Run, lane: Lane, plan: Plan, journal: Journal, limits: tuple[float, float]) -> None:
    todo = [job for job in plan.jobs if job.key not in run.results]
    started = time.monotonic()
    finished = False
    estimate, most = limits
    with shown(run.cells, todo, estimate) as show:

        def tell(entry: Machine | Result) -> None:
            journal.add(entry)
            if isinstance(entry, Machine):
                run.machines[entry.cell] = entry
            else:
                run.results[entry.key] = entry
            show.tell(entry)

        try:
            Floor(lane, run.engine, todo, run.at_once, tell, show.begin, most).run()
            finished = True
        finally:
            spent = time.monotonic() - started
            run.took += spent
            journal.spent(spent, finished=finished)
            if not finished:
                print("What has ended is kept: the same command goes on from there.", flush=True)


def _finish(run: Run) -> bool:
    """Judge, write the reports, and say where they are."""
    from lab.report.build import build
    from lab.report.markdown import summary

    if run.engine == "docker":
        print("\n".join(record(run)))
        return True
    judgement = judging.judge(run)
    document = judging.document(run, judgement)
    directory = RESULTS / "matrix"
    build(document, directory)
    print(summary(document))
    print(f"The report: {directory / 'report.html'} (`invoke report.open`)")
    return judgement.passed


def last_document() -> dict[str, object]:
    """The last matrix's document. Raises LabError: there was none."""
    path = RESULTS / "matrix" / "matrix.json"
    try:
        found: dict[str, object] = json.loads(path.read_text())
    except FileNotFoundError:
        raise LabError("there is no report yet: `invoke lab.matrix` makes one") from None
    return found
