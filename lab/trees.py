"""Root file systems of Debian releases, made by mmdebstrap and kept by what they are made of."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.paths import CACHE
from lab.shell import LabError, require

_APT = Path("/etc/apt")
_EPOCH = "1704067200"
_RECIPE = 1
"""Raised when the way a tree is made changes, so that older ones are not taken for it."""

_SPARE = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")


@dataclass(frozen=True, slots=True)
class Tree:
    """A release of Debian and the packages wanted in it."""

    release: str
    packages: tuple[str, ...]
    variant: str = "apt"

    @property
    def key(self) -> str:
        """Names what the tree is made of, in sixteen digits."""
        recipe = json.dumps({"recipe": _RECIPE, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(recipe.encode()).hexdigest()[:16]

    @property
    def path(self) -> Path:
        """Where it stands once it is made."""
        return CACHE / "trees" / f"{self.release}-{self.key}"


def mirror() -> str:
    """The Debian mirror that this host's apt uses.

    Raises LabError: its sources name none.
    """
    sources = [_APT / "sources.list", *sorted((_APT / "sources.list.d").glob("*"))]
    for source in filter(Path.is_file, sources):
        for line in source.read_text().splitlines():
            words = line.split()
            urls = [word for word in words if word.startswith(("http://", "https://"))]
            if words and words[0] in ("deb", "URIs:") and urls:
                url = urls[0].rstrip("/")
                if url.endswith("/debian"):
                    return url
    raise LabError("apt's sources on this host name no Debian mirror (a URL that ends in /debian)")


def ensure(tree: Tree) -> Path:
    """The tree's directory, made now if it is not there.

    Raises LabError: mmdebstrap is missing or fails; nothing half-made stays.
    """
    if tree.path.is_dir():
        return tree.path
    require("mmdebstrap")
    partial = tree.path.with_name(f".partial-{os.getpid()}-{tree.path.name}")
    partial.parent.mkdir(parents=True, exist_ok=True)
    print(f"Making a Debian {tree.release} tree with {', '.join(tree.packages)} …", flush=True)
    try:
        for attempt in (1, 2):
            error = _mmdebstrap(tree, partial)
            if not error:
                partial.rename(tree.path)
                return tree.path
            print(f"  attempt {attempt} failed: {error}", file=sys.stderr)
            shutil.rmtree(partial, ignore_errors=True)
        raise LabError(f"the Debian {tree.release} tree could not be made: {error}")
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _mmdebstrap(tree: Tree, target: Path) -> str:
    """Run it; the last line of its complaint, "" when all went well."""
    command = [
        "mmdebstrap",
        "--quiet",
        f"--variant={tree.variant}",
        "--components=main",
        "--keyring=/usr/share/keyrings",
        '--aptopt=Acquire::Check-Valid-Until "false"',
        '--aptopt=Acquire::Retries "3"',
        f"--include={','.join(tree.packages)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _SPARE),
        tree.release,
        str(target),
        mirror(),
    ]
    # Files that say when an account was made say the same whenever the tree is made.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": _EPOCH}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    lines = done.stderr.strip().splitlines()
    return "" if done.returncode == 0 else (lines[-1] if lines else "it gave no reason")
