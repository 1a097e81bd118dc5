from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lading.image.store import ImageStore

from .makers import opened

Opener = Callable[[], ImageStore]


@pytest.fixture
def reopen(tmp_path: Path) -> Opener:
    """Opens the store of this test, as a new daemon would."""

    return lambda: opened(tmp_path)


@pytest.fixture
def store(reopen: Opener) -> Iterator[ImageStore]:
    """An image store; nothing incomplete may be left in it."""
    images = reopen()
    yield images
    assert list(images.root.parent.rglob(".tmp-*")) == []
