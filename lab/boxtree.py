"""Makes a box's root and initrd; run as a program in a mount namespace of its own.

`python -m lab.boxtree CELL ROOT MODULES DIRECTORY` mounts the baked root and modules (erofs
images), adds to them what Vagrant wants, and leaves `root` and `initrd` in the directory. Its
mounts go with the namespace.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from lab import boxfiles
from lab.bake import erofs, initrd
from lab.cells import Cell, choose
from lab.shell import LabError, run


def main() -> None:
    """Make them; ends with 1 and one sentence on the standard error when that fails."""
    name, root, modules, directory, epoch = sys.argv[1:6]
    try:
        make(choose([name])[0], Path(root), Path(modules), Path(directory), int(epoch))
    except LabError as error:
        sys.exit(str(error))


def make(cell: Cell, root: Path, modules: Path, directory: Path, epoch: int) -> None:
    """Make `root` and `initrd` in the directory, files with the time `epoch`. Raises LabError."""
    lower, upper, work, tree = (directory / name for name in ("lower", "upper", "work", "tree"))
    for path in (lower, upper, work, tree):
        path.mkdir()
    _write(cell, upper)
    _mount("-t", "erofs", "-o", "ro,loop", root, lower)
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    _mount("-t", "overlay", "-o", options, "overlay", tree)
    _install(cell, tree)
    _mount("-t", "erofs", "-o", "ro,loop", modules, tree / "usr/lib/modules")
    release = next((tree / "usr/lib/modules").iterdir())
    (directory / "initrd").write_bytes(initrd.build(release, epoch, boxfiles.INIT))
    erofs.pack(tree, directory / "root", epoch)


def _write(cell: Cell, upper: Path) -> None:
    for name, (text, mode) in boxfiles.files(cell).items():
        path = upper / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)


def _install(cell: Cell, tree: Path) -> None:
    """Run the tree's own apt and shell, with the host's names of hosts as long as it takes."""
    resolv = tree / "etc/resolv.conf"
    before = resolv.read_text()
    shutil.copyfile("/etc/resolv.conf", resolv)
    _mount("-t", "proc", "proc", tree / "proc")
    _mount("--rbind", "/dev", tree / "dev")
    try:
        script = boxfiles.SETUP + boxfiles.services(cell.init)
        run("chroot", str(tree), "/bin/sh", "-c", script)
    except LabError as error:
        reason = str(error).rpartition(": ")[2]
        raise LabError(
            f"{' and '.join(boxfiles.PACKAGES)} could not be installed in the box: {reason}"
        ) from None
    finally:
        run("umount", "--recursive", "--lazy", str(tree / "dev"))
        run("umount", str(tree / "proc"))
    resolv.write_text(before)


def _mount(*words: str | Path) -> None:
    run("mount", *map(str, words))


if __name__ == "__main__":
    main()
