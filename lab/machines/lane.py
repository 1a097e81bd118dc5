"""The matrix on emulated or virtual machines: a fresh clone for every scenario."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol

from lab.bake import kernels
from lab.bake.store import find
from lab.cells import Cell, choose
from lab.machines import accelerator
from lab.machines import golden as goldens
from lab.machines.base import MachineError
from lab.machines.kept import keep
from lab.machines.machine import QemuMachine
from lab.machines.qemu import MEMORY, OVERHEAD, needed
from lab.matrix.lanes import kernel_findings, result_of
from lab.matrix.model import ERROR, FAILED, Machine, Result


class _Ends(Protocol):
    """A machine or a QEMU, as far as the lane ends it from another thread."""

    def cut(self) -> None:
        """End at once; whoever waits for it is told that it ended."""


class QemuLane:
    """A lane of the matrix; see `lab.matrix.lanes.Lane`."""

    name = "qemu"
    memory = (MEMORY + OVERHEAD) << 20
    typical = (110.0, 8.0)

    def __init__(self) -> None:
        needed()
        self._lock = threading.Lock()
        self._running: set[_Ends] = set()
        self._goldens: dict[tuple[str, str], goldens.Golden] = {}
        self._closed = False

    @property
    def most(self) -> int:
        """As many machines as there are cores where they are emulated: each keeps one busy."""
        baked = next((one for cell in choose([]) if (one := find(kernels.recipe(cell)))), None)
        emulated = baked is not None and accelerator.choose(baked).name == "tcg"
        return len(os.sched_getaffinity(0)) if emulated else 0

    def missing(self, cell: Cell) -> str:
        """Which part of the cell is not baked."""
        return goldens.missing(cell)

    def prepare(self, cell: Cell, engine: str) -> Machine:
        """Make the cell's golden machine. Raises LabError."""
        found = self._golden(cell, engine)
        kernel = found.parts.kernel
        return Machine(
            cell.name,
            how=found.parts.accelerator.how,
            kernel=kernel.facts["release"],
            cgroups=cell.cgroups,
            config=kernel_findings(kernel.files["config"]),
        )

    def run(self, cell: Cell, scenario: str, engine: str) -> tuple[Result, Mapping[str, Any]]:
        """Run a scenario in a clone that is thrown away. Raises LabError: the machine died."""
        started = time.monotonic()
        machine = QemuMachine(self._golden(cell, engine))
        self._watch(machine)
        try:
            document = machine.run_scenario(scenario)
            result = result_of(cell.name, scenario, document)
            if result.outcome in (FAILED, ERROR):
                self._keep(machine, result)
        except MachineError as error:
            if self._closed:
                raise
            kept = keep(machine, scenario, str(error))
            raise MachineError(f"{error} (its log: {kept.directory})") from None
        finally:
            machine.close()
            with self._lock:
                self._running.discard(machine)
        result.took = time.monotonic() - started
        return result, document

    def _golden(self, cell: Cell, engine: str) -> goldens.Golden:
        """The cell's golden machine, which stays the same as long as this lane is used."""
        key = cell.name, engine
        if key not in self._goldens:
            made: list[_Ends] = []

            def watch(process: _Ends) -> None:
                made.append(process)
                self._watch(process)

            try:
                self._goldens[key] = goldens.golden(cell, engine, watch)
            finally:
                with self._lock:
                    self._running.difference_update(made)
        return self._goldens[key]

    @staticmethod
    def _keep(machine: QemuMachine, result: Result) -> None:
        kept = keep(machine, result.scenario, result.complaint)
        result.kept, result.again = str(kept.directory), kept.again

    def release(self, cell: Cell) -> None:
        """Do nothing: golden machines are worth keeping, and an older one goes with the next."""

    def close(self) -> None:
        """End every machine that runs, at once."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for one in running:
            one.cut()

    def _watch(self, one: _Ends) -> None:
        """Know a machine or a QEMU, to end it when all end."""
        with self._lock:
            self._running.add(one)
            closed = self._closed
        if closed:
            one.cut()
            raise MachineError("the lab is closing")
