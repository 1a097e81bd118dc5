"""Layers as overlay2 directories: read-only ones by diff ID, read-write ones by container.

    ROOT/overlay2/<diff-id hex>/{diff/,link,layer.json,recipe}   a read-only layer
    ROOT/overlay2/init/<key>/{diff/,link}                        what every container finds in place
    ROOT/overlay2/<container id>/{diff/,work/,chain.json}        a container's read-write layer
    ROOT/overlay2/l/<26 chars> -> ../<…>/diff                    short names for mount options
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from lading.storage.digests import DiffId
from lading.storage.streams import Progress, Readable


@dataclass(frozen=True, slots=True)
class Layer:
    """A read-only layer in the store; `size` is the sum of its files' lengths, as Docker counts."""

    diff_id: DiffId
    size: int
    directory: Path


@dataclass(frozen=True, slots=True)
class RwLayer:
    """A container's read-write layer; `chain` lists the diff IDs under it, base first."""

    container_id: str
    chain: tuple[DiffId, ...]
    directory: Path


class ChangeKind(IntEnum):
    """What happened to a path, numbered as `GET /containers/{id}/changes` does."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


@dataclass(frozen=True, slots=True)
class Change:
    """One line of `docker diff`: an absolute path in the container and what happened to it."""

    path: str
    kind: ChangeKind


@dataclass(frozen=True, slots=True)
class Bind:
    """A mount to be seen in a stopped container's view: `source` on the host, `destination` inside."""

    source: str
    destination: str
    read_only: bool = False


class LayerStore:
    """All layers under `root` (ROOT/overlay2); safe to call from several threads."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self) -> None:
        """Make the directories and remove what an earlier crash left half-made."""
        raise NotImplementedError

    # Read-only layers

    def unpack(
        self, source: Readable, expected: DiffId | None = None, progress: Progress | None = None
    ) -> Layer:
        """Unpack a tar stream, compressed or not, into a layer; give back the one there if it exists.

        Raises InvalidParameter for a malformed or hostile archive and for a diff ID that is not
        `expected`; nothing stays then.
        """
        raise NotImplementedError

    def get(self, diff_id: DiffId) -> Layer:
        """Return a layer; NotFound when there is none."""
        raise NotImplementedError

    def exists(self, diff_id: DiffId) -> bool:
        """Tell whether the layer is in the store."""
        raise NotImplementedError

    def walk(self) -> Iterator[Layer]:
        """Yield every read-only layer, in no order."""
        raise NotImplementedError

    def delete(self, diff_id: DiffId) -> None:
        """Remove a read-only layer; the caller knows that nothing uses it."""
        raise NotImplementedError

    def assemble(self, diff_id: DiffId) -> Iterator[bytes]:
        """Yield the layer's tar stream, byte for byte as it came in; verified at its end."""
        raise NotImplementedError

    # Containers

    def create_rw(self, container_id: str, chain: Sequence[DiffId]) -> RwLayer:
        """Make a container's read-write layer over `chain` (base first, empty for no image)."""
        raise NotImplementedError

    def rw(self, container_id: str) -> RwLayer:
        """Return a container's read-write layer; NotFound when there is none."""
        raise NotImplementedError

    def rw_layers(self) -> Iterator[RwLayer]:
        """Yield every container's read-write layer."""
        raise NotImplementedError

    def remove_rw(self, container_id: str) -> None:
        """Remove a container's read-write layer whatever is in it; nothing happens without one."""
        raise NotImplementedError

    def mount_options(self, rw: RwLayer) -> list[str]:
        """Return the options of the overlay mount at "/" (type `overlay`, source `overlay`).

        Paths in them are relative to the directory that `x-lading.chdir=` names.
        """
        raise NotImplementedError

    def size(self, rw: RwLayer) -> int:
        """Return `SizeRw`: the bytes of the files that the container wrote."""
        raise NotImplementedError

    def root_size(self, rw: RwLayer) -> int:
        """Return `SizeRootFs`: `size` and the sizes of the layers below."""
        raise NotImplementedError

    def changes(self, rw: RwLayer) -> list[Change]:
        """Return what `docker diff` shows, sorted by path."""
        raise NotImplementedError

    def diff_tar(self, rw: RwLayer) -> Iterator[bytes]:
        """Yield the read-write layer as a layer tar (with `.wh.` files), in a fixed order."""
        raise NotImplementedError

    def export(self, rw: RwLayer) -> Iterator[bytes]:
        """Yield the container's whole merged file system as a tar, as `docker export` does."""
        raise NotImplementedError

    def view(
        self, rw: RwLayer, *, writable: bool = False, binds: Sequence[Bind] = ()
    ) -> AbstractContextManager[int]:
        """Give a directory fd at the root of a *stopped* container's merged file system.

        No mount appears in the host's mount namespace. For a running container open
        `/proc/<pid>/root` instead.
        """
        raise NotImplementedError
