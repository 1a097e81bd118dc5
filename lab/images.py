"""Base images made without a registry: busybox, and a Debian release with packages.

Each is a `docker load` archive, the same bytes from the same inputs, so that its ID is the same
on every engine.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.paths import CACHE
from lab.shell import LabError
from lab.trees import Tree, ensure

_BUSYBOX = Path("/bin/busybox")
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CREATED = "2024-01-01T00:00:00Z"
_MTIME = 1704067200
_RECIPE = 2
"""Raised when the way an archive is made changes, so that older ones are not taken for it."""

_SPARE = (
    "dev/*", "proc/*", "sys/*", "run/*", "etc/resolv.conf", "etc/hostname", "etc/machine-id",
    "var/cache/apt/*", "var/cache/ldconfig/*", "var/lib/apt/lists/*", "var/log/*.log",
    "var/log/apt/*",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is called and configured as."""

    reference: str
    config: Mapping[str, object] = field(default_factory=dict)


def busybox() -> Path:
    """The archive of `busybox:latest`, out of Debian's busybox-static.

    Raises LabError: the package is not installed.
    """
    if not _BUSYBOX.exists():
        raise LabError("/bin/busybox is missing: Debian's busybox-static has it")
    program = _BUSYBOX.read_bytes()
    key = hashlib.sha256(program).hexdigest()[:16]
    applets = subprocess.run([str(_BUSYBOX), "--list"], capture_output=True, text=True, check=True)
    recipe = Recipe("busybox:latest", {"Env": [_PATH], "Cmd": ["sh"]})
    return _archive(f"busybox-{key}", recipe, _busybox_tar(program, applets.stdout.split()))


def debian(
    name: str,
    release: str,
    packages: Sequence[str],
    config: Mapping[str, object],
    links: Mapping[str, str],
) -> Path:
    """The archive of `name`:latest, a Debian release with packages in it.

    `links` are symbolic links to add, by their paths from the root. Raises LabError.
    """
    tree = Tree(release, tuple(packages), "minbase")
    root = ensure(tree)
    settings = {"Env": [_PATH], **config}
    made_of = json.dumps([_RECIPE, settings, dict(links)], sort_keys=True)
    digest = hashlib.sha256(made_of.encode()).hexdigest()[:8]
    return _archive(
        f"{name}-{tree.key}-{digest}", Recipe(f"{name}:latest", settings), _tree_tar(root, links)
    )


def _archive(key: str, recipe: Recipe, layer_parts: Iterator[bytes]) -> Path:
    target = CACHE / "images" / f"{key}.tar"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".partial-{os.getpid()}-{target.name}")
    layer = partial.with_suffix(".layer")
    try:
        hasher = hashlib.sha256()
        with open(layer, "wb") as file:
            for part in layer_parts:
                hasher.update(part)
                file.write(part)
        config = _config(recipe, f"sha256:{hasher.hexdigest()}")
        _write(partial, recipe.reference, config, layer)
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
        layer.unlink(missing_ok=True)
    return target


def _config(recipe: Recipe, diff_id: str) -> bytes:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    document = {
        "architecture": machine,
        "config": recipe.config,
        "created": _CREATED,
        "history": [{"created": _CREATED, "created_by": f"lading lab: {recipe.reference}"}],
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _write(target: Path, reference: str, config: bytes, layer: Path) -> None:
    digest = hashlib.sha256(config).hexdigest()
    manifest = [{"Config": f"{digest}.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in (
            (f"{digest}.json", config),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            archive.addfile(_entry(name, len(data)), io.BytesIO(data))
        with open(layer, "rb") as file:
            archive.addfile(_entry("layer.tar", layer.stat().st_size), file)


def _entry(
    name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, mode: int = 0o644
) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.mode, entry.mtime = size, kind, mode, _MTIME
    return entry


def _busybox_tar(program: bytes, applets: Sequence[str]) -> Iterator[bytes]:
    buffer = io.BytesIO()
    files = {
        "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        "etc/group": b"root:x:0:\nusers:x:100:\nnogroup:x:65534:\n",
        "etc/shadow": b"root:*:::::::\n",
    }
    modes = {"tmp": 0o1777, "root": 0o700}
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in (
            "bin",
            "etc",
            "home",
            "root",
            "sbin",
            "tmp",
            "usr",
            "usr/bin",
            "var",
            "var/log",
        ):
            archive.addfile(_entry(name, 0, tarfile.DIRTYPE, modes.get(name, 0o755)))
        for name, data in files.items():
            archive.addfile(_entry(name, len(data)), io.BytesIO(data))
        archive.addfile(_entry("bin/busybox", len(program), mode=0o755), io.BytesIO(program))
        for applet in sorted(set(applets) - {"busybox"}):
            link = _entry(f"bin/{applet}", 0, tarfile.SYMTYPE, 0o777)
            link.linkname = "busybox"
            archive.addfile(link)
    yield buffer.getvalue()


def _tree_tar(root: Path, links: Mapping[str, str]) -> Iterator[bytes]:
    """A tree and links as a tar in a fixed order, all of one time; logs and caches stay out."""
    with tempfile.TemporaryDirectory(prefix="lading-links-") as added:
        for path, target in links.items():
            place = Path(added) / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
        # tar refuses to be sent to a directory that it takes nothing from.
        more = [f"--directory={added}", *sorted(links)] if links else []
        command = [
            "tar", "--create", "--sort=name", "--numeric-owner", f"--mtime=@{_MTIME}",
            "--one-file-system", *(f"--exclude=./{pattern}" for pattern in _SPARE),
            f"--directory={root}", ".", *more,
        ]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            while part := process.stdout.read(1 << 20):
                yield part
        if process.returncode:
            raise LabError(f"tar of {root} ended with {process.returncode}")
