"""Read-only layers as overlay2 directories, by diff ID; and, through `RwLayers`, the containers'.

ROOT/overlay2/<diff-id hex>/{diff/,layer.json,recipe}     a read-only layer
ROOT/overlay2/init/<key>/diff/                            what every container finds in place
ROOT/overlay2/<container id>/{diff/,work/,chain.json}     a container's read-write layer
ROOT/overlay2/l/<26 chars> -> ../<…>/diff                 short names for mount options
ROOT/overlay2/.tmp-*                                      incomplete: the next start removes it
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lading.errors import InvalidParameter, LadingError, NotFound
from lading.files import TEMPORARY, explaining, temporary_name, write_atomically
from lading.kernel.syscalls import libc
from lading.storage import trees
from lading.storage.archive.extract import LayerExtractor
from lading.storage.archive.pipeline import Pipeline
from lading.storage.archive.reader import TarReader
from lading.storage.changes import Change, ChangeKind
from lading.storage.digests import DiffId, Digest, hex_of
from lading.storage.recipes import RecipeWriter, assemble
from lading.storage.rwlayers import RwLayer, RwLayers, short_name
from lading.storage.streams import Progress, Readable
from lading.storage.views import Bind

__all__ = ["Bind", "Change", "ChangeKind", "Layer", "LayerStore", "Lease", "RwLayer"]

_LOG = logging.getLogger(__name__)

LINKS = "l"
INIT = "init"
VIEW = "view"
_OURS = {LINKS, INIT, VIEW}


@dataclass(frozen=True, slots=True)
class Layer:
    """A read-only layer in the store.

    `size` is the sum of its files' lengths, as Docker counts; `tar_size` is the length of its tar
    stream; both in bytes.
    """

    diff_id: DiffId
    size: int
    directory: Path
    tar_size: int


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A layer that was unpacked, and the digest and length of the (compressed) bytes it came in."""

    layer: Layer
    digest: Digest
    raw_size: int


@dataclass(frozen=True, slots=True)
class Retired:
    """A layer that is no longer in the store, and where its files are until they are removed."""

    layer: Layer
    place: Path


class Lease:
    """Layers that are held against removal while something is made of them."""

    def __init__(self, store: LayerStore) -> None:
        self.held: set[DiffId] = set()
        self._store = store

    def hold(self, diff_id: DiffId) -> Layer:
        """Keep a layer that is in the store; NotFound when it is not."""
        return self._store.hold(self, diff_id)


class _Record(msgspec.Struct, rename="camel"):
    """What `layer.json` tells of a layer."""

    diff_id: str
    size: int
    tar_size: int


