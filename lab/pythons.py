"""The Pythons on this machine that Lading should run on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lab.gate import Step
from lab.paths import program
from lab.shell import LabError

_OLDEST = (3, 11)
_NAME = re.compile(r"python3\.\d+")


def installed() -> dict[str, str]:
    """Interpreters from 3.11 on by tox's names, such as py311, the first found of each."""
    found: dict[str, str] = {}
    for path in _candidates():
        version = _version(path)
        if version >= _OLDEST:
            found.setdefault(f"py{version[0]}{version[1]}", path)
    return dict(sorted(found.items(), key=lambda item: int(item[0][2:])))


def tox_steps() -> list[Step]:
    """The unit tests in a tox environment for each of them. Raises LabError: there is none."""
    pythons = installed()
    if not pythons:
        raise LabError("no Python from 3.11 on is installed")
    return [
        Step(f"unit tests on {name}", [program("tox"), "run", "-e", name, "--discover", path])
        for name, path in pythons.items()
    ]


def _candidates() -> Iterator[str]:
    """On PATH, and what pyenv keeps; its shims, which may lead nowhere, are tried and dropped."""
    directories = [Path(name) for name in os.environ.get("PATH", "").split(os.pathsep) if name]
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    directories += sorted(root.glob("versions/*/bin"))
    for directory in directories:
        if directory.is_dir():
            for name in sorted(filter(_NAME.fullmatch, os.listdir(directory))):
                yield str(directory / name)


def _version(path: str) -> tuple[int, int]:
    words = [path, "-c", "import sys; print(*sys.version_info[:2])"]
    if shutil.which(path) is None:
        return (0, 0)
    done = subprocess.run(words, capture_output=True, text=True)
    numbers = done.stdout.split()
    return (int(numbers[0]), int(numbers[1])) if done.returncode == 0 else (0, 0)
