from __future__ import annotations

from pathlib import Path

from lading.image.registry.sources import LayerSources, Source

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


def source(repository: str, digest: str = ONE) -> Source:
    return Source(repository, digest, 10, "application/vnd.oci.image.layer.v1.tar")


def test_the_newest_source_is_first_and_a_repository_is_there_once(tmp_path: Path) -> None:
    sources = LayerSources(tmp_path)
    for repository in ("a", "b", "a"):
        sources.record(ONE, source(repository))
    assert [known.repository for known in sources.of(ONE)] == ["a", "b"]
    for number in range(20):
        sources.record(ONE, source(str(number)))
    assert [known.repository for known in sources.of(ONE)] == [str(n) for n in range(19, 11, -1)]


def test_records_go_with_their_layers(tmp_path: Path) -> None:
    sources = LayerSources(tmp_path)
    sources.record(ONE, source("a"))
    sources.record(TWO, source("a", TWO))
    sources.prune(lambda diff_id: diff_id == TWO)
    assert sources.of(ONE) == []
    assert sources.of(TWO) == [source("a", TWO)]


def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    sources = LayerSources(tmp_path)
    sources.record(ONE, source("a"))
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"{")
    assert sources.of(ONE) == []
