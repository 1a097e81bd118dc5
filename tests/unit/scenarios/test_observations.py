from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.harness.observations import Observations, differences, normalised


def record(engine: str, **facts: object) -> Observations:
    observations = Observations(engine, "28.5.2+dfsg4", "6.18.1", "v2", "sha256:" + "ab" * 32)
    for name, value in facts.items():
        observations.add("one", name, value)
    return observations


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("id " + "0f" * 32, "id <id>"),
        ("name 0123456789ab!", "name <short-id>!"),
        ("at 2026-11-24T13:00:00.123456789Z", "at <time>"),
        ("mac 02:42:ac:11:00:02", "mac <mac>"),
        ({"b": 1, "a": {"y", "x"}}, {"a": ["x", "y"], "b": 1}),
        (("x", None, True), ["x", None, True]),
    ],
)
def test_what_changes_from_run_to_run_is_replaced(value: object, expected: object) -> None:
    assert normalised(value) == expected


def test_what_has_no_form_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes can not be observed"):
        normalised(b"x")


@given(st.recursive(st.none() | st.booleans() | st.text(), st.lists))
def test_normalising_twice_changes_nothing_more(value: object) -> None:
    assert normalised(normalised(value)) == normalised(value)


def test_equal_runs_do_not_differ() -> None:
    assert list(differences(record("docker", a=1), record("lading", a=1))) == []


def test_a_difference_names_what_both_have() -> None:
    (one, other) = differences(record("docker", a=1, b=2), record("lading", a=3))
    assert (one.name, one.reference, one.subject) == ("a", 1, 3)
    assert (other.name, other.reference, other.subject) == ("b", 2, "<none>")
    assert "the reference has 1, the subject 3" in str(one)


def test_scenarios_that_one_did_not_run_are_not_compared() -> None:
    subject = Observations("lading")
    subject.add("another", "a", 1)
    assert list(differences(record("docker", a=1), subject)) == []


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    observations = record("docker", a=[1, "x"])
    observations.save(tmp_path / "deep" / "record.json")
    assert Observations.load(tmp_path / "deep" / "record.json") == observations
