"""Containers on disk: ROOT/containers/<id>/container.json, written whole or not at all."""

from __future__ import annotations

import logging
import os
import shutil
from typing import TYPE_CHECKING

import msgspec

from lading.engine.model import Container
from lading.errors import LadingError
from lading.files import TEMPORARY, explaining, sync_directory, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_log = logging.getLogger(__name__)

_RECORD = "container.json"
_VOLUMES = "volumes.json"
_decoder = msgspec.json.Decoder(Container)


class ContainerStore:
    """The records under `directory`; a directory without a readable record is no container.

    `volumes.json` beside a record that is not there yet, or not any more, names the volumes that
    were to come, or to go, with it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.orphans: list[str] = []
        """Volumes that `load` found to have been meant for containers that are not there."""

    def open(self) -> None:
        """Make the directory."""
        self.directory.mkdir(mode=0o710, parents=True, exist_ok=True)

    def home(self, container_id: str) -> Path:
        """Give a container's directory."""
        return self.directory / container_id

    def tie_volumes(self, container_id: str, names: Sequence[str]) -> None:
        """Note volumes that are to go if a crash leaves no record of the container."""
        home = self.home(container_id)
        with explaining("write the names of a container's volumes"):
            home.mkdir(mode=0o710, exist_ok=True)
            write_atomically(home / _VOLUMES, msgspec.json.encode(names), durable_name=False)

    def add(self, record: Container) -> None:
        """Make a container's directory and its first record, durably; raises LadingError."""
        home = self.home(record.id)
        with explaining(f"write the record of container {record.name}"):
            home.mkdir(mode=0o710, exist_ok=True)
            self.save(record)
            sync_directory(home)
            sync_directory(self.directory)
            (home / _VOLUMES).unlink(missing_ok=True)

    def save(self, record: Container) -> None:
        """Replace a container's record; after a crash at once, the one before may be back.

        Raises LadingError: a full disk, for example; the record before stays then.
        """
        path = self.home(record.id) / _RECORD
        with explaining(f"write the record of container {record.name}"):
            write_atomically(path, msgspec.json.encode(record), durable_name=False)

    def note(self, record: Container) -> None:
        """Replace the record of a container to which something has happened already.

        Where it cannot be written, the daemon goes on with what it knows: the next one that can
        be has this in it, too.
        """
        try:
            self.save(record)
        except LadingError as error:
            _log.warning("%s; the daemon remembers its state meanwhile", error.message)

    def withdraw(self, container_id: str) -> None:
        """Remove a container's record: whatever else is left of it is rests from now on."""
        (self.home(container_id) / _RECORD).unlink(missing_ok=True)

    def delete(self, container_id: str) -> None:
        """Remove a container's directory, its record first."""
        self.withdraw(container_id)
        remove_directory(self.home(container_id))

    def load(self) -> Iterator[Container]:
        """Read every record, and remove what an interrupted creation or removal left."""
        for home in sorted(self.directory.iterdir()):
            for unfinished in home.glob(f"{TEMPORARY}*"):
                unfinished.unlink()
            try:
                yield _decoder.decode((home / _RECORD).read_bytes())
                (home / _VOLUMES).unlink(missing_ok=True)
            except FileNotFoundError:
                self.orphans += _names_in(home / _VOLUMES)
                remove_directory(home)
            except (msgspec.DecodeError, OSError) as error:
                _log.error("%s is not readable and was left alone: %s", home / _RECORD, error)


def _names_in(path: Path) -> list[str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[str])
    except (msgspec.DecodeError, OSError):
        return []


def remove_directory(path: Path) -> None:
    """Remove a directory of our own: a few files and empty directories; absent is fine.

    shutil.rmtree takes several times as long for the same, and is there for whatever else is in it.
    """
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    os.rmdir(entry.path)
                else:
                    os.unlink(entry.path)
        os.rmdir(path)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)
