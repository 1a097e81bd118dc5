"""The log file as it is written: rotation, compression, what a crash leaves."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.shim.logwriter import LogWriter
from lading.shim.protocol import LogConfig


def logs_in(path: Path) -> list[str]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line)["log"] for line in data.splitlines()]


def write(path: Path, lines: list[str], **options: object) -> None:
    writer = LogWriter(LogConfig(path=str(path), **options))  # type: ignore[arg-type]
    for line in lines:
        writer.write("stdout", line.encode())
    writer.close()
    assert writer.error == ""


def test_streams_are_kept_apart_and_rests_written_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer = LogWriter(LogConfig(path=str(path)))
    writer.write("stdout", b"a")
    writer.write("stderr", b"b\n")
    writer.write("stdout", b"c")
    writer.close()
    assert logs_in(path) == ["b\n", "ac"]
    assert path.stat().st_mode & 0o777 == 0o640


def test_none_writes_nothing(tmp_path: Path) -> None:
    writer = LogWriter(LogConfig(driver="none", path=str(tmp_path / "log")))
    writer.write("stdout", b"a\n")
    writer.close()
    assert list(tmp_path.iterdir()) == []


def test_a_log_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, ["one\n"])
    write(path, ["two\n"])
    assert logs_in(path) == ["one\n", "two\n"]


def test_a_torn_line_of_a_crash_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"log":"to')
    write(path, ["next\n"])
    assert path.read_bytes().startswith(b'{"log":"to\n{"log":"next\\n"')


LINE = 100
"""About the length of an entry of the lines below."""


@settings(max_examples=30)
@given(st.integers(1, 5), st.integers(50, 2000), st.lists(st.integers(1, 40), max_size=12))
def test_rotation_keeps_the_newest_files_full(
    tmp_path_factory: pytest.TempPathFactory, keep: int, limit: int, bursts: list[int]
) -> None:
    path = tmp_path_factory.mktemp("rotation") / "log"
    numbers = iter(range(10_000))
    texts = ["".join(f"{next(numbers):06}\n" for _ in range(burst)) for burst in bursts]
    write(path, texts, max_size=limit, max_file=keep)
    files = [path.with_name(f"log.{number}") for number in range(keep - 1, 0, -1)] + [path]
    present = [file for file in files if file.exists()]
    assert sorted(path.parent.iterdir()) == sorted(present)
    kept = [log for file in present for log in logs_in(file)]
    everything = "".join(texts).splitlines(keepends=True)
    assert kept == everything[len(everything) - len(kept) :]
    for file in present[:-1]:
        assert limit <= file.stat().st_size < limit + LINE
    if len(present) < keep:
        assert kept == everything


def test_predecessors_are_compressed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, [f"{n:06}\n" for n in range(100)], max_size=1000, max_file=3, compress=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "log.1.gz", "log.2.gz"]
    kept = [log for name in ("log.2.gz", "log.1.gz", "log") for log in logs_in(tmp_path / name)]
    assert kept == [f"{n:06}\n" for n in range(100 - len(kept), 100)]
    assert (tmp_path / "log.1.gz").stat().st_mode & 0o777 == 0o640


def test_a_rotation_that_fails_goes_on_in_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    (tmp_path / "log.new").mkdir()
    writer = LogWriter(LogConfig(path=str(path), max_size=100))
    for number in range(5):
        writer.write("stdout", f"{number}\n".encode())
    writer.close()
    assert "rotate" in writer.error
    assert logs_in(path) == [f"{n}\n" for n in range(5)]


def test_a_full_disk_is_remembered_and_no_more() -> None:
    writer = LogWriter(LogConfig(path="/dev/full"))
    writer.write("stdout", b"x\n")
    writer.close()
    assert writer.error == "write /dev/full: No space left on device"
