"""Tasks about the lab's machines: what `invoke` runs, without invoke."""

from __future__ import annotations

import os
import select
import shutil
import sys
import termios
import time
import tty
from base64 import b64decode
from collections.abc import Iterable

from lab import tasks_vagrant
from lab.agent.frames import unpack
from lab.bake import kernels, roots
from lab.bake.main import bake
from lab.bake.store import TOP, forget_all, prune
from lab.cells import Cell, choose
from lab.kernels import proof
from lab.machines.drivers import driver
from lab.machines.golden import golden
from lab.machines.kept import PLACE, open_again
from lab.machines.machine import QemuMachine
from lab.shell import LabError

_ESCAPE = b"\x1d"
"""Ctrl-], as telnet has it: leaves a shell whose machine hangs."""


def baked(names: Iterable[str], releases: Iterable[str], *, refresh: bool) -> None:
    """Bake what the cells of these names and of these Debian releases need, all for none."""
    wanted = [name for name in releases if name]
    chosen = choose(names)
    if wanted:
        known = {cell.userland for cell in choose([])}
        if unknown := sorted(set(wanted) - known):
            raise LabError(
                f"no cell has Debian {', '.join(unknown)}: there are {', '.join(sorted(known))}"
            )
        chosen = [cell for cell in chosen if cell.userland in wanted]
    bake(chosen, refresh=refresh)


def proven(names: Iterable[str]) -> bool:
    """Try in a machine of each cell what `kernel.check` says of its kernel; whether that is so."""
    good = True
    for cell in choose(names):
        proofs = proof.prove(cell)
        print("\n".join(proof.lines(cell, proofs)), flush=True)
        good = good and all(one.right for one in proofs)
    return good


def one(name: str) -> Cell:
    """The cell of that name. Raises LabError: there is none, or no name was given."""
    if not name:
        raise LabError("which cell? `invoke lab.list` has their names")
    return choose([name])[0]


def up(name: str, engine: str) -> None:
    """Make a cell's golden machine, and say how long that and a clone of it take."""
    cell = one(name)
    started = time.monotonic()
    found = golden(cell, _engine(engine))
    made = time.monotonic() - started
    started = time.monotonic()
    machine = QemuMachine(found)
    try:
        release = machine.succeed("uname -r")
        took = time.monotonic() - started
    finally:
        machine.close()
    with_engine = f" with {engine} up" if _engine(engine) else ""
    print(f"{name} is ready{with_engine}: Linux {release}, {found.parts.accelerator.how}")
    print(f"made in {made:.1f} s; a clone gave its first command's result after {took:.2f} s")


def run(name: str, command: str, name_of_driver: str, engine: str) -> int:
    """Run a command in a fresh machine of a cell; its exit code."""
    machine = driver(name_of_driver).machine(one(name), _engine(engine))
    try:
        done = machine.run(command, seconds=600)
    finally:
        machine.close()
    sys.stdout.write(done.out)
    sys.stderr.write(done.err)
    return done.code


def shell(name: str, at: str, engine: str) -> None:
    """Open a shell in a fresh machine of a cell, or in one in which a scenario failed."""
    if not sys.stdin.isatty():
        raise LabError("a shell wants a terminal: `invoke lab.run CELL COMMAND` does without")
    cell = one(name)
    machine = open_again(name, at) if at else QemuMachine(golden(cell, _engine(engine)))
    try:
        size = shutil.get_terminal_size()
        machine.open_shell(size.lines, size.columns, os.environ.get("TERM", "linux"))
        print(f"{cell.describe()}; Ctrl-] leaves it, and the machine is thrown away.")
        _join(machine)
    finally:
        machine.close()


def clean(*, everything: bool) -> None:
    """Remove golden machines, failures and what no cell wants; with `everything` all there is."""
    tasks_vagrant.clean()
    shutil.rmtree(PLACE, ignore_errors=True)
    if everything:
        forget_all()
        return
    for name in ("golden", "running", "logs"):
        shutil.rmtree(TOP / name, ignore_errors=True)
    prune(recipe(cell) for cell in choose([]) for recipe in (roots.recipe, kernels.recipe))


def _engine(name: str) -> str:
    if name not in ("none", "lading", "docker"):
        raise LabError(f"--engine {name}: it takes none, lading or docker")
    return "" if name == "none" else name


def _join(machine: QemuMachine) -> None:
    """This terminal, joined to the machine's, until the shell ends."""
    line, keyboard = machine.shell_line, sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)

    def read(count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = line.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    try:
        tty.setraw(keyboard)
        while True:
            ready, _, _ = select.select([line, keyboard], [], [])
            if keyboard in ready:
                typed = os.read(keyboard, 4096)
                if not typed or _ESCAPE in typed:
                    return
                line.sendall(typed)
            if line in ready:
                message = unpack(read)
                if message.get("over"):
                    return
                os.write(sys.stdout.fileno(), b64decode(message["data"]))
    except EOFError:
        return
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
