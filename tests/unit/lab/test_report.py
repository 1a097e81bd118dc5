from __future__ import annotations

import json
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lab.cells import choose
from lab.matrix.judge import Status, document, judge
from lab.matrix.model import Machine, Result, Run
from lab.report.build import build
from lab.report.junit import junit
from lab.report.markdown import percent, summary
from lab.report.page import page
from scenarios.harness.divergences import Divergence
from scenarios.harness.observations import Observations
from scenarios.harness.parity import place

IMAGE = "sha256:" + "ab" * 32
HOSTILE = "</script><img src=x onerror=alert(1)> \x00 & \ud7ff"
NAMES = [
    f"a/test_x.py::test_{word}" for word in ("same", "known", "apart", "fails", "alike", "new")
]
DIVERGENCE = Divergence("mode.toml", "a/*::test_known", "mode", "It is meant.", "shown by a test")
STALE = Divergence("gone.toml", "a/*::test_same", "mode", "It was meant.", "shown by a test")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Two cells: in one everything that can happen, the other could not be made ready."""
    monkeypatch.setattr("scenarios.harness.parity.RECORDS", tmp_path)
    reference = Observations("docker", "20.10.24", "6.1.9", "v2", IMAGE)
    for name in NAMES[:4]:
        reference.add(name, "mode", "rw\nother")
    reference.outcomes[NAMES[4]] = "failed"
    reference.save(place(reference))
    run = Run("fake", "lading", "2026-11-24T10:00:00", "c0de", choose(["bookworm", "v1"]), NAMES)
    run.took, run.estimate, run.at_once = 61.0, 65.0, 2
    config = [{"title": "overlayfs", "need": "required", "symbols": "CONFIG_OVERLAY_FS",
               "state": "missing", "cost": "no layers", "fine": False}]  # fmt: skip
    run.machines["bookworm"] = Machine(
        "bookworm", "pretended", "6.1.9-x", "v2", "lading", "0.1.0", IMAGE, 12.0, config
    )
    run.machines["v1"] = Machine("v1", problem=f"the mirror fails {HOSTILE}")
    for name, outcome, seen in zip(
        NAMES,
        ["passed", "passed", "passed", "failed", "failed", "passed"],
        ["rw\nother", "ro", HOSTILE, "", "", "x"],
        strict=True,
    ):
        run.results["bookworm", name] = Result(
            "bookworm", name, outcome, 1.0, 2.5, HOSTILE if outcome == "failed" else "",
            {"mode": seen}, "/kept/here" if outcome == "failed" else "",
        )  # fmt: skip
    for name in NAMES:
        run.results["v1", name] = Result("v1", name, "not run", complaint="the mirror fails")
    return run


@pytest.fixture
def made(run: Run) -> dict[str, Any]:
    return document(run, judge(run, [DIVERGENCE]))


def test_every_result_is_held_against_what_was_recorded(run: Run) -> None:
    judgement = judge(run, [DIVERGENCE])
    found = [one.status for one in judgement.squares if one.result.cell == "bookworm"]
    assert found == [
        Status.SAME, Status.KNOWN, Status.DIFFERS, Status.FAILED, Status.ALIKE, Status.ALONE,
    ]  # fmt: skip
    assert judgement.counts("v1") == {Status.NOT_RUN: 6}
    assert judgement.parity("bookworm") == (2, 5)
    assert judgement.parity() == (2, 5)
    assert not judgement.passed


def test_the_gate_opens_when_all_is_well_and_known(run: Run) -> None:
    run.cells, run.scenarios = run.cells[:1], [NAMES[0], NAMES[1], NAMES[4], NAMES[5]]
    assert judge(run, [DIVERGENCE]).passed
    assert not judge(run, []).passed


def test_a_divergence_that_matches_nowhere_closes_it(run: Run) -> None:
    run.cells, run.scenarios = run.cells[:1], NAMES[:2]
    judgement = judge(run, [DIVERGENCE, STALE])
    assert judgement.stale == [STALE]
    assert not judgement.passed
    text = summary(document(run, judgement))
    assert "`scenarios/divergences/gone.toml` matches no difference any more: remove it." in text


@pytest.mark.parametrize(
    "scope",
    [{"cells": ("v*",)}, {"engine": "podman"}, {"cgroups": "v1"}, {"docker": "28.*"}],
)
def test_a_divergence_of_elsewhere_neither_explains_nor_is_stale(
    scope: dict[str, Any], run: Run
) -> None:
    run.cells, run.scenarios = run.cells[:1], NAMES[:2]
    rule = Divergence("m.toml", "a/*", "mode", "It is meant.", "shown by a test", **scope)
    judgement = judge(run, [rule])
    assert [one.status for one in judgement.squares] == [Status.SAME, Status.DIFFERS]
    assert judgement.stale == []


def test_without_a_record_it_says_how_to_make_one(run: Run) -> None:
    run.machines["bookworm"].kernel = "5.10.1"
    made = document(run, judge(run, []))
    assert "was not recorded on Linux 5.10.1" in made["cells"][0]["note"]
    assert made["squares"][0]["status"] == "alone"
    assert "nothing compared" in summary(made)


def test_the_page_needs_nothing_else_and_lets_nothing_through(made: dict[str, Any]) -> None:
    text = page(made)
    found: list[tuple[str, dict[str, str | None]]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, dict(attrs)))

    Tags().feed(text)
    assert not any("src" in attributes or "href" in attributes for _tag, attributes in found)
    assert [tag for tag, _attributes in found if tag in ("img", "link", "iframe")] == []
    assert "@@" not in text
    squares = [attributes for tag, attributes in found if "data-square" in attributes]
    assert len(squares) == 12
    assert squares[2]["aria-label"] == "known on bookworm: known divergence"


def test_the_data_in_the_page_are_the_document(made: dict[str, Any]) -> None:
    data = page(made).partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(data) == json.loads(json.dumps(made))


def test_each_status_has_a_sign_of_its_own() -> None:
    signs = [status.sign for status in Status]
    assert len(set(signs)) == len(signs)


def test_junit_counts_what_is_not_well(made: dict[str, Any]) -> None:
    root = ElementTree.fromstring(junit(made).encode())
    suites = {suite.get("name"): suite for suite in root}
    assert (suites["bookworm"].get("tests"), suites["bookworm"].get("failures")) == ("6", "2")
    assert suites["v1"].get("errors") == "6"
    failure = suites["bookworm"].find("testcase[@name='test_fails']/failure")
    assert failure is not None
    assert failure.text is not None
    assert "The machine's logs: /kept/here" in failure.text


def test_the_summary_is_short_and_names_what_is_not_well(made: dict[str, Any]) -> None:
    lines = summary(made).splitlines()
    assert lines[0] == "## Lading's matrix: FAILED"
    assert any(
        line.startswith("| bookworm (bookworm on Linux 6.1) | Docker 20.10 |") for line in lines
    )
    apart = next(line for line in lines if "test_apart" in line)
    assert "mode: Docker has" in apart
    assert sum("**v1**" in line for line in lines) == 0, "a cell that is gone is told of once"


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 0, "nothing compared"), (3, 3, "100 %"), (9999, 10000, "99.9 %"), (1, 8, "12.5 %")],
)
def test_a_hundred_percent_is_all(part: int, whole: int, text: str) -> None:
    assert percent(part, whole) == text


def test_all_files_are_written(made: dict[str, Any], tmp_path: Path) -> None:
    made["squares"][0]["complaint"] = ""
    build(made, tmp_path / "deep")
    names = sorted(path.name for path in (tmp_path / "deep").iterdir())
    assert names == ["junit.xml", "matrix.json", "report.html", "summary.md"]


_BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def _rendered(path: Path, fragment: str, profile: Path) -> str:
    words = [
        str(_BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
        "--virtual-time-budget=5000", "--dump-dom", f"{path.as_uri()}#{fragment}",
    ]  # fmt: skip
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.skipif(_BROWSER is None, reason="no Chromium is installed")
def test_a_browser_shows_both_engines_and_their_difference(
    made: dict[str, Any], tmp_path: Path
) -> None:
    build(made, tmp_path)
    text = _rendered(tmp_path / "report.html", "square-2", tmp_path / "profile")
    details = text.partition("<aside")[2].partition("</aside>")[0]
    assert "a/test_x.py::test_apart" in details
    assert '<tr class="other">' in details
    assert "<del>rw</del>" in details
    assert "<ins>" in details
    assert "1 of 1" not in details
    assert "0 of 1 options are there" in details
    assert "with its machine 2.50 s" in details
    assert "onerror" in details
    assert "<img" not in details, "what an engine says is shown, not obeyed"
