"""The log as it is read: from the end, by time, and while it is written and rotated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.shim.logfile import LogEntry, LogQuery, follow, read
from lading.shim.logwriter import LogWriter
from lading.shim.moments import SECOND
from lading.shim.protocol import LogConfig

PATIENCE = 20.0

_opened: list[LogWriter] = []


def opened(config: LogConfig) -> LogWriter:
    """A log that is closed at the end of the test, if the test has not done it."""
    writer = LogWriter(config)
    _opened.append(writer)
    return writer


@pytest.fixture(autouse=True)
def closed_at_the_end() -> Iterator[None]:
    yield
    while _opened:
        _opened.pop().close()


class Writer:
    """Writes numbered lines, each a second after the one before; the clock is ours."""

    def __init__(self, path: Path, patch: pytest.MonkeyPatch, **options: object) -> None:
        self.log = opened(LogConfig(path=str(path), **options))  # type: ignore[arg-type]
        self.number = 0
        patch.setattr("lading.shim.logwriter.time.time_ns", lambda: self.number * SECOND)

    def lines(self, count: int, stream: str = "stdout") -> None:
        for _ in range(count):
            self.log.write(stream, f"{self.number:06}\n".encode())
            self.number += 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


async def numbers(batches: AsyncIterator[list[LogEntry]]) -> list[int]:
    async with asyncio.timeout(PATIENCE):
        return [int(entry.log) async for batch in batches for entry in batch]


async def test_no_file_has_no_lines(path: Path) -> None:
    assert await numbers(read(path)) == []
    assert await numbers(read(path, LogQuery(tail=5))) == []


@pytest.mark.parametrize("compress", [False, True])
async def test_all_files_are_read_oldest_first(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, compress: bool
) -> None:
    writer = Writer(path, monkeypatch, max_size=1600, max_file=5, compress=compress)
    writer.lines(100)
    writer.log.close()
    assert len(list(path.parent.iterdir())) == 5
    assert await numbers(read(path)) == list(range(100))
    for tail in (0, 1, 9, 10, 11, 50, 99, 100, 200):
        assert (
            await numbers(read(path, LogQuery(tail=tail)))
            == list(range(100))[100 - tail :][-tail or 100 :]
        )


@settings(max_examples=40)
@given(st.lists(st.integers(0, 30), max_size=6), st.integers(0, 120), st.booleans())
def test_tail_of_any_number_of_files(counts: list[int], tail: int, torn: bool) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="lading-test") as directory:
        path = Path(directory, "log")
        names = [f"{path}.{number}" for number in range(len(counts) - 1, 0, -1)] + [str(path)]
        number = 0
        for name, count in zip(names, counts, strict=False):
            lines = []
            for _ in range(count):
                lines.append(f'{{"log":"{number}\\n","stream":"stdout","time":"2026"}}\n')
                number += 1
            Path(name).write_text(
                "".join(lines) + ('{"log":"x' if torn and name == str(path) else "")
            )
        found = asyncio.run(numbers(read(path, LogQuery(tail=tail))))
    assert found == list(range(number))[max(0, number - tail) :]


async def test_a_tail_longer_than_a_chunk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(path, monkeypatch)
    writer.log.write("stdout", b"".join(b"%06d\n" % n for n in range(20_000)))
    assert path.stat().st_size > 1_000_000
    assert await numbers(read(path, LogQuery(tail=15_000))) == list(range(5_000, 20_000))


async def test_since_and_until_are_inclusive(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Writer(path, monkeypatch).lines(10)
    query = LogQuery(since=3 * SECOND, until=6 * SECOND)
    assert await numbers(read(path, query)) == [3, 4, 5, 6]
    assert await numbers(read(path, LogQuery(since=3 * SECOND + 1))) == [4, 5, 6, 7, 8, 9]
    assert await numbers(read(path, LogQuery(tail=4, until=7 * SECOND))) == [6, 7]


async def test_one_stream_is_picked_after_the_tail(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(path, monkeypatch)
    writer.lines(3)
    writer.lines(2, "stderr")
    assert await numbers(read(path, LogQuery(stderr=False, tail=3))) == [2]
    assert await numbers(read(path, LogQuery(stdout=False))) == [3, 4]


async def test_a_damaged_line_is_passed_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b'{"log":"torn\n\0\0\0\n')
    Writer(path, monkeypatch).lines(2)
    assert await numbers(read(path)) == [0, 1]


async def test_attributes_are_given(path: Path) -> None:
    log = opened(LogConfig(path=str(path), attrs={"tag": "t"}))
    log.write("stdout", b"x\n")
    [entry] = [entry async for batch in read(path) for entry in batch]
    assert (entry.attrs, entry.stream, entry.log) == ({"tag": "t"}, "stdout", "x\n")


async def test_a_follower_gets_what_was_and_what_comes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(path, monkeypatch)
    writer.lines(5)
    ended = asyncio.Event()
    batches = follow(path, ended, LogQuery(tail=2))
    assert [entry.log for entry in await anext(batches)] == ["000003\n", "000004\n"]
    following = asyncio.create_task(numbers(batches))
    await asyncio.sleep(0)
    writer.lines(3)
    writer.log.write("stdout", b"9")
    writer.log.close()
    ended.set()
    assert await following == [5, 6, 7, 9]


async def test_a_follower_waits_for_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = asyncio.Event()
    batches = follow(path, ended)
    first = asyncio.ensure_future(anext(batches))
    await asyncio.sleep(0.01)
    assert not first.done()
    Writer(path, monkeypatch).lines(1)
    assert [entry.log for entry in await first] == ["000000\n"]
    ended.set()
    assert await numbers(batches) == []


@pytest.mark.parametrize("compress", [False, True])
async def test_a_follower_that_is_behind_loses_nothing_to_rotation(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, compress: bool
) -> None:
    writer = Writer(path, monkeypatch, max_size=1000, max_file=20, compress=compress)
    ended = asyncio.Event()
    following = asyncio.create_task(numbers(follow(path, ended)))
    for burst in (1, 5, 30, 90, 3, 25):
        writer.lines(burst)
        await asyncio.sleep(0.005)
    writer.log.close()
    ended.set()
    assert await following == list(range(154))


async def test_a_follower_of_a_log_in_one_file_goes_on_after_rotation(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(path, monkeypatch, max_size=500, max_file=1)
    ended = asyncio.Event()
    batches = follow(path, ended)
    seen: list[int] = []
    for _ in range(30):
        writer.lines(1)
        async with asyncio.timeout(PATIENCE):
            seen += [int(entry.log) for entry in await anext(batches)]
    assert seen == list(range(30))
    await batches.aclose()


async def test_a_follower_ends_at_its_until(path: Path) -> None:
    log = opened(LogConfig(path=str(path)))
    log.write("stdout", b"1\n")
    until = time.time_ns() + SECOND // 20
    assert await numbers(follow(path, asyncio.Event(), LogQuery(until=until))) == [1]


async def test_a_read_does_not_chase_a_busy_writer(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(path, monkeypatch)
    writer.lines(3)
    found: list[str] = []
    async for batch in read(path):
        found += [entry.log for entry in batch]
        writer.lines(3)
    assert len(found) == 3
