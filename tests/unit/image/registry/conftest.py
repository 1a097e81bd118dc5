from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lading.image.registry.settings import RegistrySettings
from lading.image.store import ImageStore
from tests.unit.image.makers import opened
from tests.unit.image.registry.fakes import FakeRegistry

SETTINGS = RegistrySettings(patience=20, pause=0.01)
IMPATIENT = RegistrySettings(patience=0.3, pause=0.01)


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
