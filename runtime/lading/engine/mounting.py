"""The sources of a container's mounts on the host: volumes made usable, directories made."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from lading.engine.events import EventBus, EventType
from lading.engine.model import Container, MountRecord
from lading.engine.subpaths import open_subpath
from lading.errors import InvalidParameter, LadingError
from lading.storage.volumes import VolumeStore


@dataclass(slots=True)
class Mounting:
    """Holds the volumes of running containers."""

    volumes: VolumeStore
    events: EventBus
    _held: dict[str, list[str]] = field(default_factory=dict)

    def sources(self, record: Container) -> list[str]:
        """Give the host paths of a container's mounts, in their order; `release` undoes it.

        Raises InvalidParameter, NotFound and LadingError for sources that are not there; what was
        held by then is let go.
        """
        try:
            return [self._source(record, mounted) for mounted in record.mounts]
        except BaseException:
            self.release(record)
            raise

    def hold(self, record: Container) -> None:
        """Hold the volumes of a container that an earlier daemon started."""
        for mounted in record.mounts:
            if mounted.point.type == "volume":
                self._hold(record, mounted.point.name)

    def release(self, record: Container) -> None:
        """Let go of a container's volumes; the events `unmount` are told."""
        for name in reversed(self._held.pop(record.id, [])):
            self.volumes.unmount(name)
            self.events.publish(
                EventType.VOLUME, "unmount", name, {"container": record.id, "driver": "local"}
            )

    def _hold(self, record: Container, name: str) -> str:
        path = self.volumes.mount(name)
        self._held.setdefault(record.id, []).append(name)
        return path

    def _source(self, record: Container, mounted: MountRecord) -> str:
        """Give the host path of a mount, made or mounted if need be."""
        point, detail = mounted.point, mounted.detail
        if point.type == "volume":
            base = self._hold(record, point.name)
            told = {
                "container": record.id,
                "destination": point.destination,
                "driver": point.driver,
                "propagation": point.propagation,
                "read/write": str(point.rw).lower(),
            }
            self.events.publish(EventType.VOLUME, "mount", point.name, told)
            return _below(base, detail.subpath) if detail.subpath else base
        if point.type == "bind":
            if detail.create_source:
                _make_directory(point.source)
            elif not os.path.exists(point.source):
                raise InvalidParameter(
                    f'invalid mount config for type "bind": bind source path does not exist: '
                    f"{point.source}"
                )
        return point.source


def _make_directory(path: str) -> None:
    """Make a bind's source on the host if it is not there, as Docker does for `-v`."""
    try:
        os.makedirs(path, mode=0o755, exist_ok=True)
    except FileExistsError:
        # A file, a socket or a device is there, which can be bound as it is.
        return
    except OSError as error:
        raise LadingError(
            f"error while creating mount source path '{path}': mkdir {path}: "
            f"{(error.strerror or '').lower()}"
        ) from error


def _below(base: str, subpath: str) -> str:
    """Find a volume's subpath, which may not lead out of the volume; raises LadingError."""
    root = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = open_subpath(root, subpath, base)
        try:
            return os.readlink(f"/proc/self/fd/{found}")
        finally:
            os.close(found)
    finally:
        os.close(root)
