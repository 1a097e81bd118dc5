"""Where jobs run: the seam between the matrix and the drivers of machines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from lab.cells import LOCAL, Cell, choose
from lab.kernels import config as kernel
from lab.kernels.check import check
from lab.matrix.model import ERROR, Machine, Result
from lab.paths import PROJECT, program
from lab.reference import NEWEST, tree_of
from lab.shell import LabError

_LIMIT = 300


class Lane(Protocol):
    """A kind of machine that can be made, used once and thrown away, from several threads.

    `memory` is what one machine takes of the host, in bytes; `typical` the seconds that a cell
    takes to be ready, and a scenario, as long as nothing was measured.
    """

    name: str
    memory: int
    typical: tuple[float, float]

    @property
    def most(self) -> int:
        """How many machines may run at once, 0 for as many as the host carries."""
        ...

    def missing(self, cell: Cell) -> str:
        """Why the cell can not be made ready within a minute or two here; "" when it can."""
        ...

    def prepare(self, cell: Cell, engine: str) -> Machine:
        """Make the cell ready for use with an engine. Raises LabError with one sentence."""
        ...

    def run(self, cell: Cell, scenario: str, engine: str) -> tuple[Result, Mapping[str, Any]]:
        """Run one scenario on a fresh machine; its result, and the document it came in.

        Raises LabError: the machine died, or did not answer.
        """
        ...

    def release(self, cell: Cell) -> None:
        """Drop what `prepare` made, as far as it is not worth keeping."""
        ...

    def close(self) -> None:
        """End every machine that runs, at once; may be called while others run."""
        ...


def result_of(cell: str, scenario: str, document: Mapping[str, Any]) -> Result:
    """A result out of what `pytest --result` wrote. Raises LabError: the scenario is not in it."""
    found = document.get("scenarios", {}).get(scenario)
    if found is None:
        raise LabError(f"there is no scenario {scenario}")
    return Result(
        cell,
        scenario,
        found["outcome"],
        duration=found["duration"],
        complaint=found["complaint"],
        observations=found["observations"],
    )


def host_cell(engine: str = NEWEST) -> Cell:
    """The machine this runs on, as a cell, to be compared with a release of Docker.

    Raises LabError: there is no such release.
    """
    tree_of(engine)
    # Asked for here: scenarios import the lab, and the lab them only where it runs them.
    from scenarios.harness.facts import cgroup_mode

    release = ".".join(os.uname().release.split(".")[:2])
    systemd = Path("/run/systemd/system").is_dir()
    return Cell(
        name=LOCAL if engine == NEWEST else f"{LOCAL}-{engine}",
        userland=_os_release().get("VERSION_CODENAME", "this host"),
        kernel=release,
        archive="",
        engine=engine,
        cgroups=cgroup_mode(),
        init="systemd" if systemd else "no systemd",
        store="this host's",
        firewall="nft",
        lsm=_lsm(),
        userns=True,
    )


def _os_release() -> dict[str, str]:
    pairs = [line.partition("=") for line in Path("/etc/os-release").read_text().splitlines()]
    return {name: value.strip('"') for name, _, value in pairs}


def _lsm() -> str:
    with suppress(OSError):
        enabled = Path("/sys/kernel/security/lsm").read_text().strip().split(",")
        return next((name for name in enabled if name in ("apparmor", "selinux")), "none")
    return "none"


def kernel_findings(path: Path | None = None) -> list[dict[str, Any]]:
    """What `kernel.check` finds in a configuration, or in the running kernel's; [] for none."""
    with suppress(kernel.NoConfig):
        return [asdict(one) for one in check(kernel.read(path) if path else kernel.running())]
    return []


class LocalLane:
    """This host: no machine is fresh, but the engine is, for every scenario."""

    name = "local"
    memory = 400 << 20
    typical = (0.5, 5.0)
    most = 2

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = {**os.environ, **(environment or {})}
        self._running: set[subprocess.Popen[str]] = set()

    def missing(self, _cell: Cell) -> str:
        """Nothing: it is here."""
        return ""

    def prepare(self, cell: Cell, _engine: str) -> Machine:
        """Say what this host is."""
        return Machine(
            cell.name,
            how="this host",
            kernel=os.uname().release,
            cgroups=cell.cgroups,
            config=kernel_findings(),
        )

    def run(self, cell: Cell, scenario: str, engine: str) -> tuple[Result, Mapping[str, Any]]:
        """Run pytest on the scenario in a process of its own."""
        with tempfile.TemporaryDirectory(prefix="lading-matrix-") as directory:
            path = Path(directory) / "result.json"
            words = [
                program("pytest"), f"scenarios/{scenario}", "-p", "no:cacheprovider", "--quiet",
                f"--engine={engine}", f"--docker-release={cell.engine}", f"--result={path}",
                f"--cell={cell.name}",
            ]  # fmt: skip
            started = time.monotonic()
            output = self._finished(words)
            try:
                document = json.loads(path.read_text())
                result = result_of(cell.name, scenario, document)
            except (OSError, ValueError):
                result = Result(cell.name, scenario, ERROR, complaint=output[-4000:])
                document = {}
            result.took = time.monotonic() - started
            result.again = f"invoke scenarios --engine={engine} --only=scenarios/{scenario}"
            return result, document

    def _finished(self, words: list[str]) -> str:
        """What a program wrote until it ended, or was ended after its time."""
        with subprocess.Popen(
            words,
            cwd=PROJECT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            self._running.add(process)
            try:
                return process.communicate(timeout=_LIMIT)[0]
            except subprocess.TimeoutExpired:
                process.terminate()
                return f"it took more than {_LIMIT} s\n{process.communicate()[0]}"
            finally:
                self._running.discard(process)

    def release(self, cell: Cell) -> None:
        """Do nothing: this host stays."""

    def close(self) -> None:
        """Ask the running scenarios to end; they clean up."""
        for process in list(self._running):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)


def _qemu() -> Lane:
    """Asked for late: most of what uses the matrix runs without machines."""
    from lab.machines.lane import QemuLane

    return QemuLane()


def _vagrant() -> Lane:
    """Asked for late, as the other."""
    from lab.machines.vagrantlane import VagrantLane

    return VagrantLane()


LANES: Mapping[str, Callable[[], Lane]] = {LOCAL: LocalLane, "qemu": _qemu, "vagrant": _vagrant}
"""The drivers that the matrix knows."""


def missing(driver: str, names: Iterable[str]) -> str:
    """Why these cells can not run at once with this driver, in one sentence; "" when they can."""
    if driver not in LANES:
        return f"there is no driver {driver}"
    try:
        lane = LANES[driver]()
    except LabError as error:
        return str(error)
    return next((reason for cell in choose(names) if (reason := lane.missing(cell))), "")
