"""Known differences from the reference: one TOML file each, with its scope, reason and evidence.

scenario = "volumes/test_binds.py::test_x"   # a pattern of fnmatch
fact     = "mountpoint"                      # a pattern too
docker   = "28.*"                            # the reference's versions it is about (default: all)
kernel   = "6.1*"                            # the kernel releases (default: all)
cgroups  = "v2"                              # the cgroup modes (default: all)
cells    = ["sysvinit", "local"]             # the lab's cells, patterns (default: all)
engine   = "lading"                          # the engine that differs, a pattern (default: lading)
reason   = "one sentence"
evidence = "what shows it, or where it is documented"
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from scenarios.harness.observations import Difference, Observations

DIRECTORY = Path(__file__).resolve().parent.parent / "divergences"
_REQUIRED = ("scenario", "fact", "reason", "evidence")
_SCOPE = ("docker", "kernel", "cgroups", "cells", "engine")


@dataclass(frozen=True, slots=True)
class Divergence:
    """A difference that is meant, and why."""

    file: str
    scenario: str
    fact: str
    reason: str
    evidence: str
    docker: str = "*"
    kernel: str = "*"
    cgroups: str = "*"
    cells: tuple[str, ...] = ("*",)
    engine: str = "lading"

    def concerns(self, scenario: str) -> bool:
        """Whether this scenario can show it."""
        return fnmatchcase(scenario, self.scenario)

    def covers(self, difference: Difference) -> bool:
        """Whether this is the difference meant."""
        return self.concerns(difference.scenario) and fnmatchcase(difference.name, self.fact)

    def applies_to(
        self, reference: Observations, cell: str = "local", engine: str = "lading"
    ) -> bool:
        """Whether the reference's version, kernel and cgroup mode, and who differs are meant."""
        return (
            fnmatchcase(engine, self.engine)
            and any(fnmatchcase(cell, pattern) for pattern in self.cells)
            and fnmatchcase(reference.version, self.docker)
            and fnmatchcase(reference.kernel, self.kernel)
            and fnmatchcase(reference.cgroups, self.cgroups)
        )


def load(directory: Path = DIRECTORY) -> list[Divergence]:
    """Every divergence in the directory.

    Raises ValueError: a field is missing, empty or not known.
    """
    found: list[Divergence] = []
    for path in sorted(directory.glob("*.toml")):
        document = tomllib.loads(path.read_text())
        missing = [name for name in _REQUIRED if not document.get(name)]
        if missing:
            raise ValueError(f"{path.name} has no {', '.join(missing)}")
        unknown = sorted(document.keys() - {*_REQUIRED, *_SCOPE})
        if unknown:
            raise ValueError(f"{path.name} has {', '.join(unknown)}, which is no field of it")
        cells = document.pop("cells", ["*"])
        if not isinstance(cells, list):
            raise ValueError(f"{path.name} has cells that are no list of names")  # noqa: TRY004
        found.append(Divergence(path.name, cells=tuple(cells), **document))
    return found


@dataclass(frozen=True, slots=True)
class Verdict:
    """Differences nobody accounted for, and divergences that no difference shows any more."""

    scenarios: int
    unexplained: list[Difference]
    explained: list[Difference]
    stale: list[Divergence]

    @property
    def passed(self) -> bool:
        """Whether the gate opens."""
        return not self.unexplained and not self.stale

    def lines(self) -> list[str]:
        """What a person should read about it; the last line has the figures."""
        lines = [f"differs: {one}" for one in self.unexplained]
        lines += [f"no longer differs: scenarios/divergences/{one.file}" for one in self.stale]
        lines.append(
            f"parity: {self.scenarios} scenarios observed on both, "
            f"{len(self.unexplained)} differences, {len(self.explained)} known ones"
        )
        return lines


def judge(
    found: Iterable[Difference], known: Iterable[Divergence], scenarios: Iterable[str]
) -> Verdict:
    """Sort differences by the divergences that explain them.

    A divergence is stale only if one of the `scenarios` that ran is in its scope.
    """
    differences, divergences, ran = list(found), list(known), list(scenarios)
    explained = [one for one in differences if any(d.covers(one) for d in divergences)]
    stale = [
        divergence
        for divergence in divergences
        if any(divergence.concerns(name) for name in ran)
        and not any(divergence.covers(one) for one in differences)
    ]
    unexplained = [one for one in differences if one not in explained]
    return Verdict(len(ran), unexplained, explained, stale)
