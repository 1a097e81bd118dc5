"""Known differences from the reference: one TOML file each, with its scope, reason and evidence.

scenario = "volumes/test_binds.py::test_x"   # a pattern of fnmatch
fact     = "mountpoint"                      # a pattern too
reason   = "one sentence"
evidence = "what shows it, or where it is documented"
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from scenarios.harness.observations import Difference

DIRECTORY = Path(__file__).resolve().parent.parent / "divergences"
_FIELDS = ("scenario", "fact", "reason", "evidence")


@dataclass(frozen=True, slots=True)
class Divergence:
    """A difference that is meant, and why."""

    file: str
    scenario: str
    fact: str
    reason: str
    evidence: str

    def covers(self, difference: Difference) -> bool:
        """Whether this is the difference meant."""
        return fnmatchcase(difference.scenario, self.scenario) and fnmatchcase(
            difference.name, self.fact
        )


def load(directory: Path = DIRECTORY) -> list[Divergence]:
    """Every divergence in the directory. Raises ValueError: a field is missing or empty."""
    found: list[Divergence] = []
    for path in sorted(directory.glob("*.toml")):
        document = tomllib.loads(path.read_text())
        missing = [name for name in _FIELDS if not document.get(name)]
        if missing:
            raise ValueError(f"{path.name} has no {', '.join(missing)}")
        found.append(Divergence(path.name, **{name: document[name] for name in _FIELDS}))
    return found


@dataclass(frozen=True, slots=True)
class Verdict:
    """Differences nobody accounted for, and divergences that no difference shows any more."""

    unexplained: list[Difference]
    explained: list[Difference]
    stale: list[Divergence]


def judge(
    found: Iterable[Difference], known: list[Divergence], scenarios: Iterable[str]
) -> Verdict:
    """Sort differences by the divergences that explain them.

    A divergence is stale only if one of the `scenarios` that ran is in its scope.
    """
    differences = list(found)
    ran = list(scenarios)
    unexplained = [one for one in differences if not any(d.covers(one) for d in known)]
    explained = [one for one in differences if any(d.covers(one) for d in known)]
    stale = [
        divergence
        for divergence in known
        if any(fnmatchcase(name, divergence.scenario) for name in ran)
        and not any(divergence.covers(one) for one in differences)
    ]
    return Verdict(unexplained, explained, stale)
