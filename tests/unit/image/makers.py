"""Layers, images and archives for tests, written without our own writer."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lading.image.archives import import_
from lading.image.reference import parse
from lading.image.store import Image, ImageStore
from lading.storage.blobs import BlobStore
from lading.storage.layers import LayerStore


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar(files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return out.getvalue()


def config(layers: Iterable[bytes], **more: Any) -> bytes:
    body = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-01-02T03:04:05.678Z",
        "config": {"Cmd": ["/bin/sh"], "Env": ["A=b"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        "history": [{"created_by": f"step {n}"} for n, _ in enumerate(layers)],
    }
    return json.dumps(body | more).encode()


def add(store: ImageStore, *layers: bytes, tag: str = "", parent: str = "", **more: Any) -> Image:
    """Put an image of these layer tars into the store."""
    layers = tuple(layers)
    with store.lease() as lease:
        for layer in layers:
            store.layers.unpack_stream(io.BytesIO(layer), lease=lease)
        image = store.create(config(layers, **more), parent=parent)
    if tag:
        store.tag(image.id, parse(tag))
    return store.get(image.id)


def imported(store: ImageStore, tag: str = "", **files: bytes) -> Image:
    return import_(store, io.BytesIO(tar(files)), repository=tag)


def opened(root: Path) -> ImageStore:
    """An image store as a new daemon opens it."""
    layers = LayerStore(root / "overlay2")
    blobs = BlobStore(root / "image/blobs")
    images = ImageStore(root / "image", blobs, layers)
    for one in (layers, blobs, images):
        one.open()
    return images
