"""Fixtures and options of the scenarios: which engines, what is recorded, what is left behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.engine import Engine
from lab.external import External
from lab.lading import Lading
from lab.paths import RESULTS
from lab.reference import NEWEST, Reference
from lab.slots import claim
from scenarios.harness.divergences import judge, load
from scenarios.harness.facts import unified
from scenarios.harness.observations import Observations, differences
from scenarios.harness.subject import Subject

Observe = Callable[[str, object], None]
_RECORDS = pytest.StashKey[dict[str, Observations]]()
_VERDICT = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("scenarios")
    group.addoption(
        "--engine",
        default="lading",
        help="the engine to test: lading, docker, or both, which compares them (default: lading)",
    )
    group.addoption(
        "--engine-socket",
        help="test the engine that answers on this unix socket, whoever wrote it",
    )
    group.addoption(
        "--docker-release", default=NEWEST, help=f"the reference's release (default: {NEWEST})"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_RECORDS] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine_name" in metafunc.fixturenames:
        metafunc.parametrize("engine_name", _names(metafunc.config), scope="session")


def _names(config: pytest.Config) -> list[str]:
    if config.getoption("--engine-socket"):
        return ["external"]
    chosen: str = config.getoption("--engine")
    names = {"both": ["docker", "lading"], "docker": ["docker"], "lading": ["lading"]}.get(chosen)
    if names is None:
        raise pytest.UsageError(f"--engine={chosen}: it takes lading, docker or both")
    return names


def _engine(name: str, config: pytest.Config) -> Engine:
    if name == "external":
        return External(Path(config.getoption("--engine-socket")))
    if name == "docker":
        return Reference(config.getoption("--docker-release"), claim("scn"))
    return Lading(claim("scn"))


@pytest.fixture(scope="session")
def running_engine(engine_name: str, pytestconfig: pytest.Config) -> Iterator[Subject]:
    """An engine that is up for the whole session, with busybox in it."""
    engine = _engine(engine_name, pytestconfig)
    try:
        engine.up()
        subject = Subject(engine)
        subject.load_base_images()
        record = Observations(
            engine_name,
            subject.client.version()["Version"],
            os.uname().release,
            "v2" if unified() else "v1",
        )
        pytestconfig.stash[_RECORDS][engine_name] = record
        yield subject
    finally:
        engine.down()


@pytest.fixture
def engine(running_engine: Subject) -> Iterator[Subject]:
    """The engine, empty but for the base image, and checked for what a scenario left behind."""
    yield running_engine
    running_engine.sweep()
    running_engine.wait_until(lambda: not running_engine.leftovers(), "a clean host")


@pytest.fixture
def observe(request: pytest.FixtureRequest, engine: Subject) -> Observe:
    """Record a fact, to be compared with what the reference shows in the same scenario."""
    record = request.config.stash[_RECORDS][engine.name]
    scenario = request.node.nodeid.partition("[")[0].removeprefix("scenarios/")

    def add(name: str, value: object) -> None:
        record.add(scenario, name, value)

    return add


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    records = session.config.stash[_RECORDS]
    for record in records.values():
        record.save(RESULTS / "observations" / f"{record.engine}.json")
    lines: list[str] = []
    if {"docker", "lading"} <= records.keys():
        reference, subject = records["docker"], records["lading"]
        ran = reference.scenarios.keys() & subject.scenarios.keys()
        verdict = judge(differences(reference, subject), load(), ran)
        lines += [f"differs: {one}" for one in verdict.unexplained]
        lines += [f"no longer differs: divergences/{one.file}" for one in verdict.stale]
        if lines and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        lines.append(
            f"parity: {len(ran)} scenarios observed on both, {len(verdict.unexplained)} "
            f"differences, {len(verdict.explained)} known ones"
        )
    session.config.stash[_VERDICT] = lines


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    lines = config.stash.get(_VERDICT, [])
    if lines:
        terminalreporter.section("parity")
        for line in lines:
            terminalreporter.line(line)
