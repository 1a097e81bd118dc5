"""Where `lading-oci` keeps its containers: one directory each below --root."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lading.errors import LadingError, NotFound
from lading.oci.checks import check_id
from lading.oci.managed import Container

if TYPE_CHECKING:
    import argparse


def directory_of(options: argparse.Namespace) -> Path:
    """Give the state directory of the container that *options* name. Raises InvalidParameter."""
    check_id(options.id)
    return Path(str(options.root), str(options.id))


def container_of(options: argparse.Namespace) -> Container:
    """Find the container that *options* name. Raises NotFound."""
    return Container.load(directory_of(options))


def all_containers(options: argparse.Namespace) -> list[Container]:
    """Give all containers below --root, by id."""
    root = Path(options.root)
    try:
        names = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        if name.startswith("."):
            continue
        try:
            found.append(Container.load(root / name))
        except NotFound:
            continue
    return found


def make_root(options: argparse.Namespace) -> None:
    """Make --root, which only root may look into."""
    try:
        Path(options.root).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LadingError(f"cannot make {options.root}: {error.strerror}") from error