class LayerStore(RwLayers):
    """All layers under `root` (ROOT/overlay2); safe to call from several threads."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._known: dict[DiffId, Layer] = {}
        self._unsettled: set[DiffId] = set()
        self._leases: set[Lease] = set()

    def open(self) -> None:
        """Make the directories and remove what an earlier crash left half-made."""
        with explaining(f"open the layer store {self.root}"):
            for name in _OURS:
                (self.root / name).mkdir(mode=0o711, parents=True, exist_ok=True)
            descriptor = trees.open_root(self.root)
            trees.spread(descriptor)
            os.close(descriptor)
            self._sweep(self.root)
            self._sweep(self.root / INIT)
            self._drop_damaged()
            for link in os.scandir(self.root / LINKS):
                if not os.path.exists(link.path):
                    os.unlink(link.path)
            self._chains = {rw.container_id: rw.chain for rw in self.rw_layers()}

    def unpack(
        self, source: Readable, expected: DiffId | None = None, progress: Progress | None = None
    ) -> Layer:
        """Unpack a tar stream, compressed or not, into a layer, unless `expected` is there already.

        Raises InvalidParameter for a malformed or hostile archive and for a diff ID that is not
        `expected`; nothing stays then. A layer may be lost in a power failure until `settle`.
        """
        if expected is not None and self.exists(expected):
            return self.get(expected)
        return self.unpack_stream(source, expected, progress).layer

    def unpack_stream(
        self,
        source: Readable,
        expected: DiffId | None = None,
        progress: Progress | None = None,
        *,
        digest: Digest | None = None,
        lease: Lease | None = None,
    ) -> Unpacked:
        """As `unpack`, but consume `source` in any case and tell the digest of its raw bytes.

        With `digest`, InvalidParameter is raised when the raw bytes have another one. With `lease`,
        the layer is held by it from its first moment.
        """
        temporary = self.root / temporary_name()
        try:
            with explaining("unpack a layer"):
                temporary.mkdir(mode=0o711)
                record, unpacked_digest, raw_size = _unpack(source, temporary, progress)
            _verify("layer content", digest, unpacked_digest)
            _verify("layer", expected, record.diff_id)
            with explaining("unpack a layer"):
                layer = self._adopt(temporary, record, lease)
        except BaseException:
            self._discard(temporary)
            raise
        return Unpacked(layer, unpacked_digest, raw_size)

    def get(self, diff_id: DiffId) -> Layer:
        """Return a layer; NotFound when there is none."""
        layer = self._known.get(diff_id)
        if layer is not None:
            return layer
        directory = self.root / hex_of(diff_id)
        try:
            record = msgspec.json.decode((directory / "layer.json").read_bytes(), type=_Record)
        except FileNotFoundError:
            raise NotFound(f"layer {diff_id} does not exist") from None
        except msgspec.DecodeError as error:
            raise LadingError(f"layer {diff_id} is damaged: {error}") from None
        layer = Layer(diff_id, record.size, directory, record.tar_size)
        self._known[diff_id] = layer
        return layer

    def exists(self, diff_id: DiffId) -> bool:
        """Tell whether the layer is in the store."""
        return diff_id in self._known or (self.root / hex_of(diff_id) / "layer.json").exists()

    def walk(self) -> Iterator[Layer]:
        """Yield every read-only layer, in no order."""
        for name in os.listdir(self.root):
            if name not in _OURS and (self.root / name / "layer.json").exists():
                with contextlib.suppress(NotFound):
                    yield self.get("sha256:" + name)

    @contextlib.contextmanager
    def lease(self) -> Iterator[Lease]:
        """Hold layers that no image refers to yet, while one is being made."""
        lease = Lease(self)
        with self._lock:
            self._leases.add(lease)
        try:
            yield lease
        finally:
            with self._lock:
                self._leases.discard(lease)

    def hold(self, lease: Lease, diff_id: DiffId) -> Layer:
        """Add a layer to a lease; NotFound when it is not in the store."""
        with self._lock:
            layer = self.get(diff_id)
            lease.held.add(diff_id)
            return layer

    def retire_unused(self, candidates: Iterable[DiffId], keep: Container[DiffId]) -> list[Retired]:
        """Take those layers out of the store that neither `keep`, a container nor a lease uses.

        Quick: the files go with `discard`, or at the next start.
        """
        retired: list[Retired] = []
        with self._lock, explaining("remove layers"):
            used = {diff_id for chain in self._chains.values() for diff_id in chain}
            used.update(*(lease.held for lease in self._leases))
            for diff_id in set(candidates):
                if diff_id in keep or diff_id in used or not self.exists(diff_id):
                    continue
                name = hex_of(diff_id)
                layer = self.get(diff_id)
                doomed = self._retire(name)
                self._known.pop(diff_id, None)
                self._unsettled.discard(diff_id)
                (self.root / LINKS / short_name(name)).unlink(missing_ok=True)
                if doomed is not None:
                    retired.append(Retired(layer, doomed))
        return retired

    def discard(self, retired: Iterable[Retired]) -> None:
        """Remove the files of layers that were taken out of the store."""
        with explaining("remove layers"):
            for one in retired:
                self._discard(one.place)

    def assemble(self, diff_id: DiffId) -> Iterator[bytes]:
        """Yield the layer's tar stream, byte for byte as it came in; verified at its end."""
        layer = self.get(diff_id)
        return assemble(layer.directory / "recipe", layer.directory / "diff", diff_id)

    def settle(self) -> None:
        """Make all unpacked layers durable; to be called before anything durable refers to them."""
        with self._lock:
            waiting = set(self._unsettled)
        if not waiting:
            return
        descriptor = trees.open_root(self.root)
        try:
            if libc.syncfs(descriptor) != 0:
                raise LadingError("cannot make layers durable: the file system reports an error")
        finally:
            os.close(descriptor)
        with self._lock:
            self._unsettled -= waiting

    def layer_size(self, diff_id: DiffId) -> int:
        """Return a read-only layer's size in bytes; NotFound when there is none."""
        return self.get(diff_id).size

    def _layer_path(self, diff_id: DiffId) -> Path:
        return self.get(diff_id).directory / "diff"

    def _adopt(self, temporary: Path, record: _Record, lease: Lease | None) -> Layer:
        """Give a complete layer its name, unless another thread was quicker with the same one."""
        name = hex_of(record.diff_id)
        directory = self.root / name
        write_atomically(temporary / "layer.json", msgspec.json.encode(record), durable=False)
        with self._lock:
            if lease is not None:
                lease.held.add(record.diff_id)
            if directory.exists():
                self._discard(temporary)
            else:
                self._link(name, name)
                temporary.rename(directory)
                self._unsettled.add(record.diff_id)
        return self.get(record.diff_id)

    def _drop_damaged(self) -> None:
        """Remove layers whose record a power failure cut off: nothing durable refers to them."""
        for name in os.listdir(self.root):
            try:
                if len(name) == 64 and (self.root / name / "layer.json").exists():
                    self.get("sha256:" + name)
            except LadingError as error:
                _LOG.warning("%s; it is removed", error)
                self._discard(self.root / name)

    def _sweep(self, directory: Path) -> None:
        for name in os.listdir(directory):
            if name.startswith(TEMPORARY):
                self._discard(directory / name)


def _unpack(
    source: Readable, temporary: Path, progress: Progress | None
) -> tuple[_Record, Digest, int]:
    """Fill a temporary layer directory from a stream, all of which is consumed."""
    content = temporary / "diff"
    content.mkdir()
    root = trees.open_root(content)
    try:
        with (
            RecipeWriter(temporary / "recipe") as recipe,
            Pipeline(source, progress) as pipeline,
            LayerExtractor(root) as extractor,
        ):
            reader = TarReader(pipeline.pull, recipe.add)
            extractor.extract(reader)
            reader.drain()
            recipe.finish()
            os.fchmod(root, 0o755)
            record = _Record(pipeline.diff_id, extractor.size, pipeline.size)
            return record, pipeline.raw_digest, pipeline.raw_size
    finally:
        os.close(root)


def _verify(what: str, expected: Digest | None, actual: Digest) -> None:
    if expected is not None and expected != actual:
        hex_of(expected)
        raise InvalidParameter(
            f"{what} does not match its digest: expected {expected}, got {actual}"
        )
