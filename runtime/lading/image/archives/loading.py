"""`docker load`: archives of `docker save`, of any age since 1.10, and OCI image layouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from lading.errors import InvalidParameter
from lading.image.archives.intake import Intake, LayerProgress
from lading.image.model import (
    DOCKER_CONFIG,
    DOCKER_INDEX,
    OCI_CONFIG,
    OCI_INDEX,
    Descriptor,
    Index,
    Manifest,
    SavedImage,
    decode,
    decode_image,
)
from lading.image.reference import Reference, parse
from lading.image.registry.platforms import Platform, host
from lading.image.store import Image, ImageStore
from lading.storage.digests import Digest
from lading.storage.layers import Layer
from lading.storage.streams import Readable

_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_NESTING_MAX = 4


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image was loaded: `reference` is its familiar tag, or "" when it has only an ID.

    `renamed` is the ID of the image that had the tag before and lost it.
    """

    image: Image
    reference: str
    renamed: str = ""


LoadEvent: TypeAlias = LayerProgress | Loaded


@dataclass(frozen=True, slots=True)
class _Found:
    """An image of the archive, complete and checked, but not yet in the store."""

    config: bytes
    names: list[Reference]
    parent: Digest


def load(
    store: ImageStore,
    source: Readable,
    report: Callable[[LoadEvent], None] | None = None,
    platform: Platform | None = None,
) -> list[Loaded]:
    """Load every image in a `docker save` or OCI layout archive, compressed or not.

    With `platform` those for another one are left out. `report` is told of layers as they are
    unpacked and of images as they are there. All images are checked before the first one is
    registered; when this raises, nothing was loaded.
    """
    tell = report or _ignore
    with store.lease() as lease:
        intake = Intake(store.layers, lease, tell)
        intake.read(source)
        found = _only_for(platform, list(_images(intake, platform or host())))
        return [loaded for one in found for loaded in _register(store, one, tell)]


def _ignore(event: LoadEvent) -> None:
    del event


def _only_for(platform: Platform | None, found: list[_Found]) -> list[_Found]:
    """Leave out what is not for the platform that was asked for; something has to be left."""
    if platform is None or not found:
        return found
    fitting = []
    for one in found:
        file = decode_image(one.config)
        if platform.runs(Platform(file.os or "linux", file.architecture, file.variant)):
            fitting.append(one)
    if not fitting:
        raise _none_for(platform)
    return fitting


def _images(intake: Intake, platform: Platform) -> Iterator[_Found]:
    listing = intake.document("manifest.json")
    if listing is not None:
        for saved in decode(listing, list[SavedImage], "manifest.json"):
            yield _saved_image(intake, saved)
        return
    index = intake.document("index.json")
    if index is None:
        raise InvalidParameter(
            "the archive is no image archive: it has neither a manifest.json nor an index.json"
        )
    for descriptor in decode(index, Index, "index.json").manifests:
        yield from _oci_images(intake, descriptor, platform, 0)


def _saved_image(intake: Intake, saved: SavedImage) -> _Found:
    config = intake.document(saved.config)
    if config is None:
        raise InvalidParameter(
            f'the archive refers to config "{saved.config}" but does not have it'
        )
    layers = [intake.layer(name) for name in saved.layers or ()]
    _check(config, layers)
    names = [_tagged(text) for text in saved.repo_tags or ()]
    return _Found(config, names, saved.parent)


def _tagged(text: str) -> Reference:
    name = parse(text)
    if not name.tag:
        raise InvalidParameter(f'invalid tag "{text}" in manifest.json')
    return name


def _oci_images(
    intake: Intake, descriptor: Descriptor, platform: Platform, depth: int
) -> Iterator[_Found]:
    """Find the images of one descriptor; of an index, the one for the platform."""
    if depth > _NESTING_MAX:
        raise InvalidParameter("the archive has indexes nested too deeply")
    if descriptor.media_type in {OCI_INDEX, DOCKER_INDEX}:
        index: Index = decode(intake.blob(descriptor.digest), Index, "image index")
        for inner in _fitting(index.manifests, platform):
            inner.annotations = {**(inner.annotations or {}), **(descriptor.annotations or {})}
            yield from _oci_images(intake, inner, platform, depth + 1)
        return
    manifest: Manifest = decode(intake.blob(descriptor.digest), Manifest, "image manifest")
    if manifest.config.media_type not in {OCI_CONFIG, DOCKER_CONFIG}:
        return  # an artifact, such as an attestation, is no image
    config = intake.blob(manifest.config.digest)
    _check(config, [intake.blob_layer(layer.digest) for layer in manifest.layers])
    yield _Found(config, _annotated_names(descriptor), "")


def _fitting(manifests: list[Descriptor], platform: Platform) -> list[Descriptor]:
    """Choose the manifests for a platform; without platforms there is nothing to choose by."""
    mine = [
        one
        for one in manifests
        if one.platform is None
        or (one.platform.os, one.platform.architecture) == (platform.os, platform.architecture)
    ]
    if not mine:
        raise _none_for(platform)
    return mine


def _none_for(platform: Platform) -> InvalidParameter:
    return InvalidParameter(f"the archive has no image for {platform}")


def _annotated_names(descriptor: Descriptor) -> list[Reference]:
    """Read an image's name; a bare word there is a tag of nothing, and left out."""
    for key in _NAME_ANNOTATIONS:
        text = (descriptor.annotations or {}).get(key, "")
        if "/" in text or ":" in text:
            return [parse(text).with_default_tag()]
    return []


def _check(config: bytes, layers: list[Layer]) -> None:
    """Compare a config's layers with those of the archive."""
    expected = decode_image(config).diff_ids
    if len(expected) != len(layers):
        raise InvalidParameter(
            f"invalid manifest, layers length mismatch: expected {len(expected)}, got {len(layers)}"
        )
    for number, (diff_id, layer) in enumerate(zip(expected, layers, strict=True)):
        if diff_id != layer.diff_id:
            raise InvalidParameter(
                f'invalid diffID for layer {number}: expected "{diff_id}", got "{layer.diff_id}"'
            )


def _register(
    store: ImageStore, found: _Found, tell: Callable[[LoadEvent], None]
) -> Iterator[Loaded]:
    image = store.create(found.config)
    if found.parent:
        store.set_parent(image.id, found.parent)
    moved = [(name, store.tag(image.id, name)) for name in found.names]
    image = store.get(image.id)
    for name, before in moved:
        loaded = Loaded(image, name.familiar, before if before != image.id else "")
        tell(loaded)
        yield loaded
    if not moved:
        loaded = Loaded(image, "")
        tell(loaded)
        yield loaded
