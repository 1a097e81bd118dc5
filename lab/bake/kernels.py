"""Debian's kernels: an uncompressed `vmlinux`, its modules, its configuration and an initrd."""

from __future__ import annotations

import gzip
import lzma
import struct
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import zstandard

from lab.bake import archive, erofs, initrd
from lab.bake.store import Baked, Recipe, find, keep, locked, workshop
from lab.cells import Cell
from lab.shell import LabError, require, run
from lab.trees import mirror

_VERSION = 1
"""Raised when the way a kernel is baked changes."""

_NEED = 1 << 30


def recipe(cell: Cell) -> Recipe:
    """What the cell's kernel is made of; the newest of its version is taken when it is baked."""
    inputs = {
        "recipe": _VERSION,
        "suite": cell.archive,
        "initrd": initrd.made_of(),
    }
    return Recipe("kernel", cell.kernel, inputs)


def bake(cell: Cell, *, refresh: bool = False) -> Baked:
    """The cell's kernel, baked now unless it is there. Raises LabError.

    Its files are `vmlinux`, `modules`, `config` and `initrd`; its facts `release`, `package`.
    """
    made_of = recipe(cell)
    with locked(made_of.title):
        found = None if refresh else find(made_of)
        return found or _bake(cell, made_of)


def _bake(cell: Cell, made_of: Recipe) -> Baked:
    require("dpkg-deb", "mkfs.erofs", "depmod")
    packages = archive.kernel(cell.archive, cell.kernel)
    epoch = archive.release(cell.archive).date
    with workshop(_NEED) as directory:
        deb, tree = directory / "kernel.deb", directory / "tree"
        for package in packages:
            archive.download(package, deb)
            run("dpkg-deb", "--extract", str(deb), str(tree))
        deb.unlink()
        release = packages[0].name.removeprefix("linux-image-")
        modules = next(tree.glob(f"**/lib/modules/{release}"), tree)
        for left_over in ("build", "source"):
            (modules / left_over).unlink(missing_ok=True)
        _uncompress(modules)
        base = modules.parents[2]
        run("depmod", "--basedir", str(base), release)
        made = {role: directory / role for role in ("vmlinux", "modules", "config", "initrd")}
        made["vmlinux"].write_bytes(vmlinux(_boot_file(tree, "vmlinuz", release)))
        made["config"].write_bytes(_boot_file(tree, "config", release))
        made["initrd"].write_bytes(initrd.build(modules, epoch))
        erofs.pack(modules.parent, made["modules"], epoch, owned_by_root=True)
        facts = {"release": release, "package": f"{packages[0].name} {packages[0].version}"}
        return keep(made_of, made, {**facts, "mirror": mirror(), "epoch": epoch})


def _boot_file(tree: Path, name: str, release: str) -> bytes:
    """A file of /boot, which newer packages keep beside the modules."""
    for place in (f"boot/{name}-{release}", f"usr/lib/modules/{release}/{name}"):
        path = tree / place
        if path.exists():
            return path.read_bytes()
    raise LabError(f"the package of the kernel {release} has no {name}")


def _uncompress(modules: Path) -> None:
    """Take modules out of their own compression, so that loading them costs no time."""

    def one(path: Path) -> None:
        data = path.read_bytes()
        plain = lzma.decompress(data) if path.suffix == ".xz" else _zstd(data)
        path.with_suffix("").write_bytes(plain)
        path.unlink()

    with ThreadPoolExecutor(2) as pool:
        packed: Iterable[Path] = [*modules.rglob("*.ko.xz"), *modules.rglob("*.ko.zst")]
        list(pool.map(one, packed))


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def vmlinux(image: bytes) -> bytes:
    """The ELF file in a bzImage (boot protocol 2.08), which QEMU starts without its wrapper.

    Raises LabError: it is no such image, or packed in a way that is not known.
    """
    if image[0x202:0x206] != b"HdrS":
        raise LabError("the kernel is no bzImage")
    sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (sectors + 1) * 512 + offset
    payload = image[start : start + length]
    # The size of what is packed follows it: readers must stop where the packed data ends.
    if payload.startswith(b"\xfd7zXZ"):
        plain = lzma.LZMADecompressor().decompress(payload)
    elif payload.startswith(b"\x28\xb5\x2f\xfd"):
        plain = _zstd(payload)
    elif payload.startswith(b"\x1f\x8b"):
        plain = gzip.decompress(payload[:-4])
    else:
        raise LabError(f"the kernel is packed in an unknown way: it begins {payload[:4].hex()}")
    if not plain.startswith(b"\x7fELF"):
        raise LabError("what is packed in the kernel is no ELF file")
    return plain
