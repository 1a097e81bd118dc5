from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lading.kernel.mountinfo import mountinfo
from lading.storage.layers import LayerStore


@pytest.fixture
def layers(tmp_path: Path) -> Iterator[LayerStore]:
    """A layer store that must leave no mount behind."""
    store = LayerStore(tmp_path / "lading-test-overlay2")
    store.open()
    before = {entry.mount_id for entry in mountinfo()}
    yield store
    left = [e for e in mountinfo() if e.mount_id not in before and str(tmp_path) in e.mount_point]
    assert left == []
