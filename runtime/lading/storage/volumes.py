"""Named volumes of the `local` driver: a directory, and a small file that says what it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

ANONYMOUS_LABEL = "com.docker.volume.anonymous"


class Volume(msgspec.Struct, frozen=True, rename="pascal"):
    """A volume as `GET /volumes/{name}` shows it; `created_at` is RFC 3339 with the local zone."""

    name: str
    mountpoint: str
    created_at: str
    driver: str = "local"
    labels: dict[str, str] | None = None
    options: dict[str, str] | None = None
    scope: str = "local"


class VolumeStore:
    """Volumes under `root` (ROOT/volumes), one directory each; safe from several threads."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self) -> None:
        """Make the directory and remove what an earlier crash left half-made."""
        raise NotImplementedError

    def create(
        self,
        name: str = "",
        *,
        driver: str = "local",
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Volume:
        """Make a volume, or give back the one there when it is the same; Conflict when it differs.

        Without a name it is anonymous: 64 hex digits, and the label that says so.
        """
        raise NotImplementedError

    def get(self, name: str) -> Volume:
        """Return a volume; NotFound "get NAME: no such volume"."""
        raise NotImplementedError

    def list(self) -> list[Volume]:
        """Return all volumes by name."""
        raise NotImplementedError

    def remove(self, name: str) -> None:
        """Remove a volume and its content; the caller knows that no container uses it."""
        raise NotImplementedError

    def size(self, name: str) -> int:
        """Return the bytes in a volume, for `system df`; -1 for one on another file system."""
        raise NotImplementedError

    def is_empty(self, name: str) -> bool:
        """Tell whether a volume holds nothing yet (then copy-up applies)."""
        raise NotImplementedError

    def mount(self, name: str) -> str:
        """Make the volume usable and return its path; mounts its device when it has one."""
        raise NotImplementedError

    def unmount(self, name: str) -> None:
        """Undo `mount` when the last user is gone."""
        raise NotImplementedError
