"""`docker save`: an OCI image layout that is at the same time Docker's own archive format.

Layers are written uncompressed, as they were when they came in, to the byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from lading.errors import InvalidParameter, NotFound
from lading.image.model import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Index,
    Manifest,
    SavedImage,
)
from lading.image.reference import Reference, parse
from lading.image.store import Image, ImageStore, Lease, seconds
from lading.storage.archive.encode import END, encode, padding
from lading.storage.archive.entries import Entry, Kind
from lading.storage.digests import Digest, digest_of, hex_of

_LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'
_BLOBS = "blobs/sha256/"


@dataclass(slots=True)
class _Chosen:
    """An image to be saved, and the names it is saved under."""

    image: Image
    names: list[Reference] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Blob:
    """A file of the archive: its length, its time, and how to get its bytes."""

    size: int
    mtime: int
    content: Callable[[], Iterator[bytes]]


def save(store: ImageStore, references: Sequence[str]) -> Iterator[bytes]:
    """Yield an archive with these images: an OCI layout with Docker's manifest.json.

    A repository without a tag stands for all its tags; an ID saves the image without a name.
    NotFound for an unknown image is raised before the first byte.
    """
    return _write(store, _choose(store, references))


def chosen(store: ImageStore, references: Sequence[str]) -> list[Image]:
    """Return the images that `save` would put into an archive; raises as it does."""
    return [one.image for one in _choose(store, references)]


def _choose(store: ImageStore, references: Sequence[str]) -> list[_Chosen]:
    if not references:
        raise InvalidParameter("no image names to save were given")
    found: dict[Digest, _Chosen] = {}
    for text in references:
        try:
            names, image = _named(store, text)
        except NotFound:
            raise NotFound(f"No such image: {text}") from None
        entry = found.setdefault(image.id, _Chosen(image))
        for name, target in names:
            entry = found.setdefault(target, _Chosen(store.get(target)))
            if name not in entry.names:
                entry.names.append(name)
    return list(found.values())


def _named(store: ImageStore, text: str) -> tuple[list[tuple[Reference, Digest]], Image]:
    """Resolve one argument to the names, with their images, that it stands for."""
    with store.lock:
        all_tags = _tags_of_repository(store, text)
        if all_tags:
            return all_tags, store.get(all_tags[0][1])
        image_id, name = store.resolve(text)
        names = [(name, image_id)] if name is not None and name.tag else []
        return names, store.get(image_id)


def _tags_of_repository(store: ImageStore, text: str) -> list[tuple[Reference, Digest]]:
    try:
        wanted = parse(text)
    except InvalidParameter:
        return []
    if wanted.tag or wanted.digest:
        return []
    return [
        (name, image.id)
        for image in store.list()
        for name in store.names.of(image.id)
        if name.name == wanted.name and name.tag
    ]


def _write(store: ImageStore, images: list[_Chosen]) -> Iterator[bytes]:
    with store.lease() as lease:
        contents = _Contents(store, lease)
        for one in images:
            contents.add(one)
        yield from contents.archive({one.image.id for one in images})


class _Contents:
    """The files of an archive, gathered before the first of them is written."""

    def __init__(self, store: ImageStore, lease: Lease) -> None:
        self._store = store
        self._lease = lease
        self._blobs: dict[Digest, _Blob] = {}
        self._saved: list[tuple[SavedImage, Digest]] = []
        self._manifests: list[Descriptor] = []
        self._repositories: dict[str, dict[str, str]] = {}

    def add(self, chosen: _Chosen) -> None:
        """Gather one image: its layers, config and manifest, and its names."""
        image = chosen.image
        mtime = max(int(seconds(image.created)), 0)
        layers = [self._layer(diff_id, mtime) for diff_id in image.diff_ids]
        config = self._store.blobs.read(image.id)
        self._add_bytes(config, mtime)
        manifest = msgspec.json.encode(
            Manifest(
                media_type=OCI_MANIFEST,
                config=Descriptor(media_type=OCI_CONFIG, digest=image.id, size=len(config)),
                layers=layers,
            )
        )
        digest = self._add_bytes(manifest, 0)
        self._describe(digest, len(manifest), chosen)
        saved = SavedImage(
            config=_BLOBS + hex_of(image.id),
            repo_tags=[name.familiar for name in chosen.names] or None,
            layers=[_BLOBS + hex_of(layer.digest) for layer in layers],
            layer_sources={layer.digest: layer for layer in layers},
        )
        self._saved.append((saved, image.parent))

    def archive(self, saved_ids: set[Digest]) -> Iterator[bytes]:
        """Yield the archive's bytes, names in alphabetical order as Docker has them."""
        newest = max((blob.mtime for blob in self._blobs.values()), default=0)
        yield _directory("blobs/", newest) + _directory(_BLOBS, newest)
        for digest in sorted(self._blobs):
            yield from _file(_BLOBS + hex_of(digest), self._blobs[digest])
        index = msgspec.json.encode(Index(media_type=OCI_INDEX, manifests=self._manifests))
        yield from _file("index.json", _of_bytes(index))
        yield from _file("manifest.json", _of_bytes(self._listing(saved_ids)))
        yield from _file("oci-layout", _of_bytes(_LAYOUT))
        if self._repositories:
            repositories = msgspec.json.encode(self._repositories) + b"\n"
            yield from _file("repositories", _of_bytes(repositories))
        yield END

    def _layer(self, diff_id: Digest, mtime: int) -> Descriptor:
        """Hold a layer for as long as the archive is written, and add it."""
        layer = self._lease.hold(diff_id)
        self._blobs[diff_id] = _Blob(
            layer.tar_size, mtime, lambda: self._store.layers.assemble(diff_id)
        )
        return Descriptor(media_type=OCI_LAYER, digest=diff_id, size=layer.tar_size)

    def _add_bytes(self, data: bytes, mtime: int) -> Digest:
        digest = digest_of(data)
        self._blobs[digest] = _of_bytes(data, mtime)
        return digest

    def _describe(self, digest: Digest, size: int, chosen: _Chosen) -> None:
        """List the manifest in the index, once for each name."""
        for name in chosen.names:
            annotations = {
                "io.containerd.image.name": str(name),
                "org.opencontainers.image.ref.name": name.tag,
            }
            self._manifests.append(
                Descriptor(
                    media_type=OCI_MANIFEST, digest=digest, size=size, annotations=annotations
                )
            )
            if chosen.image.diff_ids:
                tags = self._repositories.setdefault(name.familiar_name, {})
                tags[name.tag] = hex_of(chosen.image.diff_ids[-1])
        if not chosen.names:
            self._manifests.append(Descriptor(media_type=OCI_MANIFEST, digest=digest, size=size))

    def _listing(self, saved_ids: set[Digest]) -> bytes:
        """Write manifest.json; a parent is told when it is in the archive, too."""
        listing = []
        for saved, parent in self._saved:
            raw = msgspec.to_builtins(saved)
            raw.pop("Parent")
            if parent in saved_ids:
                raw["Parent"] = parent
            listing.append(raw)
        return msgspec.json.encode(listing) + b"\n"


def _of_bytes(data: bytes, mtime: int = 0) -> _Blob:
    return _Blob(len(data), mtime, lambda: iter((data,)))


def _directory(name: str, mtime: int) -> bytes:
    entry = Entry(name.encode(), Kind.DIRECTORY, 0o755, mtime=mtime * 1_000_000_000)
    return encode(entry)


def _file(name: str, blob: _Blob) -> Iterator[bytes]:
    entry = Entry(name.encode(), Kind.FILE, 0o644, mtime=blob.mtime * 1_000_000_000)
    entry.size = entry.stored = blob.size
    yield encode(entry)
    yield from blob.content()
    if filler := padding(blob.size):
        yield filler
