from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import InvalidParameter, LadingError, NotFound
from lading.files import explaining, write_atomically
from lading.storage.blobs import Blob, BlobStore
from lading.storage.digests import digest_of, hex_of, is_digest

from .tars import Drip


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    store = BlobStore(tmp_path / "blobs")
    store.open()
    return store


def files(store: BlobStore) -> list[str]:
    return sorted(os.listdir(store.root / "sha256"))


def test_a_blob_is_found_by_its_digest(blobs: BlobStore) -> None:
    progress: list[int] = []
    blob = blobs.ingest(Drip(b"x" * 5000), digest_of(b"x" * 5000), progress.append)
    assert blob == Blob(digest_of(b"x" * 5000), 5000)
    assert progress == [1000, 2000, 3000, 4000, 5000]
    assert blobs.read(blob.digest) == b"x" * 5000
    assert (blobs.size(blob.digest), blobs.exists(blob.digest)) == (5000, True)
    assert list(blobs.walk()) == [blob]
    blobs.delete(blob.digest)
    blobs.delete(blob.digest)
    assert files(blobs) == []


def test_put_is_idempotent(blobs: BlobStore) -> None:
    assert blobs.put(b"1") == blobs.put(b"1") == digest_of(b"1")
    assert files(blobs) == [hex_of(digest_of(b"1"))]


def test_a_wrong_digest_leaves_nothing(blobs: BlobStore) -> None:
    with pytest.raises(InvalidParameter, match="does not match its digest"):
        blobs.ingest(io.BytesIO(b"1"), digest_of(b"2"))
    assert files(blobs) == []


def test_an_abandoned_blob_leaves_nothing(blobs: BlobStore) -> None:
    with blobs.writer() as writer:
        writer.write(b"half")
        assert len(files(blobs)) == 1
    assert files(blobs) == []


def test_opening_clears_what_a_crash_left(blobs: BlobStore) -> None:
    kept = blobs.put(b"1")
    (blobs.root / "sha256" / ".tmp-crashed").write_bytes(b"half")
    BlobStore(blobs.root).open()
    assert files(blobs) == [hex_of(kept)]


def test_what_is_missing(blobs: BlobStore) -> None:
    missing = digest_of(b"missing")
    for call in (blobs.read, blobs.size, blobs.stream):
        with pytest.raises(NotFound, match=missing):
            call(missing)
    with pytest.raises(InvalidParameter, match="invalid digest"):
        blobs.read("sha256:../../../etc/passwd")


@given(st.text())
def test_only_digests_are_digests(text: str) -> None:
    assert not is_digest(text)
    with pytest.raises(InvalidParameter):
        hex_of(text)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_atomically(path, b"old")
    (tmp_path / "dir").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "dir", b"new")
    assert path.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["dir", "state"]


def test_a_full_disk_is_told_in_a_sentence() -> None:
    with (
        pytest.raises(LadingError, match=r"cannot write: no space left on device") as raised,
        explaining("write"),
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"1")
    assert raised.value.status == 500
