"""Golden machines: a cell booted once with its engine up, saved, and cloned for every scenario."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from weakref import finalize

from lab.bake import kernels, project, roots
from lab.bake.roots import PROJECT_AT, SITE
from lab.bake.store import TOP, Baked, find, forget, locked, workshop
from lab.cells import Cell
from lab.files import held
from lab.machines.accelerator import Accelerator, choose
from lab.machines.base import MachineError
from lab.machines.channel import Asks, Channel, Gone, Late
from lab.machines.qemu import (
    MEMORY,
    Hardware,
    Process,
    build,
    command_line,
    launch,
    needed,
    new_disk,
)
from lab.owndocker import OWN
from lab.shell import LabError

FIRST = "isolation/test_namespaces.py::test_only_its_own_processes_are_seen"
"""The scenario that the runner warms up with."""

_VERSION = 4
"""Raised when the way a golden machine is made changes."""

TREE = f"{PROJECT_AT}/tree"
"""The checkout, in a machine."""

_BOOT, _RUNNER, _SAVE = 600, 900, 120
_PATIENCE = 5
"""Scenarios may take so many times longer where the machine is emulated."""

_NEED = (MEMORY << 20) * 2
_MADE_OF = ("root", "kernel", "project")

_NOTE = "golden.json"

# Nobody mounts cgroups where there is no systemd; an administrator who wants containers does, and
# starts engines in one of their own: in the topmost there is no swap to be limited.
_CGROUPS_BY_HAND = """
if ! grep -q /sys/fs/cgroup /proc/mounts; then
  mount -t cgroup2 none /sys/fs/cgroup
  sed 's/[^ ]*/+&/g' /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control
  mkdir -p /sys/fs/cgroup/engines
  echo $PPID > /sys/fs/cgroup/engines/cgroup.procs
