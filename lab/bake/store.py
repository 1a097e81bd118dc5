"""Where baked things are kept: by the digest of their content, found by what they are made of."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.paths import CACHE
from lab.shell import LabError, alive

TOP = CACHE / "lab"
_SLACK = 1 << 30
_JUST_NOW = 3600


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a thing is made of; `kind` and `name` are for people, `inputs` decide."""

    kind: str
    name: str
    inputs: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Names the inputs, in sixteen digits."""
        text = json.dumps([self.kind, self.name, self.inputs], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        """What people call it, such as `root bookworm`."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Baked:
    """What came of a recipe: its files by role with their digests, and what was in it."""

    files: Mapping[str, Path]
    digests: Mapping[str, str]
    facts: Mapping[str, Any]


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(recipe: Recipe) -> Baked | None:
    """What was baked of this recipe; None when it was not, or is not there whole."""
    try:
        note = json.loads(_note(recipe).read_text())
        files = {role: TOP / "files" / f"{digest}.{role}" for role, digest in note["files"].items()}
        whole = all(path.stat().st_size == note["sizes"][role] for role, path in files.items())
    except (OSError, ValueError, KeyError):
        return None
    return Baked(files, note["files"], note["facts"]) if whole else None


def keep(recipe: Recipe, made: Mapping[str, Path], facts: Mapping[str, Any]) -> Baked:
    """Keep files under their content's digest, then the note that makes them be found."""
    digests = {role: digest_of(path) for role, path in made.items()}
    sizes = {role: path.stat().st_size for role, path in made.items()}
    files = TOP / "files"
    files.mkdir(parents=True, exist_ok=True)
    for role, path in made.items():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        path.chmod(0o444)
        path.rename(files / f"{digests[role]}.{role}")
    note = {"title": recipe.title, "inputs": recipe.inputs, "facts": facts}
    _replace(_note(recipe), json.dumps({**note, "files": digests, "sizes": sizes}, indent=1))
    found = find(recipe)
    if found is None:
        raise LabError(f"the {recipe.title} was baked and can not be read again in {TOP}")
    return found


def prune(wanted: Iterable[Recipe]) -> None:
    """Remove what was baked of other recipes, and files that no recipe has any more."""
    notes = {_note(recipe) for recipe in wanted}
    for path in (TOP / "recipes").glob("*.json"):
        # The project changes with every edit: the next machine's is made again in seconds.
        if path not in notes:
            path.unlink()
    used: set[str] = set()
    for path in notes:
        with suppress(OSError, ValueError):
            used.update(json.loads(path.read_text())["files"].values())
    for path in (TOP / "files").glob("*"):
        if path.name.partition(".")[0] not in used:
            path.unlink()
    for path in TOP.glob("partial-*"):
        shutil.rmtree(path, ignore_errors=True)


def forget(kind: str, wanted: Callable[[str], bool]) -> None:
    """Remove what was baked of this kind and has no file whose digest is `wanted`.

    What was baked just now may be about to be used.
    """
    for path in (TOP / "recipes").glob(f"{kind}-*.json"):
        with suppress(OSError, ValueError, KeyError):
            if time.time() - path.stat().st_mtime < _JUST_NOW:
                continue
            files = json.loads(path.read_text())["files"]
            if not any(map(wanted, files.values())):
                path.unlink()
                for role, digest in files.items():
                    (TOP / "files" / f"{digest}.{role}").unlink(missing_ok=True)


def forget_all() -> None:
    """Remove everything that was baked."""
    shutil.rmtree(TOP, ignore_errors=True)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Have one process at a time make a thing; the others wait, and find it."""
    directory = TOP / "locks"
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / name.replace("/", "-").replace(" ", "-"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def workshop(need: int) -> Iterator[Path]:
    """A directory beside the store that goes away. Raises LabError: less than `need` bytes free."""
    TOP.mkdir(parents=True, exist_ok=True)
    clear_dead(TOP, "partial")
    room(TOP, need)
    directory = Path(tempfile.mkdtemp(prefix=f"partial-{os.getpid()}-", dir=TOP))
    # apt's own user reads packages in it.
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def clear_dead(directory: Path, prefix: str) -> None:
    """Remove what processes that were killed left, in directories called `PREFIX-PID-…`."""
    for path in directory.glob(f"{prefix}-*-*"):
        with suppress(ValueError):
            if not alive(int(path.name.split("-")[1])):
                shutil.rmtree(path, ignore_errors=True)


def room(path: Path, need: int) -> None:
    """Raise LabError unless so many bytes, and a gigabyte more, are free where `path` is."""
    free = shutil.disk_usage(path).free
    if free < need + _SLACK:
        raise LabError(
            f"{path} has {free >> 20} MiB free and {(need + _SLACK) >> 20} MiB are needed: "
            "make room, or set LADING_CACHE to a directory elsewhere"
        )


def _note(recipe: Recipe) -> Path:
    return TOP / "recipes" / f"{recipe.kind}-{recipe.name}-{recipe.key}.json"


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(text + "\n")
    partial.rename(path)
