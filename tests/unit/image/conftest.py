from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lading.image.store import ImageStore
from lading.storage.blobs import BlobStore
from lading.storage.layers import LayerStore

Opener = Callable[[], ImageStore]


@pytest.fixture
def reopen(tmp_path: Path) -> Opener:
    """Opens the store of this test, as a new daemon would."""

    def opened() -> ImageStore:
        layers = LayerStore(tmp_path / "overlay2")
        blobs = BlobStore(tmp_path / "image/blobs")
        images = ImageStore(tmp_path / "image", blobs, layers)
        for store in (layers, blobs, images):
            store.open()
        return images

    return opened


@pytest.fixture
def store(reopen: Opener) -> Iterator[ImageStore]:
    """An image store; nothing incomplete may be left in it."""
    images = reopen()
    yield images
    assert list(images.root.parent.rglob(".tmp-*")) == []
