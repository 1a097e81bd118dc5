"""The drivers of machines by name, for who wants a machine and not a matrix."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lab.cells import Cell
from lab.machines import golden as goldens
from lab.machines.base import Driver, Machine
from lab.machines.local import LocalMachine
from lab.machines.machine import QemuMachine
from lab.machines.qemu import needed
from lab.machines.vagrant import VagrantMachine
from lab.machines.vagrant import missing as not_for_vagrant
from lab.machines.vagrantcli import PROVIDER
from lab.machines.vagrantcli import needed as needed_by_vagrant
from lab.shell import LabError


class Local:
    """This host."""

    name = "local"
    how = "this host"

    def missing(self, _cell: Cell) -> str:
        """Nothing: it is here."""
        return ""

    def machine(self, cell: Cell, engine: str = "") -> Machine:
        """This host, whatever cell it is called."""
        return LocalMachine(engine or "lading", cell)


class Qemu:
    """QEMU, on KVM where that works. Making one raises LabError where it is not installed."""

    name = "qemu"

    def __init__(self) -> None:
        needed()
        self._how = "KVM or emulated"

    @property
    def how(self) -> str:
        """What runs the machines; known once there was one."""
        return self._how

    def missing(self, cell: Cell) -> str:
        """Which part of the cell is not baked."""
        return goldens.missing(cell)

    def machine(self, cell: Cell, engine: str = "") -> QemuMachine:
        """A clone of the cell's golden machine, which is made first if need be."""
        found = goldens.golden(cell, engine)
        self._how = found.parts.accelerator.how
        return QemuMachine(found)


class Vagrant:
    """Vagrant, with the box that `invoke lab.box` packs or with another."""

    name = "vagrant"
    how = f"Vagrant, {PROVIDER}"

    def __init__(self) -> None:
        needed_by_vagrant()

    def missing(self, cell: Cell) -> str:
        """Which part of the cell is not baked."""
        return not_for_vagrant(cell)

    def machine(self, cell: Cell, engine: str = "") -> VagrantMachine:
        """A machine that is made now, which takes minutes under emulation."""
        made = VagrantMachine(cell, engine)
        try:
            if engine:
                made.warm()
        except BaseException:
            made.close()
            raise
        return made


DRIVERS: Mapping[str, Callable[[], Driver]] = {
    "local": Local,
    "qemu": Qemu,
    "vagrant": Vagrant,
}


def driver(name: str) -> Driver:
    """The driver of that name. Raises LabError: there is none, or it does not work here."""
    if name not in DRIVERS:
        raise LabError(f"there is no driver {name}: choose among {', '.join(DRIVERS)}")
    return DRIVERS[name]()
