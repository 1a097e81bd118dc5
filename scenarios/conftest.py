"""Fixtures and options of the scenarios: which engines, what is recorded, what is left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from lab.engine import Engine
from lab.external import External
from lab.lading import Lading
from lab.owndocker import OWN, OwnDocker
from lab.paths import RESULTS
from lab.podman import Podman
from lab.reference import NEWEST, Reference
from lab.shell import PATIENCE, LabError
from lab.slots import claim
from scenarios.harness.building import Builder
from scenarios.harness.facts import cgroup_mode
from scenarios.harness.observations import Observations, differences
from scenarios.harness.outcomes import Outcomes, scenario_of
from scenarios.harness.parity import RECORDS, NoRecord, compare, place, recorded_for
from scenarios.harness.subject import BUSYBOX, Subject

Observe = Callable[[str, object], None]
_LIMIT = round(90 * PATIENCE)
_RECORDS: pytest.StashKey[dict[str, Observations]] = pytest.StashKey()
_OUTCOMES = pytest.StashKey[Outcomes]()
_VERDICT = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("scenarios")
    group.addoption(
        "--engine",
        default="lading",
        help="the engine to test: lading, docker, podman, or both, which compares Lading with "
        "Docker (default: lading); docker,podman compares that",
    )
    group.addoption(
        "--engine-socket",
        help="test the engine that answers on this unix socket, whoever wrote it",
    )
    group.addoption(
        "--against",
        choices=["recorded", "nothing"],
        default="nothing",
        help="compare with what the reference showed when it was recorded",
    )
    group.addoption(
        "--record",
        action="store_true",
        help="keep what Docker shows as the reference (with --engine docker)",
    )
    group.addoption("--result", type=Path, help="write how each scenario ended here, as JSON")
    group.addoption("--cell", default="local", help="the cell of the lab that this machine is")
    group.addoption(
        "--docker-release", default=NEWEST, help=f"the reference's release (default: {NEWEST})"
    )


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    """Clean up when asked to end, as with an interrupt from the keyboard."""
    raise KeyboardInterrupt


def pytest_configure(config: pytest.Config) -> None:
    signal.signal(signal.SIGTERM, _terminated)
    records: dict[str, Observations] = {}
    config.stash[_RECORDS] = records
    others = _names(config)[:-1]
    config.stash[_OUTCOMES] = Outcomes(config.getoption("--result"), records, others)
    config.pluginmanager.register(config.stash[_OUTCOMES], "lading-outcomes")
    if config.getoption("--record") and config.getoption("--engine") != "docker":
        raise pytest.UsageError("--record keeps what Docker shows: it goes with --engine docker")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine_name" in metafunc.fixturenames:
        metafunc.parametrize("engine_name", _names(metafunc.config), scope="session")


def _names(config: pytest.Config) -> list[str]:
    if config.getoption("--engine-socket"):
        return ["external"]
    chosen: str = config.getoption("--engine")
    names = ("docker,lading" if chosen == "both" else chosen).split(",")
    if not set(names) <= {"docker", "lading", "podman"}:
        raise pytest.UsageError(f"--engine={chosen}: it takes lading, docker, podman or both")
    return names


def _engine(name: str, config: pytest.Config) -> Engine:
    if name == "external":
        return External(Path(config.getoption("--engine-socket")))
    if name == "docker":
        kind = OwnDocker if OWN in os.environ else Reference
        return kind(config.getoption("--docker-release"), claim("scn"))
    if name == "podman":
        return Podman(claim("scn"))
    return Lading(claim("scn"))


@contextmanager
def _limited(what: str) -> Iterator[None]:
    """Let an engine that does not answer fail one scenario, and not stop them all."""

    def over(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"{what} took more than {_LIMIT} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(_LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with _limited(f"the scenario {item.name}"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """An older release of Docker beside another engine may fail what the newest does."""
    report = yield
    names, release = _names(item.config), item.config.getoption("--docker-release")
    case = item.nodeid.partition("[")[2]
    if (
        len(names) > 1
        and release != NEWEST
        and report.failed
        and call.when == "call"
        and case.startswith(("docker-", "docker]"))
    ):
        item.config.stash[_RECORDS]["docker"].outcomes[scenario_of(item.nodeid)] = "failed"
        path, line, _name = item.location
        report.outcome = "skipped"
        report.longrepr = (path, (line or 0) + 1, f"Skipped: Docker {release} does not do this")
    return report


@pytest.fixture(scope="session")
def running_engine(engine_name: str, pytestconfig: pytest.Config) -> Iterator[Subject]:
    """An engine that is up for the whole session, with busybox in it."""
    engine = _engine(engine_name, pytestconfig)
    try:
        # What a run that was killed left under this name is no engine to test.
        engine.down()
        engine.up()
        subject = Subject(engine)
        subject.load_base_images()
        record = Observations(
            engine_name,
            subject.client.version()["Version"],
            os.uname().release,
            cgroup_mode(),
            subject.client.images.get(BUSYBOX).id,
        )
        pytestconfig.stash[_RECORDS][engine_name] = record
        yield subject
    finally:
        engine.down()


@pytest.fixture
def engine(running_engine: Subject) -> Iterator[Subject]:
    """The engine, empty but for the base image, and checked for what a scenario left behind."""
    yield running_engine
    with _limited("the removal of what the scenario made"):
        running_engine.sweep()
        try:
            running_engine.expect_nothing_left()
        except LabError:
            pytest.fail(f"left on the host: {running_engine.leftovers()}", pytrace=False)


@pytest.fixture
def builder(engine: Subject) -> Builder:
    """Builds on the engine."""
    return Builder(engine)


@pytest.fixture
def observe(request: pytest.FixtureRequest, engine: Subject) -> Observe:
    """Record a fact, to be compared with what the reference shows in the same scenario."""
    record = request.config.stash[_RECORDS][engine.name]
    scenario = scenario_of(request.node.nodeid)

    def add(name: str, value: object) -> None:
        record.add(scenario, name, value)

    return add


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    records = config.stash[_RECORDS]
    for record in records.values():
        record.save(RESULTS / "observations" / f"{record.engine}.json")
    try:
        lines, passed = _verdict(session, records)
    except (NoRecord, ValueError) as error:
        lines, passed = [str(error)], False
    config.stash[_VERDICT] = lines
    if not passed and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _verdict(session: pytest.Session, records: dict[str, Observations]) -> tuple[list[str], bool]:
    """What there is to say about parity, and whether it is good. Raises NoRecord, ValueError."""
    config = session.config
    if config.getoption("--record"):
        record = records["docker"]
        record.outcomes = config.stash[_OUTCOMES].not_passed()
        # Scenarios are written for the newest release: an older one may fail some, and that counts.
        allowed = {pytest.ExitCode.OK}
        if config.getoption("--docker-release") != NEWEST:
            allowed.add(pytest.ExitCode.TESTS_FAILED)
        if session.exitstatus not in allowed or "error" in record.outcomes.values():
            return ["nothing was recorded: record when every scenario passes"], False
        session.exitstatus = pytest.ExitCode.OK
        return _recorded(record), True
    subjects = [record for name, record in records.items() if name != "docker"]
    if not subjects:
        return [], True
    if "docker" in records:
        reference = records["docker"]
    elif config.getoption("--against") == "recorded":
        reference = recorded_for(subjects[0], config.getoption("--docker-release"))
    else:
        return [], True
    verdict = compare(reference, subjects[0], config.getoption("--cell"))
    return verdict.lines(), verdict.passed


def _recorded(record: Observations) -> list[str]:
    path = place(record)
    lines = []
    if path.exists():
        before = Observations.load(path)
        lines = [f"changed: {one}" for one in differences(before, record)]
    record.save(path)
    shown = path.relative_to(RECORDS.parent.parent)
    lines += [f"recorded as {how}: {name}" for name, how in sorted(record.outcomes.items())]
    return [*lines, f"recorded {len(record.known())} scenarios in {shown}"]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    lines = config.stash.get(_VERDICT, [])
    if lines:
        terminalreporter.section("parity")
        for line in lines:
            terminalreporter.line(line)
