"""Which blobs in which repositories a layer is known to be: so that a push need not send it.

ROOT/image/distribution/<diff-id hex>.json
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from lading.files import write_atomically
from lading.storage.digests import DiffId, Digest, hex_of

_KEPT = 8
"""Sources remembered for a layer; the newest are the likeliest to be there still."""


class Source(msgspec.Struct, frozen=True):
    """A layer's blob in a repository (`domain/path`); `size` is its compressed size in bytes."""

    repository: str
    digest: Digest
    size: int
    media_type: str


class LayerSources:
    """The records under `root`; losing one costs an upload, nothing else."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    def of(self, diff_id: DiffId) -> list[Source]:
        """Where the layer is known to be, newest first."""
        try:
            data = self._path(diff_id).read_bytes()
            return msgspec.json.decode(data, type=list[Source])
        except (FileNotFoundError, msgspec.MsgspecError):
            return []

    def record(self, diff_id: DiffId, source: Source) -> None:
        """Note that the layer is that blob there."""
        others = [one for one in self.of(diff_id) if one.repository != source.repository]
        content = msgspec.json.encode([source, *others][:_KEPT])
        write_atomically(self._path(diff_id), content, durable=False)

    def prune(self, exists: Callable[[DiffId], bool]) -> None:
        """Drop the records of layers that do not exist any more."""
        for path in list(self._root.glob("*.json")):
            if not exists(f"sha256:{path.stem}"):
                path.unlink(missing_ok=True)

    def _path(self, diff_id: DiffId) -> Path:
        return self._root / f"{hex_of(diff_id)}.json"
