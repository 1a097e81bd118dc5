"""Images by ID, with their names and layers.

    ROOT/image/blobs/sha256/<hex>     configs as they came; an image's ID is its config's digest
    ROOT/image/images/<hex>.json      that there is such an image: its parent, when it was tagged
    ROOT/image/repositories.json      names

An image exists when its record does, and its record is written last, after config and layers are
durable; it is removed first. So a crash leaves at most content that nothing refers to, and `open`
and `collect` remove that.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from lading.errors import InvalidParameter, LadingError, NotFound
from lading.files import TEMPORARY, explaining, write_atomically
from lading.image.deletion import Deletion, ImageUser, ImageUsers, Removal
from lading.image.model import Config, ImageFile, chain_ids, decode_image
from lading.image.names import Names
from lading.image.reference import Reference, parse
from lading.storage.blobs import BlobStore
from lading.storage.digests import DiffId, Digest, digest_of, hex_of, is_digest
from lading.storage.layers import LayerStore, Lease

__all__ = ["HistoryItem", "Image", "ImageStore", "ImageUser", "ImageUsers", "Lease", "Removal"]

_LOG = logging.getLogger(__name__)
_MISSING = "<missing>"


@dataclass(frozen=True, slots=True)
class Image:
    """An image as the store knows it; a snapshot, not changed by later operations.

    `size` is the sum of its layers' sizes in bytes; `tags` and `digests` are in familiar form,
    sorted; `created` and `last_tagged` are RFC 3339 ("" when unknown).
    """

    id: Digest
    parent: Digest
    created: str
    author: str
    comment: str
    architecture: str
    variant: str
    os: str
    docker_version: str
    config: Config
    diff_ids: tuple[DiffId, ...]
    size: int
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    last_tagged: str


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One line of `docker history`; `created` in seconds since 1970, `id` may be `<missing>`."""

    id: str
    created: int
    created_by: str
    tags: tuple[str, ...]
    size: int
    comment: str


class _Record(msgspec.Struct, rename="camel", omit_defaults=True):
    """What is known of an image beside its config."""

    parent: str = ""
    last_tagged: str = ""


@dataclass(slots=True)
class _Known:
    """An image in memory."""

    record: _Record
    file: ImageFile


