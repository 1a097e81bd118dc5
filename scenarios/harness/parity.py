"""An engine's observations held against the reference's, of the same run or recorded."""

from __future__ import annotations

import re
from pathlib import Path

from scenarios.harness.divergences import Verdict, judge, load
from scenarios.harness.observations import Observations, differences

RECORDS = Path(__file__).resolve().parent.parent / "reference"
_VERSION = re.compile(r"\d+(\.\d+)*")


class NoRecord(LookupError):
    """The reference was never recorded for this kernel, image and cgroup mode."""


def place(record: Observations, version: str = "") -> Path:
    """Where a reference's observations are kept: by its version, and by what they depend on."""
    release = _number(version or record.version)
    kernel = ".".join(_number(record.kernel).split(".")[:2])
    image = record.image.removeprefix("sha256:")[:12]
    return RECORDS / f"docker-{release}" / f"linux-{kernel}-{record.cgroups}-{image}.json"


def recorded_for(subject: Observations, version: str) -> Observations:
    """What the reference of this version observed where the subject runs. Raises NoRecord."""
    candidates = sorted(RECORDS.glob(f"docker-{version}*"))
    if candidates:
        path = place(subject, candidates[-1].name.removeprefix("docker-"))
        if path.exists():
            return Observations.load(path)
    raise NoRecord(
        f"Docker {version} was not recorded on Linux {_number(subject.kernel)} with cgroups "
        f"{subject.cgroups} and this busybox: `invoke parity.record` does that"
    )


def compare(reference: Observations, subject: Observations, cell: str = "local") -> Verdict:
    """Judge the scenarios that both ran, in this cell of the lab.

    What the reference showed before it failed a scenario is no measure.
    """
    ran = (reference.scenarios.keys() & subject.scenarios.keys()) - reference.outcomes.keys()
    known = [one for one in load() if one.applies_to(reference, cell, subject.engine)]
    found = [one for one in differences(reference, subject) if one.scenario in ran]
    return judge(found, known, ran)


def _number(version: str) -> str:
    found = _VERSION.match(version)
    return found[0] if found else version
