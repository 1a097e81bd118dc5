from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scenarios.harness import parity
from scenarios.harness.divergences import Divergence, judge, load
from scenarios.harness.observations import Difference, Observations

DIFFERENCE = Difference("volumes/test_x.py::test_one", "mode", "rw", "ro")


def divergence(**fields: Any) -> Divergence:
    given: dict[str, Any] = {
        "scenario": "volumes/*",
        "fact": "mode",
        "reason": "why",
        "evidence": "where",
    }
    return Divergence("file.toml", **{**given, **fields})


def test_what_nobody_explains_fails() -> None:
    verdict = judge([DIFFERENCE], [], [DIFFERENCE.scenario])
    assert not verdict.passed
    assert verdict.unexplained == [DIFFERENCE]
    assert verdict.lines()[-1] == (
        "parity: 1 scenarios observed on both, 1 differences, 0 known ones"
    )


def test_a_known_difference_passes() -> None:
    verdict = judge([DIFFERENCE], [divergence()], [DIFFERENCE.scenario])
    assert verdict.passed
    assert verdict.explained == [DIFFERENCE]


def test_one_that_no_longer_differs_fails() -> None:
    verdict = judge([], [divergence()], [DIFFERENCE.scenario])
    assert not verdict.passed
    assert "no longer differs: scenarios/divergences/file.toml" in verdict.lines()


def test_one_whose_scenario_did_not_run_is_not_stale() -> None:
    assert judge([], [divergence()], ["networks/test_y.py::test_two"]).passed


def test_another_fact_of_the_same_scenario_is_not_explained() -> None:
    assert not judge([DIFFERENCE], [divergence(fact="size")], [DIFFERENCE.scenario]).passed


@pytest.mark.parametrize(
    ("scope", "applies"),
    [
        ({}, True),
        ({"docker": "28.*"}, True),
        ({"docker": "26.*"}, False),
        ({"kernel": "6.1*"}, True),
        ({"kernel": "5.*"}, False),
        ({"cgroups": "v1"}, False),
    ],
)
def test_a_divergence_has_a_scope(scope: dict[str, str], applies: bool) -> None:
    reference = Observations("docker", "28.5.2", "6.18.0", "v2")
    assert divergence(**scope).applies_to(reference) is applies


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('scenario = "a"\nfact = "b"\nreason = "c"', "has no evidence"),
        ('scenario = "a"\nfact = ""\nreason = "c"\nevidence = "d"', "has no fact"),
        ('scenario = "a"\nfact = "b"\nreason = "c"\nevidence = "d"\nx = 1', "has x, which is no"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ValueError, match=f"bad.toml {complaint}"):
        load(tmp_path)


def test_every_divergence_of_the_project_is_complete() -> None:
    assert all(one.reason.endswith(".") for one in load())


def test_a_record_is_found_by_what_it_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "RECORDS", tmp_path)
    reference = Observations("docker", "28.5.2+dfsg4", "6.18.1-x", "hybrid", "sha256:" + "ab" * 32)
    reference.save(parity.place(reference))
    subject = Observations("lading", "0.1", "6.18.9", "hybrid", reference.image)
    assert parity.recorded_for(subject, "28.5") == reference
    for other in (
        Observations("lading", "0.1", "6.12.0", "hybrid", reference.image),
        Observations("lading", "0.1", "6.18.1", "v2", reference.image),
        Observations("lading", "0.1", "6.18.1", "hybrid", "sha256:" + "cd" * 32),
    ):
        with pytest.raises(parity.NoRecord, match=r"invoke parity\.record"):
            parity.recorded_for(other, "28.5")
    with pytest.raises(parity.NoRecord):
        parity.recorded_for(subject, "26.1")
