from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma

import pytest
import zstandard

from lading.errors import InvalidParameter, LadingError
from lading.storage.archive.compression import CHUNK, Compression, detect, open_plain
from lading.storage.archive.pipeline import Pipeline

from .tars import Drip

PLAIN = b"".join(b"%d lines of text\n" % n for n in range(200_000))

PACKED = {
    Compression.NONE: PLAIN,
    Compression.GZIP: gzip.compress(PLAIN, 1),
    Compression.ZSTD: zstandard.ZstdCompressor().compress(PLAIN),
    Compression.BZIP2: bz2.compress(PLAIN, 1),
    Compression.XZ: lzma.compress(PLAIN, preset=0),
}
COMPRESSED = [kind for kind in PACKED if kind is not Compression.NONE]


def unpacked(data: bytes) -> bytes:
    _, pull = open_plain(io.BytesIO(data))
    return b"".join(iter(pull, b""))


@pytest.mark.parametrize("kind", PACKED)
def test_the_compression_is_found_and_undone(kind: Compression) -> None:
    found, pull = open_plain(Drip(PACKED[kind]))
    assert found is kind
    assert b"".join(iter(pull, b"")) == PLAIN


@pytest.mark.parametrize("kind", COMPRESSED)
def test_members_that_follow_each_other_are_one_stream(kind: Compression) -> None:
    assert unpacked(PACKED[kind] * 3) == PLAIN * 3


@pytest.mark.parametrize("kind", [Compression.GZIP, Compression.BZIP2, Compression.XZ])
def test_zeros_behind_the_end_are_padding(kind: Compression) -> None:
    assert unpacked(PACKED[kind] + bytes(1000)) == PLAIN


@pytest.mark.parametrize("kind", COMPRESSED)
def test_damage_is_told_with_the_compression(kind: Compression) -> None:
    data = bytearray(PACKED[kind])
    for at in range(len(data) // 2, len(data) // 2 + 64):
        data[at] ^= 0xFF
    with pytest.raises(InvalidParameter, match=f"the {kind.value}-compressed archive is damaged"):
        unpacked(bytes(data))


@pytest.mark.parametrize("kind", [Compression.GZIP, Compression.BZIP2, Compression.XZ])
def test_a_cut_off_stream_is_told(kind: Compression) -> None:
    with pytest.raises(InvalidParameter, match="damaged"):
        unpacked(PACKED[kind][:-20])


def test_a_bomb_comes_in_small_pieces() -> None:
    bomb = gzip.compress(bytes(64 << 20), 9)
    assert len(bomb) < 100_000
    _, pull = open_plain(io.BytesIO(bomb))
    assert 0 < len(pull()) <= CHUNK


def test_detection_needs_the_whole_magic() -> None:
    assert detect(b"") is Compression.NONE
    assert detect(b"\x1f\x8b") is Compression.NONE
    assert detect(b"\x50\x2a\x4d\x18\0\0") is Compression.ZSTD


@pytest.mark.parametrize("kind", PACKED)
def test_a_pipeline_tells_both_digests(kind: Compression) -> None:
    progress: list[int] = []
    with Pipeline(Drip(PACKED[kind]), progress.append) as pipeline:
        assert b"".join(iter(pipeline.pull, b"")) == PLAIN
        assert pipeline.pull() == b""
    assert pipeline.diff_id == "sha256:" + hashlib.sha256(PLAIN).hexdigest()
    assert pipeline.raw_digest == "sha256:" + hashlib.sha256(PACKED[kind]).hexdigest()
    assert pipeline.raw_size == len(PACKED[kind]) == progress[-1]
    assert pipeline.size == len(PLAIN)


def test_a_pipeline_passes_on_the_sources_failure() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionResetError("gone")

    with (
        Pipeline(Broken()) as pipeline,
        pytest.raises(LadingError, match="cannot read the archive: gone"),
    ):
        pipeline.pull()


def test_a_pipeline_that_is_left_early_stops() -> None:
    with Pipeline(io.BytesIO(PLAIN * 10)) as pipeline:
        pipeline.pull()
    assert not pipeline._thread.is_alive()
