"""Tasks about Vagrant: its boxes, and the machines that stay up until they are destroyed."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Iterable

from rich.console import Console

from lab.bake import kernels
from lab.box import BOXES, pack
from lab.cells import choose
from lab.machines import libvirt, vagrant
from lab.machines.accelerator import choose as choose_accelerator
from lab.machines.base import MachineError
from lab.machines.vagrantcli import PROVIDER, UP, Vagrant, needed
from lab.paths import PROJECT
from lab.shell import LabError


def box(names: Iterable[str], *, refresh: bool) -> None:
    """Pack the boxes of the cells of these names, all for none, and say where they are.

    What fails does not keep the others from being packed. Raises LabError that names what failed.
    """
    failures: list[str] = []
    console = Console()
    chosen = choose(names)
    for cell in chosen:
        started = time.monotonic()
        with console.status(cell.name) as status:
            try:
                packed = pack(
                    cell,
                    lambda line, name=cell.name: status.update(f"{name}: {line}"),  # type: ignore[misc]
                    refresh=refresh,
                )
                choose_accelerator(kernels.bake(cell))
            except LabError as error:
                failures.append(str(error))
                console.print(f"[red]failed[/]  {error}", highlight=False, soft_wrap=True)
                continue
        size = packed.files.files["box"].stat().st_size >> 20
        took = time.monotonic() - started
        line = f"{packed.name} {packed.version}, {size} MiB ({took:.0f} s): {packed.catalog}"
        console.print(f"[green]packed[/]  {line}", highlight=False, soft_wrap=True)
    if failures:
        raise LabError(f"{len(failures)} of {len(chosen)} could not be packed; {failures[0]}")


def up(name: str) -> None:
    """Do what `vagrant up` does, with the box packed first and a libvirt to do it in."""
    needed()
    cell = choose([name])[0]
    if reason := vagrant.missing(cell):
        raise LabError(reason)
    if not vagrant.other_box(cell):
        pack(cell)
        choose_accelerator(kernels.bake(cell))
    started = time.monotonic()
    if PROVIDER == "libvirt":
        libvirt.up()
    tool = Vagrant(cell, {})
    try:
        tool.run("up", name, f"--provider={PROVIDER}", seconds=UP)
    except BaseException:
        libvirt.down()
        raise
    print(f"{name} is up after {time.monotonic() - started:.0f} s")
    print(f"  {shlex.join([*libvirt.enter(), 'vagrant', 'ssh', name])}")
    print(f"  {shlex.join([*libvirt.enter(), 'vagrant', 'destroy', '--force', name])}")


def clean() -> None:
    """Destroy what `up` and `vagrant up` left here, and remove the boxes. Raises LabError."""
    machines = PROJECT / ".vagrant" / "machines"
    for place in sorted(machines.glob("*/*/id")):
        name = place.parents[1].name
        try:
            Vagrant(choose([name])[0], {}).run("destroy", "--force", name)
        except MachineError as error:
            raise LabError(f"the machine {name} of Vagrant could not be removed: {error}") from None
    vagrant.clear_all()
    libvirt.down()
    shutil.rmtree(BOXES, ignore_errors=True)
