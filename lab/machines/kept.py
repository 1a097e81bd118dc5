"""Machines in which a scenario failed: their logs, and the machine itself to be opened again."""

from __future__ import annotations

import json
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lab.bake.store import room
from lab.cells import choose
from lab.machines.base import Machine, MachineError
from lab.machines.golden import saved
from lab.machines.machine import QemuMachine
from lab.paths import RESULTS
from lab.shell import LabError

PLACE = RESULTS / "machines"
_STATES = 6
"""So many machines can be opened again; of older failures only the logs stay."""

_NEED = 2 << 30
_LOGS = {
    "kernel.log": "dmesg",
    "journal.log": "journalctl -b --no-pager 2> /dev/null || cat /var/log/syslog",
    "processes.log": "ps axwwf",
    "engine.log": "tail -n 400 /var/tmp/lading-results/logs/* /run/lading-reference/*/*.log",
    "runner.log": "tail -n 400 /var/log/lading-runner.log",
}


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a failed machine's logs are, and the command that opens it again."""

    directory: Path
    again: str


class Speaks(Machine, Protocol):
    """A machine whose console is kept in a file."""

    @property
    def console(self) -> Path:
        """What it wrote on its console."""
        ...


def keep_logs(machine: Speaks, scenario: str, complaint: str) -> Path:
    """Keep what a machine says; one that hangs or is dead keeps its console. Where it is kept."""
    name = f"{_slug(scenario)}-{time.strftime('%H%M%S')}"
    directory = PLACE / machine.cell.name / name
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "complaint.txt").write_text(f"{scenario}\n\n{complaint}\n")
    with suppress(OSError):
        shutil.copyfile(machine.console, directory / "console.log")
    with suppress(LabError):
        for file, command in _LOGS.items():
            (directory / file).write_text(machine.run(command, seconds=20).out)
    return directory


def keep(machine: QemuMachine, scenario: str, complaint: str) -> Kept:
    """Keep what a machine says, then the machine."""
    directory = keep_logs(machine, scenario, complaint)
    again = f"invoke lab.shell {machine.cell.name} --at {directory.name}"
    with open(directory / "complaint.txt", "a") as file:
        file.write(f"\n{again}\n")
    note: dict[str, Any] = {
        "cell": machine.cell.name,
        "golden": str(machine.golden.directory),
    }
    with suppress(LabError, OSError):
        room(directory, _NEED)
        machine.save(directory)
        (directory / "machine.json").write_text(json.dumps(note) + "\n")
    _drop_older_states()
    return Kept(directory, again)


def open_again(cell: str, name: str) -> QemuMachine:
    """The machine as it was when its scenario failed.

    Raises LabError: there is no such failure, or of its machine only the logs are left.
    """
    choose([cell])
    directory = PLACE / cell / Path(name).name
    if not directory.is_dir():
        known = sorted(path.name for path in (PLACE / cell).glob("*") if path.is_dir())
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise LabError(f"the cell {cell} has no failed machine {name}: {has}")
    try:
        note = json.loads((directory / "machine.json").read_text())
    except (OSError, ValueError):
        raise LabError(f"of the machine {name} only the logs are left: see {directory}") from None
    try:
        golden = saved(Path(note["golden"]))
    except LabError as error:
        raise LabError(f"the machine {name} can not be opened: {error}; see {directory}") from None
    try:
        return QemuMachine(golden, disk=directory / "disk.qcow2", state=directory / "state")
    except MachineError as error:
        raise LabError(f"the machine {name} can not be opened again: {error}") from None


def _slug(scenario: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", scenario.rpartition("::")[2].lower()).strip("-")[:60]


def _drop_older_states() -> None:
    states = sorted(PLACE.glob("*/*/state"), key=lambda path: path.stat().st_mtime, reverse=True)
    for state in states[_STATES:]:
        for name in ("state", "disk.qcow2", "machine.json"):
            (state.parent / name).unlink(missing_ok=True)
