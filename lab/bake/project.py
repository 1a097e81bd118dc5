"""The project as machines have it: its code, its commands, and what scenarios load."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lab import images
from lab.bake import erofs
from lab.bake.roots import PROJECT_AT
from lab.bake.store import Baked, Recipe, find, keep, locked, workshop
from lab.paths import PROJECT
from lab.reference import NEWEST, tree_of
from lab.shell import LabError, run
from lab.trees import ensure

_VERSION = 2
"""Raised when the way the image is made changes."""

KIND = "project"
_NEED = 512 << 20
_EPOCH = 1704067200
_PARTS = ("runtime", "lab", "scenarios")
_OUTSIDE = frozenset(
    {"reference", "divergences", "matrix", "report", "bench", "real", "bake", "machines", "kernels"}
)
"""Folders of the lab and the scenarios that machines can do without."""

_COMMANDS = {
    "ladingd": "lading.api.daemon",
    "lading": "lading.cli.main",
    "lading-oci": "lading.oci.cli",
}
_BUSYBOX = Path("/bin/busybox")
_PYTEST = "[pytest]\naddopts = --strict-markers\nmarkers =\n    root: needs root\n"


def bake(root: Baked) -> Baked:
    """The project for machines with this root; its file is `project`. Raises LabError."""
    files = sorted(_files())
    cli = ensure(tree_of(NEWEST))
    inputs = {
        "recipe": _VERSION,
        "root": root.digests["root"],
        "code": _digest(files),
        "busybox": images.busybox().name,
        "cli": cli.name,
    }
    made_of = Recipe(KIND, root.facts["python"], inputs)
    with locked(made_of.title):
        return find(made_of) or _bake(made_of, root, files, cli)


def _files() -> Iterator[Path]:
    """What machines need of the checkout."""
    for part in _PARTS:
        for path in (PROJECT / part).rglob("*"):
            names = path.relative_to(PROJECT).parts
            if (
                path.is_file()
                and not _OUTSIDE.intersection(names[:2])
                and "__pycache__" not in names
            ):
                yield path


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(str(path.relative_to(PROJECT)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _bake(made_of: Recipe, root: Baked, files: list[Path], cli: Path) -> Baked:
    with workshop(_NEED) as directory:
        stage, image = directory / "stage", directory / "project"
        tree = stage / "tree"
        for path in files:
            target = tree / path.relative_to(PROJECT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        (tree / "pytest.ini").write_text(_PYTEST)
        _commands(tree / ".venv" / "bin")
        _images(stage, cli)
        _compile(root.files["root"], stage, directory)
        erofs.pack(stage, image, _EPOCH, owned_by_root=True)
        return keep(made_of, {"project": image}, {})


def _commands(directory: Path) -> None:
    directory.mkdir(parents=True)
    for name, module in _COMMANDS.items():
        lines = (
            "#!/usr/bin/python3",
            "import sys",
            f"from {module} import main",
            'if __name__ == "__main__":',
            "    sys.exit(main())",
        )
        path = directory / name
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o755)


def _images(stage: Path, cli: Path) -> None:
    """Busybox, its archive, and the newest `docker` with its loader and libraries."""
    (stage / "bin").mkdir()
    shutil.copy(_BUSYBOX, stage / "bin" / "busybox")
    archive = images.busybox()
    (stage / "cache" / "images").mkdir(parents=True)
    shutil.copyfile(archive, stage / "cache" / "images" / archive.name)
    small = stage / "cache" / "trees" / cli.name
    program, loader = cli / "usr/bin/docker", next(cli.glob("lib64/ld-linux-*.so.*"))
    for name in ("usr/bin", "lib64", "usr/lib"):
        (small / name).mkdir(parents=True)
    shutil.copy(program, small / "usr/bin/docker")
    shutil.copy(loader, small / "lib64" / loader.name)
    places = [str(path) for path in (cli / "usr/lib").glob("*-linux-gnu")]
    listed = run(str(loader), "--library-path", ":".join(places), "--list", str(program))
    for word in listed.split():
        if word.startswith(str(cli)) and Path(word).name != loader.name:
            shutil.copy(word, small / "usr/lib" / Path(word).name)


def _compile(root: Path, stage: Path, directory: Path) -> None:
    """Compile the code by the root's Python, which Python under emulation takes minutes for."""
    mounted = directory / "root"
    mounted.mkdir()
    script = (
        f"mount -t erofs -o ro,loop {root} {mounted} && "
        f"mount --bind {stage} {mounted}{PROJECT_AT} && "
        f"exec chroot {mounted} /usr/bin/python3 -m compileall -q -f "
        f"--invalidation-mode=unchecked-hash {PROJECT_AT}/tree"
    )
    words = ["unshare", "--mount", "--propagation=private", "sh", "-c", script]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        text = (done.stderr or done.stdout).strip().splitlines()
        reason = text[-1] if text else f"it ended with {done.returncode}"
        raise LabError(f"the project could not be compiled by the machine's Python: {reason}")
