"""What `kernel.check` says of a cell's kernel, held against what works on a machine of the cell."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lab.cells import Cell
from lab.kernels import config
from lab.kernels.check import check
from lab.machines.golden import golden
from lab.machines.machine import QemuMachine

_PROBE = Path(__file__).with_name("probe.py")
_THERE = "/run/lading-probe.py"


@dataclass(frozen=True, slots=True)
class Proof:
    """An option in a cell: what was said of it, and whether it works (None: can not be told)."""

    title: str
    said: bool
    works: bool | None

    @property
    def right(self) -> bool:
        """Whether what was said is so, as far as that can be told."""
        return self.works in (None, self.said)


def prove(cell: Cell) -> list[Proof]:
    """Try every option of the cell's kernel in a machine. Raises LabError."""
    machine = QemuMachine(golden(cell, ""))
    try:
        machine.copy_to(_PROBE, _THERE)
        works = json.loads(machine.succeed(f"python3 {_THERE}", seconds=300))
    finally:
        machine.close()
    findings = check(config.read(machine.golden.parts.kernel.files["config"]))
    return [Proof(finding.title, finding.fine, works[finding.title]) for finding in findings]


def lines(cell: Cell, proofs: list[Proof]) -> list[str]:
    """What a person should read about it: the figures, and what is wrong."""
    told = [one for one in proofs if one.works is not None]
    found = [
        f"  {one.title}: {'there' if one.said else 'missing'} by the configuration, and "
        f"{'works' if one.works else 'does not work'}"
        for one in proofs
        if not one.right
    ]
    right = sum(one.right for one in told)
    return [f"{cell.name}: {right} of {len(told)} options are as the check says", *found]
