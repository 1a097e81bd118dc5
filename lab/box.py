"""Boxes for Vagrant: a cell's baked root and kernel, packed for vagrant-libvirt.

A box is a tar archive of `metadata.json`, `box.img` (qcow2), `Vagrantfile`, and the kernel and
initrd that the Vagrantfile names (vagrant-libvirt's box format, version 1). Beside it stands a
catalog, `box.json`, by which Vagrant finds it and knows its version.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from lab import boxfiles
from lab.bake import kernels, roots
from lab.bake.store import TOP, Baked, Recipe, find, keep, locked, workshop
from lab.cells import Cell
from lab.files import write_whole
from lab.machines.golden import missing
from lab.machines.qemu import MEMORY, command_line
from lab.paths import PROJECT
from lab.shell import LabError, require, run

BOXES = TOP / "boxes"
"""Catalogs, boxes, kernels and initrds, a directory for each cell."""

_VERSION = 1
"""Raised when the way a box is packed changes."""

_NEED = 3 << 30
_SMALLEST = 1 << 30

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Box:
    """A packed box: where it is, what Vagrant calls it, and what it has to itself."""

    cell: Cell
    files: Baked

    @property
    def name(self) -> str:
        """What Vagrant calls it."""
        return f"lading/{self.cell.name}"

    @property
    def version(self) -> str:
        """When it was packed, as a version."""
        return str(self.files.facts["version"])

    @property
    def catalog(self) -> Path:
        """What a Vagrantfile's `box_url` names."""
        return BOXES / self.cell.name / "box.json"


def recipe(cell: Cell) -> Recipe:
    """What the cell's box is made of. Raises LabError: its root or kernel is not baked."""
    if reason := missing(cell):
        raise LabError(reason)
    root, kernel = (find(one) for one in (roots.recipe(cell), kernels.recipe(cell)))
    assert root is not None
    assert kernel is not None
    script = boxfiles.SETUP + boxfiles.services(cell.init)
    inputs = {
        "recipe": _VERSION,
        "root": root.digests["root"],
        "kernel": [kernel.digests[role] for role in ("vmlinux", "modules")],
        "files": [boxfiles.files(cell), boxfiles.INIT, script, _vagrantfile(cell)],
    }
    return Recipe("box", cell.name, inputs)


def pack(cell: Cell, tell: Tell = lambda _line: None, *, refresh: bool = False) -> Box:
    """The cell's box, packed now unless it is there; `tell` hears how it goes. Raises LabError."""
    made_of = recipe(cell)
    with locked(made_of.title):
        files = None if refresh else find(made_of)
        box = Box(cell, files or _pack(cell, made_of, tell))
        _publish(box)
    return box


def packed(cell: Cell) -> Box | None:
    """The cell's box as it was packed; None when it was not, or its root or kernel changed."""
    files = None if missing(cell) else find(recipe(cell))
    return Box(cell, files) if files else None


def _vagrantfile(cell: Cell) -> str:
    return boxfiles.vagrantfile(command_line(cell), MEMORY)


def _pack(cell: Cell, made_of: Recipe, tell: Tell) -> Baked:
    require("unshare", "mkfs.erofs", "qemu-img", "chroot")
    root, kernel = roots.bake(cell), kernels.bake(cell)
    epoch = int(kernel.facts["epoch"])
    with workshop(_NEED) as directory:
        tell("adding ssh and Vagrant's user to the root")
        words = [
            "unshare", "--mount", "--propagation=private", "--",
            sys.executable, "-m", "lab.boxtree", cell.name, str(root.files["root"]),
            str(kernel.files["modules"]), str(directory), str(epoch),
        ]  # fmt: skip
        done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
            raise LabError(f"the box of the cell {cell.name} could not be packed: {reason}")
        tell("packing")
        image, box = directory / "box.img", directory / "box"
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(directory / "root"), str(image))
        size = (directory / "root").stat().st_size
        parts: dict[str, bytes | Path] = {
            "metadata.json": _metadata(size).encode(),
            "Vagrantfile": _vagrantfile(cell).encode(),
            "vmlinux": kernel.files["vmlinux"],
            "initrd": directory / "initrd",
            "box.img": image,
        }
        _archive(box, parts.items(), epoch)
        version = time.strftime("%Y%m%d.%H%M%S", time.gmtime())
        facts = {"version": version, "release": kernel.facts["release"]}
        made = {"box": box, "initrd": directory / "initrd"}
        return keep(made_of, made, facts)


def _metadata(size: int) -> str:
    """What vagrant-libvirt wants to know of the image; its virtual size in GB, rounded up."""
    virtual = -(-max(size, _SMALLEST) // (1 << 30))
    return json.dumps({"provider": "libvirt", "format": "qcow2", "virtual_size": virtual})


def _archive(target: Path, parts: Iterable[tuple[str, bytes | Path]], epoch: int) -> None:
    """A tar archive of these files, owned by root and of one time."""
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, part in parts:
            entry = tarfile.TarInfo(name)
            entry.mtime, entry.mode = epoch, 0o644
            if isinstance(part, bytes):
                entry.size = len(part)
                archive.addfile(entry, BytesIO(part))
            else:
                entry.size = part.stat().st_size
                with open(part, "rb") as file:
                    archive.addfile(entry, file)


def _publish(box: Box) -> None:
    """Put the box where a Vagrantfile finds it, with a catalog that has its version and digest.

    Its kernel and initrd are there, too: who runs QEMU may not be let into the home directory
    that Vagrant unpacks boxes in.
    """
    place = box.catalog.parent
    place.mkdir(parents=True, exist_ok=True)
    kernel = find(kernels.recipe(box.cell))
    assert kernel is not None
    _link(box.files.files["box"], place / f"{box.cell.name}.box")
    _link(box.files.files["initrd"], place / "initrd")
    _link(kernel.files["vmlinux"], place / "vmlinux")
    provider = {
        "name": "libvirt",
        "url": (place / f"{box.cell.name}.box").as_uri(),
        "checksum_type": "sha256",
        "checksum": box.files.digests["box"],
    }
    document = {
        "name": box.name,
        "description": f"Lading's cell {box.cell.name}: {box.cell.describe()}",
        "versions": [{"version": box.version, "providers": [provider]}],
    }
    write_whole(box.catalog, json.dumps(document, indent=1) + "\n")


def _link(source: Path, target: Path) -> None:
    """Have the same file under another name, in place of what was there."""
    partial = target.with_name(f".partial-{target.name}")
    partial.unlink(missing_ok=True)
    os.link(source, partial)
    # Two names of one file are not renamed over each other: the old name goes first.
    target.unlink(missing_ok=True)
    partial.rename(target)
