"""`invoke bench images`: load and pull beside Docker, and the memory that a large layer takes.

Each image is removed before each turn, outside of what is timed, and what that left to be
written is written.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from lab import images
from lab.bench.sides import Row, both, client, daemons, in_turns, load, report, row
from lab.engine import Engine
from lab.registry import Registry, copy
from lab.shell import LabError
from lab.slots import claimed

_TARGET = 0.6
_MEMORY_LIMIT = 100.0
"""MiB above idle while a large layer is pulled."""

_LARGE = 1 << 30
_PACKAGES = ("python3", "perl", "git")


def run(rounds: int) -> list[Row]:
    """Measure, print the table, and save it as results/bench-images.json."""
    others, rounds = len(daemons()), max(3, rounds // 3)
    root = images.debian("lading-bench-root", "bookworm", _PACKAGES, {}, {})
    with (
        tempfile.TemporaryDirectory(prefix="lading-bench-") as place,
        both() as (lading, docker),
        claimed("breg") as uplink,
        Registry(uplink) as registry,
    ):
        sides = (lading, docker)
        forty = _layers(Path(place) / "forty.tar", "lading-bench-forty:latest", 40, _small)
        archives = {"Debian root": root, "40 layers": forty}
        rows = [_loads(name, sides, path, rounds) for name, path in archives.items()]
        for name, path in archives.items():
            reference = _published(registry, path)
            rows.append(_pulls(name, sides, reference, rounds))
        rows.append(_memory(lading, docker, registry, Path(place)))
    report("images", rows, rounds, others)
    return rows


def _loads(name: str, sides: tuple[Engine, Engine], archive: Path, rounds: int) -> Row:
    medians = _taken(sides, _tag(archive), lambda engine: load(engine, archive), rounds)
    return row(f"load, {name}", "ms", medians, _TARGET)


def _pulls(name: str, sides: tuple[Engine, Engine], reference: str, rounds: int) -> Row:
    medians = _taken(sides, reference, lambda engine: _pull(engine, reference), rounds)
    return row(f"pull, {name}", "ms", medians, _TARGET)


def _pull(engine: Engine, reference: str) -> None:
    words = [*client(engine), "pull", "--quiet", reference]
    subprocess.run(words, check=True, capture_output=True)


def _remove(engine: Engine, reference: str) -> None:
    """Remove the image where it is; raises LabError when any of its layers stays."""
    subprocess.run([*client(engine), "rmi", "--force", reference], capture_output=True)
    left = subprocess.run(
        [*client(engine), "images", "--all", "--format", "{{.Repository}}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    if left != ["busybox"]:
        raise LabError(f"{engine.name} still has {', '.join(left)} before a turn")
    os.sync()


def _taken(
    sides: tuple[Engine, Engine], reference: str, action: Callable[[Engine], None], rounds: int
) -> list[float]:
    """The medians in milliseconds of an action on an engine that lacks the image."""
    lading, docker = sides
    removals = (partial(_remove, lading, reference), partial(_remove, docker, reference))
    medians = in_turns(rounds, lambda: action(lading), lambda: action(docker), 1, removals)
    for remove in removals:
        remove()
    return medians


def _memory(lading: Engine, docker: Engine, registry: Registry, place: Path) -> Row:
    """The most that each daemon grew by while it pulled one large layer, in MiB.

    Docker's is there for comparison; the target is absolute.
    """
    archive = _layers(place / "large.tar", "lading-bench-large:latest", 1, _huge)
    reference = _published(registry, archive)
    archive.unlink()
    grown = []
    for engine in (lading, docker):
        # A daemon that pulled before keeps what it grew by: idle is what a fresh one is.
        engine.kill()
        engine.start()
        with _peak(engine.pid) as growth:
            _pull(engine, reference)
        grown.append(growth())
        _remove(engine, reference)
    return Row("memory, a layer of 1 GiB", "MiB", grown[0], grown[1], grown[0] / _MEMORY_LIMIT, 1.0)


@contextmanager
def _peak(pid: int) -> Iterator[Callable[[], float]]:
    """How far the resident set of a process rose above what it was (proc(5), VmHWM)."""
    before = _status(pid, "VmRSS")
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    yield lambda: _status(pid, "VmHWM") - before


def _status(pid: int, key: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:")) / 1024


def _published(registry: Registry, archive: Path) -> str:
    """Bring an archive's image into the registry; give its name there."""
    reference = f"{registry.address}/{_tag(archive)}"
    copy(f"docker-archive:{archive}", f"docker://{reference}")
    return reference


def _tag(archive: Path) -> str:
    with tarfile.open(archive) as opened:
        member = opened.extractfile("manifest.json")
        assert member is not None
        tag: str = json.loads(member.read())[0]["RepoTags"][0]
    return tag


def _layers(
    target: Path, tag: str, count: int, fill: Callable[[tarfile.TarFile, int], None]
) -> Path:
    """A `docker load` archive of an image with `count` layers, filled by number."""
    diff_ids, paths = [], []
    for number in range(count):
        path = target.with_name(f"{target.stem}-{number}")
        with tarfile.open(path, "w") as layer:
            fill(layer, number)
        with open(path, "rb") as file:
            diff_ids.append(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")
        paths.append(path)
    config = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
    ).encode()
    listing = [{"Config": "config.json", "RepoTags": [tag], "Layers": [one.name for one in paths]}]
    with tarfile.open(target, "w") as archive:
        _add(archive, "config.json", config)
        _add(archive, "manifest.json", json.dumps(listing).encode())
        for path in paths:
            archive.add(path, path.name)
            path.unlink()
    return target


def _small(layer: tarfile.TarFile, number: int) -> None:
    """Fifty files of four kilobytes that differ from layer to layer."""
    noise = random.Random(number)
    for file in range(50):
        _add(layer, f"srv/{number}/{file}", noise.randbytes(3 << 10) + bytes(1 << 10))


def _huge(layer: tarfile.TarFile, number: int) -> None:
    """One file that does not compress: a megabyte of noise, over and over."""
    block = random.Random(number).randbytes(1 << 20)

    class Repeated(io.RawIOBase):
        place = 0

        def read(self, size: int = -1) -> bytes:
            # On and on through the block: its start alone would fit a packer's window.
            begun = self.place % len(block)
            piece = block[begun : begun + size]
            self.place += len(piece)
            return piece + self.read(size - len(piece)) if len(piece) < size else piece

    entry = tarfile.TarInfo("srv/large")
    entry.size = _LARGE
    layer.addfile(entry, Repeated())


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))
