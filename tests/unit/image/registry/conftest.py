from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lading.image.registry.settings import RegistrySettings
from lading.image.store import ImageStore
from lading.storage.blobs import BlobStore
from lading.storage.layers import LayerStore
from tests.unit.image.registry.fakes import FakeRegistry

SETTINGS = RegistrySettings(patience=20, pause=0.01)
IMPATIENT = RegistrySettings(patience=0.3, pause=0.01)


def opened(root: Path) -> ImageStore:
    """An image store as a new daemon opens it."""
    layers = LayerStore(root / "overlay2")
    blobs = BlobStore(root / "image/blobs")
    images = ImageStore(root / "image", blobs, layers)
    for one in (layers, blobs, images):
        one.open()
    return images


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ImageStore]:
    """An image store; nothing half-made may be left in it."""
    yield opened(tmp_path)
    assert list(tmp_path.rglob(".tmp-*")) == []


@asynccontextmanager
async def serving(registry: FakeRegistry | None = None) -> AsyncIterator[FakeRegistry]:
    """A fake registry that answers on loopback."""
    registry = registry or FakeRegistry()
    await registry.start()
    try:
        yield registry
    finally:
        await registry.stop()