class ImageStore:
    """The images under `root` (ROOT/image); safe to call from several threads."""

    def __init__(self, root: Path, blobs: BlobStore, layers: LayerStore) -> None:
        self.root = root
        self.blobs = blobs
        self.layers = layers
        self.names = Names(root / "repositories.json")
        self.lock = threading.RLock()
        self._known: dict[Digest, _Known] = {}
        layers.released = self._let_go

    def open(self) -> None:
        """Load the images and repair what a crash left: dangling names, records without content.

        `blobs` and `layers` must be open. `collect` is for later, when it is known which containers
        there are.
        """
        with self.lock, explaining(f"open the image store {self.root}"):
            (self.root / "images").mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in [*self.root.glob(TEMPORARY + "*"), *self.root.glob(f"*/{TEMPORARY}*")]:
                left.unlink()
            for path in list((self.root / "images").glob("*.json")):
                self._load(path)
            self.names.load()
            dangling = self.names.images() - self._known.keys()
            if dangling:
                self.names.remove(*(name for image in dangling for name in self.names.of(image)))

    def get(self, ref: str) -> Image:
        """Find an image by ID, short ID, name, name:tag or name@digest.

        Raises NotFound "No such image: REF", also for a short ID that fits several, and
        InvalidParameter for a malformed reference.
        """
        with self.lock:
            return self._snapshot(self.resolve(ref)[0])

    def resolve(self, ref: str) -> tuple[Digest, Reference | None]:
        """Find an image's ID, and the name by which it was found, None for an ID."""
        if is_digest(ref) or _is_hex(ref, 64):
            image_id = ref if is_digest(ref) else "sha256:" + ref
            if image_id not in self._known:
                raise NotFound(f"No such image: {ref}")
            return image_id, None
        try:
            name = parse(ref).with_default_tag()
        except InvalidParameter:
            if not ref.startswith("sha256:"):
                raise
            name = None
        if name is not None and (image_id := self.names.get(name)):
            return image_id, name
        fitting = [known for known in self._known if _abbreviates(ref, known)]
        if len(fitting) == 1:
            return fitting[0], None
        shown = ref if ref.startswith("sha256:") or name is None else name.familiar
        raise NotFound(f"No such image: {shown}")

    def list(self) -> Sequence[Image]:
        """Return every image, newest first."""
        with self.lock:
            images = [self._snapshot(image_id) for image_id in self._known]
        return sorted(images, key=lambda image: seconds(image.created), reverse=True)

    def children(self, image_id: Digest) -> Sequence[Digest]:
        """Return the images whose parent is this one."""
        with self.lock:
            return [
                other for other, known in self._known.items() if known.record.parent == image_id
            ]

    def shared_size(self, image: Image) -> int:
        """Return the bytes of the layers that other images have in the same place."""
        with self.lock:
            others = {
                chain_id
                for other, known in self._known.items()
                if other != image.id
                for chain_id in chain_ids(known.file.diff_ids)
            }
            return sum(
                self.layers.layer_size(diff_id)
                for chain_id, diff_id in zip(chain_ids(image.diff_ids), image.diff_ids, strict=True)
                if chain_id in others
            )

    def file(self, image_id: Digest) -> ImageFile:
        """Return an image's whole config, read; NotFound when there is no such image."""
        with self.lock:
            known = self._known.get(image_id)
            if known is None:
                raise NotFound(f"No such image: {image_id}")
            return known.file

    def create(self, config: bytes, *, parent: Digest = "") -> Image:
        """Register the image with this config; its layers must be there. It may exist already.

        The caller holds the layers by a lease. When this returns, the image is durable.
        """
        file = decode_image(config)
        for diff_id in file.diff_ids:
            self.layers.get(diff_id)
        image_id = digest_of(config)
        with self.lock:
            if image_id in self._known:
                return self._snapshot(image_id)
        self.layers.settle()
        with self.lock, explaining(f"register image {image_id}"):
            self.blobs.put(config)
            if parent not in self._known:
                parent = ""
            record = _Record(parent)
            try:
                self._write(image_id, record)
            except BaseException:
                self.blobs.delete(image_id)
                raise
            self._known[image_id] = _Known(record, file)
            return self._snapshot(image_id)

    def set_parent(self, image_id: Digest, parent: Digest) -> None:
        """Tell which image another was made from, as `docker save` passes it on."""
        with self.lock, explaining(f"write image {image_id}"):
            known = self._known[image_id]
            if parent in self._known and parent != image_id:
                known.record = _Record(parent, known.record.last_tagged)
                self._write(image_id, known.record)

    def tag(self, image_id: Digest, reference: Reference) -> Digest:
        """Point a tag (or digest) at an image; return the ID it pointed at before, or ""."""
        with self.lock, explaining(f"tag image {image_id}"):
            known = self._known.get(image_id)
            if known is None:
                raise NotFound(f"No such image: {image_id}")
            before = self.names.set(reference.with_default_tag(), image_id)
            known.record = _Record(known.record.parent, now())
            with contextlib.suppress(OSError):  # the name is there; when it came is worth less
                self._write(image_id, known.record)
            return before

    def untag(self, reference: Reference) -> Digest:
        """Remove a tag or digest and return the ID it pointed at; NotFound when there is none."""
        reference = reference.with_default_tag()
        with self.lock:
            image_id = self.names.get(reference)
            if not image_id:
                raise NotFound(f"No such image: {reference.familiar}")
            self.names.remove(reference)
            return image_id

    def remove(
        self, ref: str, *, force: bool = False, prune: bool = True, users: ImageUsers
    ) -> Sequence[Removal]:
        """Untag or delete as `docker rmi` does; Conflict in its words when something is in the way.

        Layers go when no image, container, or lease has them.
        """
        with self.lock:
            deletion = Deletion(self, users, force=force, prune=prune)
            try:
                deletion.run(ref)
            finally:
                retired = deletion.retired
        self.layers.discard(retired)
        return deletion.removals

    def forget(self, image_id: Digest) -> ImageFile:
        """Remove an image's record and config, with the lock held; return what it was."""
        with explaining(f"remove image {image_id}"):
            (self.root / "images" / f"{hex_of(image_id)}.json").unlink(missing_ok=True)
            known = self._known.pop(image_id)
            self.blobs.delete(image_id)
        return known.file

    def parent(self, image_id: Digest) -> Digest:
        """Return an image's parent, or "" when it has none or it is gone."""
        parent = self._known[image_id].record.parent
        return parent if parent in self._known else ""

    def history(self, image: Image) -> Sequence[HistoryItem]:
        """Return what `docker history` shows, newest first.

        Raises InvalidParameter when the config has more steps with a layer than layers.
        """
        steps = self.file(image.id).history or []
        layers = list(image.diff_ids)
        if sum(not step.empty_layer for step in steps) > len(layers):
            raise InvalidParameter("too many non-empty layers in History section")
        sizes = [0 if step.empty_layer else self.layers.layer_size(layers.pop(0)) for step in steps]
        items: list[HistoryItem] = []
        with self.lock:
            known = image.id
            for step, size in zip(reversed(steps), reversed(sizes), strict=True):
                tags = self._tags(known) if known else ()
                when = int(seconds(step.created or ""))
                items.append(
                    HistoryItem(known or _MISSING, when, step.created_by, tags, size, step.comment)
                )
                known = self.parent(known) if known in self._known else ""
        return items

    @contextlib.contextmanager
    def lease(self) -> Iterator[Lease]:
        """Hold layers that no image refers to yet, while one is being made.

        What was held and is still no image's in the end is removed.
        """
        with self.layers.lease() as lease:
            try:
                yield lease
            finally:
                held = set(lease.held)
                lease.held.clear()
                self.release(held)

    def release(self, diff_ids: Iterable[DiffId]) -> None:
        """Remove those of these layers that nothing uses any more."""
        with self.lock:
            retired = self.layers.retire_unused(diff_ids, self.used_layers())
        self.layers.discard(retired)

    def _let_go(self, chain: Iterable[DiffId]) -> None:
        """Remove the layers that only a container had; what stays, the next start removes."""
        try:
            self.release(chain)
        except LadingError as error:
            _LOG.warning("layers of a removed container stay for now: %s", error)

    def used_layers(self) -> set[DiffId]:
        """Return the layers that images have, with the lock held."""
        return {diff_id for known in self._known.values() for diff_id in known.file.diff_ids}

    def used_chains(self) -> set[Digest]:
        """Return the chain IDs that images and containers have, with the lock held."""
        chains = [known.file.diff_ids for known in self._known.values()]
        chains += self.layers.rw_chains()
        return {chain_id for chain in set(chains) for chain_id in chain_ids(chain)}

    def collect(self) -> int:
        """Delete every layer and config that nothing uses; return the bytes of layers freed."""
        with self.lock:
            candidates = [layer.diff_id for layer in self.layers.walk()]
            retired = self.layers.retire_unused(candidates, self.used_layers())
            for blob in list(self.blobs.walk()):
                if blob.digest not in self._known:
                    self.blobs.delete(blob.digest)
        self.layers.discard(retired)
        return sum(one.layer.size for one in retired)

    def _load(self, path: Path) -> None:
        """Load one image; one whose content is not there any more is dropped."""
        image_id = "sha256:" + path.stem
        try:
            record = msgspec.json.decode(path.read_bytes(), type=_Record)
            file = decode_image(self.blobs.read(image_id))
            for diff_id in file.diff_ids:
                self.layers.get(diff_id)
        except (LadingError, msgspec.DecodeError) as error:
            _LOG.warning("image %s is dropped, its content is not complete: %s", image_id, error)
            path.unlink()
            return
        self._known[image_id] = _Known(record, file)

    def _write(self, image_id: Digest, record: _Record) -> None:
        path = self.root / "images" / f"{hex_of(image_id)}.json"
        write_atomically(path, msgspec.json.encode(record))

    def _tags(self, image_id: Digest) -> tuple[str, ...]:
        return tuple(name.familiar for name in self.names.of(image_id) if not name.digest)

    def _snapshot(self, image_id: Digest) -> Image:
        known = self._known[image_id]
        file = known.file
        return Image(
            id=image_id,
            parent=self.parent(image_id),
            created=file.created or "",
            author=file.author,
            comment=file.comment,
            architecture=file.architecture,
            variant=file.variant,
            os=file.os or "linux",
            docker_version=file.docker_version,
            config=file.config or Config(),
            diff_ids=file.diff_ids,
            size=sum(self.layers.layer_size(diff_id) for diff_id in file.diff_ids),
            tags=self._tags(image_id),
            digests=tuple(name.familiar for name in self.names.of(image_id) if name.digest),
            last_tagged=known.record.last_tagged,
        )


def now() -> str:
    """Return the time as Go writes it: RFC 3339 in UTC with nanoseconds."""
    whole, fraction = divmod(time.time_ns(), 1_000_000_000)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:09d}".rstrip("0").rstrip(".") + "Z"


def seconds(created: str) -> float:
    """Return an RFC 3339 time in seconds since 1970; 0 for none and for what cannot be read."""
    if not created:
        return 0.0
    try:
        return datetime.fromisoformat(created).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and all(c in "0123456789abcdef" for c in text)


def _abbreviates(ref: str, image_id: Digest) -> bool:
    """Tell whether `ref` is the beginning of an ID, with or without `sha256:`."""
    if ref.startswith("sha256:"):
        return len(ref) > 7 and image_id.startswith(ref)
    return bool(ref) and image_id.startswith(ref, 7)
