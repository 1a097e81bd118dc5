"""Image mounts: an image's files, read-only, in a container of another image.

Each has a layer of its own beside the container's, which keeps the image's layers while the
container is there, even when the image is removed by force; nothing is written to it. What is
mounted is an overlay of the image alone, in the container's mount namespace.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from lading.engine.model import Container, MountRecord
from lading.engine.subpaths import open_subpath
from lading.image.store import Image
from lading.storage.digests import DiffId
from lading.storage.layers import LayerStore

KIND = "image"
WARNING = "Image mount is an experimental feature"


def layer_of(mounted: MountRecord) -> str:
    """Give the id of an image mount's layer; the mount's source is the place of its overlay."""
    return Path(mounted.point.source).parent.name


def layers_of(record: Container) -> list[str]:
    """Give the ids of the layers that a container has beside its own."""
    return [layer_of(mounted) for mounted in record.mounts if mounted.point.type == KIND]


def make_layer(layers: LayerStore, container_id: str, mounted: MountRecord, image: Image) -> None:
    """Make the layer of a new mount, and write into the mount where it is."""
    mounted.detail.image_id = image.id
    _make(layers, container_id, mounted, image.diff_ids)


def take_over(layers: LayerStore, container_id: str, mounted: MountRecord) -> None:
    """Make the layer of a mount that was another container's: it has to outlive that one."""
    _make(layers, container_id, mounted, layers.rw(layer_of(mounted)).chain)


def _make(
    layers: LayerStore, container_id: str, mounted: MountRecord, chain: Sequence[DiffId]
) -> None:
    place = f"{container_id}:{mounted.point.destination}"
    layer_id = hashlib.sha256(place.encode()).hexdigest()
    rw = layers.create_rw(layer_id, chain)
    mounted.point.source = str(rw.directory / "merged")


def image_options(layers: LayerStore, record: Container) -> dict[str, list[str]]:
    """Give the mount options of a container's image mounts, by destination.

    Raises NotFound, InvalidParameter or LadingError for a subpath that cannot be mounted.
    """
    found: dict[str, list[str]] = {}
    for mounted in record.mounts:
        if mounted.point.type == KIND:
            rw = layers.rw(layer_of(mounted))
            options = layers.image_mount_options(rw)
            if subpath := mounted.detail.subpath:
                with layers.image_view(rw.chain) as root:
                    os.close(open_subpath(root, subpath, mounted.point.source))
                options.append(f"x-lading.subpath={subpath}")
            found[mounted.point.destination] = options
    return found


def remove_layers(layers: LayerStore, record: Container) -> None:
    """Remove the layers of a container's image mounts."""
    for layer_id in layers_of(record):
        layers.remove_rw(layer_id)


def uses(record: Container, image_id: str) -> bool:
    """Tell whether a container mounts an image."""
    return any(mounted.detail.image_id == image_id for mounted in record.mounts)
