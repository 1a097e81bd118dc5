"""Which names point at which images: tags and digests, kept in one file as Docker does.

{"Repositories": {"busybox": {"busybox:latest": "sha256:…", "busybox@sha256:…": "sha256:…"}}}
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from lading.errors import InvalidParameter
from lading.files import explaining, write_atomically
from lading.image.reference import Reference, parse
from lading.storage.digests import Digest


class _File(msgspec.Struct, rename="pascal"):
    repositories: dict[str, dict[str, Digest]] = msgspec.field(default_factory=dict)


class Names:
    """Tags and digests of images; every change is durable when the call returns.

    Not safe from several threads: the image store's lock guards it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._targets: dict[Reference, Digest] = {}
        self._by_image: dict[Digest, list[Reference]] = {}

    def load(self) -> None:
        """Read the file; a missing one means no names."""
        try:
            content = msgspec.json.decode(self._path.read_bytes(), type=_File)
        except FileNotFoundError:
            content = _File()
        self._targets = {
            parse(text): image_id
            for names in content.repositories.values()
            for text, image_id in names.items()
        }
        self._index()

    def get(self, reference: Reference) -> Digest:
        """Return the image that a name points at, "" for none; a digest overrules a tag."""
        return self._targets.get(_key(reference), "")

    def of(self, image_id: Digest) -> list[Reference]:
        """Return the names of an image, sorted."""
        return list(self._by_image.get(image_id, ()))

    def images(self) -> set[Digest]:
        """Return the images that have names."""
        return set(self._by_image)

    def set(self, reference: Reference, image_id: Digest) -> Digest:
        """Point a name at an image; return what it pointed at before, or ""."""
        key = _key(reference)
        if not key.tag and not key.digest:
            raise InvalidParameter(f"reference {reference.familiar} has neither a tag nor a digest")
        before = self._targets.get(key, "")
        if before != image_id:
            self._store({**self._targets, key: image_id})
        return before

    def remove(self, *references: Reference) -> None:
        """Remove names; those that are not there do not matter."""
        keys = {_key(reference) for reference in references}
        self._store({name: target for name, target in self._targets.items() if name not in keys})

    def _store(self, targets: dict[Reference, Digest]) -> None:
        """Write the names, then know them: a full disk leaves both as they were."""
        content = _File()
        for reference in sorted(targets, key=str):
            names = content.repositories.setdefault(reference.familiar_name, {})
            names[reference.familiar] = targets[reference]
        with explaining("write the names of images"):
            write_atomically(self._path, msgspec.json.encode(content))
        self._targets = targets
        self._index()

    def _index(self) -> None:
        self._by_image = {}
        for reference in sorted(self._targets, key=str):
            self._by_image.setdefault(self._targets[reference], []).append(reference)


def _key(reference: Reference) -> Reference:
    """A name with a tag and a digest means the digest: the tag may have moved on."""
    if reference.digest and reference.tag:
        return Reference(reference.domain, reference.path, digest=reference.digest)
    return reference
