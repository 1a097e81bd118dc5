"""The matrix on Vagrant's machines: one for each cell, put back as it was for every scenario."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from lab.cells import Cell
from lab.machines import vagrant
from lab.machines.base import MachineError
from lab.machines.kept import keep_logs
from lab.machines.qemu import MEMORY, OVERHEAD
from lab.machines.vagrant import VagrantMachine
from lab.machines.vagrantcli import PROVIDER, needed
from lab.matrix.lanes import kernel_findings, result_of
from lab.matrix.model import ERROR, FAILED, Machine, Result


class VagrantLane:
    """A lane of the matrix; see `lab.matrix.lanes.Lane`. One scenario runs at a time.

    The next cell's machine may be made before the last scenario of the one before has run.
    """

    name = "vagrant"
    memory = (MEMORY + OVERHEAD) << 20
    typical = (330.0, 25.0)
    most = 1

    def __init__(self) -> None:
        needed()
        self._lock = threading.Lock()
        self._machines: dict[str, VagrantMachine] = {}
        self._closed = False

    def missing(self, cell: Cell) -> str:
        """Why the cell can not be had."""
        return vagrant.missing(cell)

    def prepare(self, cell: Cell, engine: str) -> Machine:
        """Bring the cell's machine up with the engine, and save it. Raises LabError."""
        machine = self._ready(cell, engine)
        kernel = machine.parts.kernel
        return Machine(
            cell.name,
            how=f"Vagrant, {PROVIDER}, {machine.parts.accelerator.how}",
            kernel=machine.succeed("uname -r"),
            cgroups=cell.cgroups,
            config=kernel_findings(kernel.files["config"]),
        )

    def run(self, cell: Cell, scenario: str, engine: str) -> tuple[Result, Mapping[str, Any]]:
        """Run a scenario in the machine as it was saved. Raises LabError: the machine died."""
        started = time.monotonic()
        machine = self._ready(cell, engine)
        try:
            machine.put_back()
            document = machine.run_scenario(scenario)
        except MachineError as error:
            if self._closed:
                raise
            kept = keep_logs(machine, scenario, str(error))
            # The next scenario gets another one: what this one is like nobody knows.
            self.release(cell)
            raise MachineError(f"{error} (its log: {kept})") from None
        result = result_of(cell.name, scenario, document)
        if result.outcome in (FAILED, ERROR):
            result.kept = str(keep_logs(machine, scenario, result.complaint))
        result.took = time.monotonic() - started
        return result, document

    def _ready(self, cell: Cell, engine: str) -> VagrantMachine:
        machine = self._machines.get(cell.name)
        if machine is None:
            try:
                machine = VagrantMachine(cell, engine, self._watch)
                machine.warm()
                machine.save()
            except BaseException:
                self.release(cell)
                raise
        return machine

    def _watch(self, machine: VagrantMachine) -> None:
        """Know a machine that is being made, to end it when all end."""
        with self._lock:
            if self._closed:
                raise MachineError("the lab is closing")
            self._machines[machine.cell.name] = machine

    def release(self, cell: Cell) -> None:
        """Destroy the cell's machine."""
        with self._lock:
            machine = self._machines.pop(cell.name, None)
        if machine:
            machine.close()

    def close(self) -> None:
        """End what is under way, and destroy the machines."""
        with self._lock:
            self._closed = True
            machines = list(self._machines.values())
            self._machines.clear()
        for machine in machines:
            machine.cut()
        for machine in machines:
            machine.close()
