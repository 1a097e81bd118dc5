"""What is in an image archive, taken in one pass over the stream.

Layers come before the files that tell what they are, and an archive may be larger than the disk has
room for twice. So whatever looks like a layer is unpacked as it comes, and held by a lease; what
then turns out to belong to no image is let go. Small JSON files are kept in memory.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass

from lading.errors import InvalidParameter, LadingError
from lading.image.model import CONFIG_MAX
from lading.storage.archive.compression import Compression, Peeked, detect, open_plain
from lading.storage.archive.entries import Entry, Kind, clean
from lading.storage.archive.reader import TarReader
from lading.storage.digests import Digest, digest_of, is_digest
from lading.storage.layers import Layer, LayerStore, Lease
from lading.storage.streams import Readable

_BLOBS = "blobs/sha256/"
_DOCUMENTS_MAX = 64 << 20
"""The most bytes of JSON that one archive may hold."""

_PEEK = 512
_REPORT_STEP = 1 << 20


@dataclass(frozen=True, slots=True)
class LayerProgress:
    """A layer is being loaded: `id` is 12 digits of its name, sizes in bytes."""

    id: str
    current: int
    total: int


@dataclass(frozen=True, slots=True)
class Part:
    """A layer of the archive: unpacked, with the digest of its bytes, or why it could not be."""

    layer: Layer | None
    digest: Digest
    failure: LadingError | None = None


class Intake:
    """The content of an archive by name in it."""

    def __init__(
        self, layers: LayerStore, lease: Lease, report: Callable[[LayerProgress], None]
    ) -> None:
        self._layers = layers
        self._lease = lease
        self._report = report
        self._documents: dict[str, bytes] = {}
        self._parts: dict[str, Part] = {}
        self._links: dict[str, str] = {}
        self._room = _DOCUMENTS_MAX

    def read(self, source: Readable) -> None:
        """Take in the whole archive, compressed or not."""
        _, pull = open_plain(source)
        reader = TarReader(pull)
        for entry in reader:
            self._take(entry, reader)
        reader.drain()

    def document(self, name: str) -> bytes | None:
        """Return a small file's content; None when the archive has none by this name."""
        return self._documents.get(self._resolve(name))

    def blob(self, digest: Digest) -> bytes:
        """Return a small blob of an OCI layout, verified; InvalidParameter when it is missing."""
        data = self.document(_blob_name(digest))
        if data is None:
            raise InvalidParameter(f"the archive refers to blob {digest} but does not have it")
        if digest_of(data) != digest:
            raise InvalidParameter(f"blob {digest} of the archive does not match its digest")
        return data

    def layer(self, name: str) -> Layer:
        """Return the layer by a name in the archive; raise why it is not there."""
        resolved = self._resolve(name)
        part = self._parts.get(resolved)
        if part is None:
            raise InvalidParameter(f'the archive refers to layer "{name}" but does not have it')
        if part.failure is not None or part.layer is None:
            raise part.failure or InvalidParameter(f'layer "{name}" cannot be read')
        if resolved.startswith(_BLOBS) and part.digest != "sha256:" + resolved[len(_BLOBS) :]:
            raise InvalidParameter(
                f"blob {resolved} does not match its digest: it is {part.digest}"
            )
        return part.layer

    def blob_layer(self, digest: Digest) -> Layer:
        """Return a layer of an OCI layout."""
        return self.layer(_blob_name(digest))

    def _take(self, entry: Entry, reader: TarReader) -> None:
        name = clean(entry.name).decode("utf-8", "surrogateescape")
        if entry.kind is Kind.SYMLINK:
            target = entry.link.decode("utf-8", "surrogateescape")
            self._links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
        elif entry.kind is Kind.HARD_LINK:
            self._links[name] = clean(entry.link).decode("utf-8", "surrogateescape")
        elif entry.kind is Kind.FILE:
            peeked = Peeked(reader, min(_PEEK, entry.stored))
            if _looks_like_layer(peeked.head):
                self._parts[name] = self._unpack(name, entry, peeked)
            elif entry.stored <= CONFIG_MAX:
                self._documents[name] = self._read_document(entry, peeked)

    def _read_document(self, entry: Entry, source: Readable) -> bytes:
        self._room -= entry.stored
        if self._room < 0:
            raise InvalidParameter("the archive has too much beside layers to be an image archive")
        data = bytearray()
        while more := source.read(1 << 16):
            data += more
        return bytes(data)

    def _unpack(self, name: str, entry: Entry, source: Peeked) -> Part:
        """Unpack a layer, or only read it when its name says that it is here."""
        digest = "sha256:" + name[len(_BLOBS) :]
        known = name.startswith(_BLOBS) and is_digest(digest) and self._layers.exists(digest)
        if known and detect(source.head) is Compression.NONE:
            return Part(self._lease.hold(digest), digest)
        label = name[len(_BLOBS) :] if name.startswith(_BLOBS) else name
        reported = -_REPORT_STEP

        def progress(current: int) -> None:
            nonlocal reported
            if current - reported >= _REPORT_STEP or current == entry.stored:
                reported = current
                self._report(LayerProgress(label[:12], current, entry.stored))

        try:
            unpacked = self._layers.unpack_stream(source, progress=progress, lease=self._lease)
        except InvalidParameter as error:
            # What only looked like a layer is no fault unless an image wants it.
            return Part(None, "", error)
        return Part(unpacked.layer, unpacked.digest)

    def _resolve(self, name: str) -> str:
        """Follow links between the archive's names."""
        name = posixpath.normpath(name)
        for _ in range(8):
            if name not in self._links:
                return name
            name = self._links[name]
        raise InvalidParameter(f'the archive has a cycle of links at "{name}"')


def _blob_name(digest: Digest) -> str:
    return "blobs/" + digest.replace(":", "/", 1)


def _looks_like_layer(head: bytes) -> bool:
    """Tell a tar or something compressed by its first block; an empty layer begins with zeros."""
    if detect(head) is not Compression.NONE:
        return True
    return len(head) >= _PEEK and (head[257:262] == b"ustar" or not head[:_PEEK].strip(b"\0"))
