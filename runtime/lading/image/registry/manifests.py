"""Manifests and indexes, of Docker's schema 2 and of OCI.

Source: OCI image-spec 1.1 "Image Manifest" and "Image Index"; the distribution project's
"Image Manifest Version 2, Schema 2".
"""

from __future__ import annotations

from typing import Any

import msgspec

from lading.errors import InvalidParameter
from lading.image.model import (
    DOCKER_CONFIG,
    DOCKER_INDEX,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Platform,
)
from lading.storage.digests import Digest, is_digest

DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1"

_CONFIGS = frozenset({OCI_CONFIG, DOCKER_CONFIG})
_LAYERS = (
    OCI_LAYER,
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    DOCKER_LAYER,
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)


class Descriptor(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """What a blob or manifest is: media type, size in bytes, digest.

    Stricter than an archive's: a registry has to name all three. They are sent in this order,
    which is Docker's, as the manifest's digest depends on it.
    """

    media_type: str
    size: int
    digest: Digest
    platform: Platform | None = None
    annotations: dict[str, str] | None = None
    urls: list[str] | None = None


class Manifest(msgspec.Struct, rename="camel", kw_only=True):
    """An image: its config and its layers, base first."""

    schema_version: int = 2
    media_type: str = DOCKER_MANIFEST
    config: Descriptor
    layers: list[Descriptor]


class Index(msgspec.Struct, rename="camel", kw_only=True):
    """A list of manifests, one a platform."""

    schema_version: int = 2
    media_type: str = ""
    manifests: list[Descriptor]


class _Kind(msgspec.Struct, rename="camel"):
    schema_version: int = 0
    media_type: str = ""
    manifests: Any = None
    config: Any = None


def decode(data: bytes, content_type: str) -> Manifest | Index:
    """Read a manifest or an index, and check what it names.

    Raises InvalidParameter: not JSON, schema 1, a type that is no image, a malformed digest.
    """
    try:
        kind = msgspec.json.decode(data, type=_Kind)
        if kind.schema_version == 1 or content_type.startswith(DOCKER_SCHEMA1):
            raise InvalidParameter(
                "the registry has this image as a schema 1 manifest, which is not supported any "
                "more: push it again with a current client"
            )
        media_type = kind.media_type or content_type
        if media_type in (OCI_INDEX, DOCKER_INDEX) or (kind.manifests and not kind.config):
            index = msgspec.json.decode(data, type=Index)
            _check_digests(index.manifests)
            return index
        if media_type not in (OCI_MANIFEST, DOCKER_MANIFEST) and kind.config is None:
            raise InvalidParameter(
                f"unsupported manifest media type {media_type!r}: expected an image manifest or "
                "an index of them"
            )
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise InvalidParameter(f"the registry's manifest cannot be read: {error}") from None
    _check_digests([manifest.config, *manifest.layers])
    _check_types(manifest)
    return manifest


def platform_of(config: bytes) -> Platform:
    """Read what an image is for from its config; raises InvalidParameter when that is no JSON."""
    try:
        return msgspec.json.decode(config, type=Platform)
    except msgspec.MsgspecError as error:
        raise InvalidParameter(f"the image's config cannot be read: {error}") from None


def _check_digests(descriptors: list[Descriptor]) -> None:
    for descriptor in descriptors:
        if not is_digest(descriptor.digest) or descriptor.size < 0:
            raise InvalidParameter(
                f"the registry's manifest names a malformed digest or size: "
                f"{descriptor.digest!r}, {descriptor.size}"
            )


def _check_types(manifest: Manifest) -> None:
    if manifest.config.media_type not in _CONFIGS:
        raise InvalidParameter(
            f"this manifest is no container image: its config is of type "
            f"{manifest.config.media_type!r}"
        )
    for layer in manifest.layers:
        if not layer.media_type.startswith(_LAYERS):
            raise InvalidParameter(f"a layer is of the unknown type {layer.media_type!r}")
