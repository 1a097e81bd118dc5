"""The cells of the matrix, out of `cells.toml`: the kinds of machine that scenarios run on."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from lab.shell import LabError

FILE = Path(__file__).with_name("cells.toml")
LOCAL = "local"
"""The machine this runs on, as a cell: what it is like is found by looking."""

_CHOICES: Mapping[str, tuple[object, ...]] = {
    "cgroups": ("v2", "v1", "hybrid"),
    "init": ("systemd", "sysvinit"),
    "store": ("ext4", "xfs", "btrfs"),
    "firewall": ("nft", "legacy"),
    "lsm": ("apparmor", "selinux"),
    "userns": (True, False),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A kind of machine.

    `userland` is the Debian release of its files, `kernel` the kernel's first two numbers and
    `archive` the Debian release that has that kernel; `engine` is the Docker release to compare
    with, that of the userland; `userns` says whether users may make user namespaces.
    """

    name: str
    userland: str
    kernel: str
    archive: str
    engine: str
    cgroups: str
    init: str
    store: str
    firewall: str
    lsm: str
    userns: bool

    def describe(self) -> str:
        """What it is, in a line: the userland and the kernel, and what is unusual about it."""
        unusual = [
            word
            for word, usual in (
                (f"cgroups {self.cgroups}", self.cgroups == "v2"),
                (self.init, self.init == "systemd"),
                (self.store, self.store == "ext4"),
                (f"iptables {self.firewall}", self.firewall == "nft"),
                (self.lsm, self.lsm == "apparmor"),
                ("no user namespaces for users", self.userns),
            )
            if not usual
        ]
        return ", ".join([f"{self.userland} on Linux {self.kernel}", *unusual])

    def facts(self) -> dict[str, object]:
        """Its fields by name, for reports."""
        return asdict(self)


def load(path: Path = FILE) -> dict[str, Cell]:
    """Every cell by name, in the file's order.

    Raises LabError: a field is missing, unknown, or has a value it does not take.
    """
    document = tomllib.loads(path.read_text())
    return {
        name: _cell(path.name, name, {**document["defaults"], **own}, document["kernels"])
        for name, own in document["cells"].items()
    }


@cache
def cells() -> Mapping[str, Cell]:
    """The project's cells."""
    return load()


def choose(names: Iterable[str]) -> list[Cell]:
    """The cells of these names, all when there are none.

    Raises LabError: there is no such cell.
    """
    known, wanted = cells(), [name for name in names if name]
    for name in wanted:
        if name not in known:
            raise LabError(f"there is no cell {name}: choose among {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(wanted)] or list(known.values())


def _cell(file: str, name: str, given: dict[str, Any], kernels: Mapping[str, str]) -> Cell:
    wanted = {field.name for field in fields(Cell)} - {"name", "archive"}
    if missing := sorted(wanted - given.keys()):
        raise LabError(f"{file}: the cell {name} has no {', '.join(missing)}")
    if unknown := sorted(given.keys() - wanted):
        raise LabError(f"{file}: the cell {name} has {', '.join(unknown)}, which is no field")
    for key, choices in _CHOICES.items():
        if given[key] not in choices:
            allowed = ", ".join(str(choice) for choice in choices)
            raise LabError(f"{file}: the cell {name} has {key} = {given[key]}; it takes {allowed}")
    if given["kernel"] not in kernels:
        raise LabError(f"{file}: [kernels] does not say where Linux {given['kernel']} is found")
    return Cell(name=name, archive=kernels[given["kernel"]], **given)


def as_json() -> str:
    """Every cell with its fields and description, for programs such as the Vagrantfile."""
    described = [{**cell.facts(), "description": cell.describe()} for cell in cells().values()]
    return json.dumps(described, indent=1)


if __name__ == "__main__":
    try:
        print(as_json())
    except LabError as error:
        sys.exit(str(error))
