"""The gate closes when Lading behaves otherwise than what was recorded, on purpose here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lab.matrix import main
from lab.matrix.lanes import LocalLane
from lab.matrix.main import Options, matrix
from lab.paths import PROJECT
from lab.reference import NEWEST, tree_of
from lab.trees import ensure
from scenarios.harness import parity
from scenarios.harness.observations import Observations

SCENARIO = "lifecycle/test_exit.py::test_run_s_own_failures_are_125"
WORDS = "Minimum memory limit"


def copied(target: Path, replacement: str) -> dict[str, str]:
    """The environment in which programs run a copy of the runtime with other words in it."""
    shutil.copytree(PROJECT / "runtime" / "lading", target / "lading")
    changed = 0
    for path in (target / "lading").rglob("*.py"):
        text = path.read_text()
        if WORDS in text:
            path.write_text(text.replace(WORDS, replacement))
            changed += 1
    assert changed, f"no module of the runtime says {WORDS} any more"
    return {"PYTHONPATH": str(target)}


@pytest.mark.root
@pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="scenarios take Debian's docker")
def test_a_broken_behaviour_closes_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure(tree_of(NEWEST))
    monkeypatch.setattr(main, "RESULTS", tmp_path)
    monkeypatch.setattr(main, "collect", lambda: [SCENARIO])
    monkeypatch.setattr(parity, "RECORDS", tmp_path / "records")
    monkeypatch.setattr("lab.matrix.durations.CACHE", tmp_path)
    options = Options(scenarios=[SCENARIO], driver="local")

    def gate(environment: dict[str, str]) -> bool:
        lane = LocalLane({"LADING_RESULTS": str(tmp_path / "results"), **environment})
        return matrix(options, lane, tmp_path / "journal")

    def square() -> dict[str, object]:
        document = json.loads((tmp_path / "matrix" / "matrix.json").read_text())
        found: dict[str, object] = document["squares"][0]
        found["machine"] = document["cells"][0]["machine"]
        return found

    assert gate({}), "what is compared with nothing passes"
    good = square()
    machine = good["machine"]
    assert isinstance(machine, dict)
    record = Observations(
        "docker", f"{NEWEST}.0", machine["kernel"], machine["cgroups"], machine["image"],
        {SCENARIO: good["observations"]},  # type: ignore[dict-item]
    )  # fmt: skip
    record.save(parity.place(record))
    assert not gate(copied(tmp_path / "copy", "Smallest memory limit"))
    broken = square()
    assert (good["status"], broken["status"]) == ("alone", "differs")
    assert broken["outcome"] == "passed", "the scenario's own checks do not see it: parity does"
