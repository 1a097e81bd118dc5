"""Containers on disk: ROOT/containers/<id>/container.json, written whole or not at all.

What became of a container, as opposed to what somebody asked for, is written beside it first, to
latest.json: nobody has to wait for the disk then. A daemon that is killed leaves it behind, and
after a power cut it is there whole or container.json counts. It becomes container.json as soon as
the disk has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from typing import TYPE_CHECKING

import msgspec

from lading.engine.model import Container
from lading.errors import LadingError
from lading.files import TEMPORARY, explaining, sync_directory, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_log = logging.getLogger(__name__)

_RECORD = "container.json"
_LATEST = "latest.json"
_SOON = 0.05
"""Seconds until what was noted goes to the disk; a container that is gone by then costs nothing."""
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
        self._noted: dict[str, int] = {}
        """Containers with a latest.json, and the number of that note among all notes."""
        self._notes = 0
        self._flusher: asyncio.Task[None] | None = None

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
        home, data = self.home(record.id), msgspec.json.encode(record)
        with explaining(f"write the record of container {record.name}"):
            if record.id not in self._noted:
                write_atomically(home / _RECORD, data, durable_name=False)
                return
            # The note counts before the record: it has to be replaced first, and never be missing.
            write_atomically(home / _LATEST, data, durable_name=False)
            (home / _LATEST).rename(home / _RECORD)
            del self._noted[record.id]

    def note(self, record: Container) -> None:
        """Replace the record of a container to which something has happened already.

        The disk has it soon afterwards, which needs a running loop. Where it cannot be written,
        the daemon goes on with what it knows: the next one that can be has this in it, too.
        """
        path = self.home(record.id) / _LATEST
        try:
            with explaining(f"write the record of container {record.name}"):
                write_atomically(path, msgspec.json.encode(record), durable=False)
        except LadingError as error:
            _log.warning("%s; the daemon remembers its state meanwhile", error.message)
            return
        self._notes += 1
        self._noted[record.id] = self._notes
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())

    async def settled(self) -> None:
        """Wait until the disk has what was noted."""
        if self._flusher is not None:
            await self._flusher

    async def _flush(self) -> None:
        """Have what was noted written to the disk, by a thread, until there is nothing new."""
        while self._noted:
            await asyncio.sleep(_SOON)
            noted = dict(self._noted)
            paths = {container_id: self.home(container_id) / _LATEST for container_id in noted}
            lost = await asyncio.to_thread(_synchronize, paths)
            self._promote(noted, lost)

    def _promote(self, noted: dict[str, int], lost: set[str]) -> None:
        """Let what the disk has be the record, unless there is something newer by now."""
        for container_id, number in noted.items():
            if self._noted.get(container_id) == number:
                del self._noted[container_id]
                home = self.home(container_id)
                if container_id not in lost:
                    with contextlib.suppress(OSError):
                        (home / _LATEST).rename(home / _RECORD)

    def withdraw(self, container_id: str) -> None:
        """Remove a container's record: whatever else is left of it is rests from now on."""
        self._noted.pop(container_id, 0)
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
                yield self._read(home)
                (home / _VOLUMES).unlink(missing_ok=True)
            except FileNotFoundError:
                self.orphans += _names_in(home / _VOLUMES)
                remove_directory(home)
            except (msgspec.DecodeError, OSError) as error:
                _log.error("%s is not readable and was left alone: %s", home / _RECORD, error)

    def _read(self, home: Path) -> Container:
        """Read a record, the latest if that is whole; raises OSError and msgspec.DecodeError."""
        record = _decoder.decode((home / _RECORD).read_bytes())
        try:
            record = _decoder.decode((home / _LATEST).read_bytes())
        except FileNotFoundError:
            return record
        except msgspec.DecodeError:
            _log.info("%s is not whole: the one before counts", home / _LATEST)
            (home / _LATEST).unlink()
            return record
        self._noted.setdefault(record.id, 0)
        return record


def _synchronize(paths: Mapping[str, Path]) -> set[str]:
    """Write files to the disk; gives whose could not be: those that are gone have no need."""
    lost: set[str] = set()
    for container_id, path in paths.items():
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            continue
        except OSError as error:
            lost.add(container_id)
            _log.warning("%s cannot be written to the disk: %s", path, error.strerror)
    return lost


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