fi
"""

Watch = Callable[[Process], None]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a cell's machines are made of."""

    cell: Cell
    root: Baked
    kernel: Baked
    project: Baked
    accelerator: Accelerator

    def hardware(self, place: Path, ram: Path, *, first: bool = False) -> Hardware:
        """A machine whose disk and console are in `place`."""
        return Hardware(
            kernel=self.kernel.files["vmlinux"],
            initrd=self.kernel.files["initrd"],
            images={
                "root": self.root.files["root"],
                "modules": self.kernel.files["modules"],
                "project": self.project.files["project"],
            },
            command_line=command_line(self.cell, first=first),
            accelerator=self.accelerator.name,
            disk=place / "disk.qcow2",
            ram=ram,
            shared=first,
            console=place / "console.log",
            flushes=not first,
        )


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Golden:
    """A saved machine: its memory, its state and its disk are in `directory`.

    As long as this object lives, nobody who makes a newer one removes it.
    """

    directory: Path
    parts: Parts
    engine: str

    def hold(self) -> Golden:
        """Keep it from being removed from now on. Raises OSError: it is not there."""
        descriptor = os.open(self.directory / _NOTE, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        finalize(self, os.close, descriptor)
        return self

    @property
    def ram(self) -> Path:
        """The machine's memory."""
        return self.directory / "ram"

    @property
    def state(self) -> Path:
        """The machine's other state."""
        return self.directory / "state"

    @property
    def disk(self) -> Path:
        """The machine's disk."""
        return self.directory / "disk.qcow2"


def missing(cell: Cell) -> str:
    """Which part of the cell is not baked, in one sentence; "" when all is there."""
    for recipe in (roots.recipe(cell), kernels.recipe(cell)):
        if find(recipe) is None:
            return (
                f"the {recipe.title} of the cell {cell.name} is not baked, or not whole: "
                f"`invoke lab.bake --cells {cell.name}`"
            )
    return ""


def parts(cell: Cell) -> Parts:
    """What the cell's machines are made of. Raises LabError: it is not baked."""
    if reason := missing(cell):
        raise LabError(reason)
    root, kernel = roots.bake(cell), kernels.bake(cell)
    return Parts(cell, root, kernel, project.bake(root), choose(kernel))


def golden(cell: Cell, engine: str, watch: Watch = lambda _process: None) -> Golden:
    """The cell's golden machine with this engine (lading, docker, or "" for none) up.

    It is made now unless it is there, which takes a minute or two under emulation; `watch` is
    given its process. Raises LabError.
    """
    needed()
    made_of = parts(cell)
    directory = TOP / "golden" / f"{cell.name}-{engine or 'bare'}-{_key(made_of, engine)}"
    found = Golden(directory, made_of, engine)
    with locked(f"golden-{cell.name}-{engine}"):
        if not (directory / _NOTE).exists():
            _make(found, watch)
            drop_older(directory, cell, engine)
        return found.hold()


def saved(directory: Path) -> Golden:
    """A golden machine as it was saved, whatever became of the code since.

    Raises LabError: it is not there any more, or something that it is made of is not.
    """
    try:
        note = json.loads((directory / _NOTE).read_text())
        made_of = Parts(
            cell=Cell(**note["cell"]),
            accelerator=Accelerator(**note["accelerator"]),
            **{name: _baked(note["made of"][name]) for name in _MADE_OF},
        )
        found = Golden(directory, made_of, note["engine"]).hold()
    except (OSError, ValueError, KeyError, TypeError):
        raise LabError(f"the golden machine {directory.name} is not there any more") from None
    for baked in (made_of.root, made_of.kernel, made_of.project):
        for path in baked.files.values():
            if not path.exists():
                raise LabError(f"{path}, which {directory.name} is made of, is not there any more")
    return found


def _baked(note: dict[str, Any]) -> Baked:
    files = {role: Path(path) for role, path in note["files"].items()}
    return Baked(files, note["digests"], note["facts"])


def _key(made_of: Parts, engine: str) -> str:
    digests = [made_of.root.digests, made_of.kernel.digests]
    inputs = [_VERSION, build(), made_of.accelerator.name, asdict(made_of.cell), digests, MEMORY]
    # A machine without an engine does not have to be the newest code's.
    if engine:
        inputs.append(made_of.project.digests)
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def _make(target: Golden, watch: Watch) -> None:
    cell = target.parts.cell
    with workshop(_NEED) as directory:
        place = directory / "machine"
        place.mkdir()
        new_disk(place / "disk.qcow2")
        process = launch(target.parts.hardware(place, place / "ram", first=True), place)
        try:
            watch(process)
            kernel = process.agent.hello(_BOOT)
            settle(process.agent, cell)
            if target.engine:
                start_runner(process.agent, target.parts, target.engine)
            _save(process, place / "state")
        except MachineError as error:
            raise MachineError(told(error, cell, place, process)) from None
        finally:
            process.kill()
        note_down(target, place, kernel)
        target.directory.parent.mkdir(exist_ok=True)
        place.rename(target.directory)


def note_down(golden: Golden, place: Path, kernel: str) -> None:
    """Write down what the machine in `place`, which runs this kernel's release, is made of."""
    note = {
        "kernel": kernel,
        "engine": golden.engine,
        "cell": asdict(golden.parts.cell),
        "accelerator": asdict(golden.parts.accelerator),
        "made of": {name: asdict(getattr(golden.parts, name)) for name in _MADE_OF},
    }
    (place / _NOTE).write_text(json.dumps(note, indent=1, default=str) + "\n")


def told(error: MachineError, cell: Cell, place: Path, process: Process) -> str:
    """Why a machine failed, in one sentence, with where its log is kept."""
    kept = TOP / "logs" / f"{cell.name}-console.log"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        shutil.copyfile(place / "console.log", kept)
    return f"the cell {cell.name}: {reason(error, place, process)} (its console: {kept})"


def reason(error: MachineError, place: Path, process: Process) -> str:
    """What became of a machine: what its console or QEMU says tells more than that it ended."""
    lines: list[str] = []
    with suppress(OSError):
        lines = (place / "console.log").read_text(errors="replace").splitlines()
    # A container that is out of its own memory is told in small letters, and is no reason.
    for mark in ("Kernel panic", "lading: initrd:", "No space left", "Out of memory:"):
        for line in lines:
            if mark in line:
                return f"{error}: {line[line.index(mark) :].strip()}"
    if isinstance(error, Gone) and process.complaint():
        return f"{error}: {process.complaint()}"
    if isinstance(error, Late):
        return f"{error}{_stopped(process)}"
    return str(error)


def _stopped(process: Process) -> str:
    """Why a machine that does not answer does not run, if it is QEMU that stopped it."""
    with suppress(MachineError):
        status = process.monitor.command("query-status")["status"]
        if status == "io-error":
            return ": its disk can not be written, most likely because this host's is full"
        if status != "running":
            return f": QEMU says that it is {status}"
    return ""


def settle(agent: Channel, cell: Cell) -> None:
    """Wait for the end of the boot, and give the machine what nobody gave it."""
    lines = ["ip link set eth0 up", "ip address add 10.0.2.15/24 dev eth0"]
    lines.append("ip route add default via 10.0.2.2")
    lines.append(booted(cell))
    agent.ask("run", 440, command="\n".join(lines), stdin="", seconds=420)


def booted(cell: Cell) -> str:
    """A line for sh that waits for the end of the boot, and does what is left to do after it."""
    if cell.init == "systemd":
        return "timeout 400 systemctl is-system-running --wait"
    return _CGROUPS_BY_HAND


def environment(made_of: Parts) -> list[str]:
    """The words before a command that let it run the project's Python in a machine."""
    patience = _PATIENCE if made_of.accelerator.name == "tcg" else 1
    return [
        "env", f"PYTHONPATH={TREE}:{TREE}/runtime:{SITE}", f"LADING_CACHE={PROJECT_AT}/cache",
        "LADING_RESULTS=/var/tmp/lading-results", f"{OWN}=yes", "PYTHONDONTWRITEBYTECODE=1",
        f"LADING_PATIENCE={patience}",
    ]  # fmt: skip


def start_runner(agent: Asks, made_of: Parts, engine: str) -> None:
    """Start the warm runner, which brings the engine up. Raises MachineError."""
    cell = made_of.cell
    command = [
        *environment(made_of), "/usr/bin/python3", "-m", "lab.agent.runner", FIRST,
        f"--engine={engine}", f"--docker-release={cell.engine}", f"--cell={cell.name}",
    ]  # fmt: skip
    answer = agent.ask("runner", _RUNNER + 30, command=command, cwd=TREE, seconds=_RUNNER)
    if problem := answer.get("problem"):
        log = TOP / "logs" / f"{cell.name}-runner.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(problem)
        lines = problem.strip().splitlines()
        found = [line.removeprefix("E").strip() for line in lines if line.startswith("E  ")]
        told_so = (found or lines)[-1]
        raise MachineError(f"{engine} and the scenarios do not start: {told_so} (see {log})")


def _save(process: Process, state: Path) -> None:
    agent, monitor = process.agent, process.monitor
    agent.ask("run", 60, command="sync", stdin="", seconds=50)
    monitor.command("stop")
    share_ignored(monitor.command)
    monitor.command("migrate", uri=f"exec:cat > {state}")
    monitor.migration(_SAVE)
    monitor.command("quit")
    if not process.wait(30):
        raise MachineError("QEMU did not end after the machine was saved")


def share_ignored(command: Callable[..., Any]) -> None:
    """Leave memory that is in a file out of what is moved, and let the rest go at full speed."""
    capability = {"capability": "x-ignore-shared", "state": True}
    command("migrate-set-capabilities", capabilities=[capability])
    command("migrate-set-parameters", **{"max-bandwidth": 1 << 40})


def drop_older(newest: Path, cell: Cell, engine: str) -> None:
    """Remove what nobody uses: this cell's older machines, and projects without a machine."""
    for path in newest.parent.glob(f"{cell.name}-{engine or 'bare'}-*"):
        if path != newest and len(path.name) == len(newest.name) and not held(path / _NOTE):
            shutil.rmtree(path, ignore_errors=True)
    notes = [path.read_text() for path in newest.parent.glob(f"*/{_NOTE}")]
    forget(project.KIND, lambda digest: any(digest in note for note in notes))
