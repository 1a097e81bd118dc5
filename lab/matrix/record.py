"""What Docker showed in the cells, kept in `scenarios/reference/` by what it depends on."""

from __future__ import annotations

from pathlib import Path

from lab.matrix.model import FAILED, PASSED, SKIPPED, Machine, Run
from scenarios.harness.observations import Observations, differences
from scenarios.harness.parity import RECORDS, place


def record(run: Run, directory: Path = RECORDS) -> list[str]:
    """Merge a run's observations into the records; a line for each record and each change.

    A scenario that Docker itself fails in a cell is recorded as that: there, Lading may, too.
    One that did not run for want of a machine leaves what was known.
    """
    lines: list[str] = []
    for cell in run.cells:
        machine = run.machines.get(cell.name)
        if machine is None or not machine.version:
            lines.append(f"{cell.name}: nothing ran, nothing is recorded")
            continue
        lines += _merge(run, machine, directory)
    return lines


def _merge(run: Run, machine: Machine, directory: Path) -> list[str]:
    fresh = Observations("docker", machine.version, machine.kernel, machine.cgroups, machine.image)
    for (cell, scenario), result in run.results.items():
        if cell != machine.cell or result.outcome not in (PASSED, FAILED, SKIPPED):
            continue
        fresh.scenarios[scenario] = result.observations
        if result.outcome != PASSED:
            fresh.outcomes[scenario] = result.outcome
    path = directory / place(fresh).relative_to(RECORDS)
    known = Observations.load(path) if path.exists() else Observations("docker")
    lines = [f"changed: {one}" for one in differences(known, fresh)]
    kept = {name: how for name, how in known.outcomes.items() if name not in fresh.scenarios}
    merged = Observations(
        "docker",
        fresh.version,
        fresh.kernel,
        fresh.cgroups,
        fresh.image,
        {**known.scenarios, **fresh.scenarios},
        {**kept, **fresh.outcomes},
    )
    merged.save(path)
    count, failed = len(fresh.scenarios), len(fresh.outcomes)
    lines.append(
        f"{machine.cell}: {count} scenarios recorded, {failed} of which Docker does not pass, "
        f"in {path.name}"
    )
    return lines
