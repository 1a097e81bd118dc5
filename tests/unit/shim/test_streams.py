"""The multiplexed format, and the detach keys."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lading.shim.streams import Demultiplexer, DetachScanner, header

FRAMES = st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=20)))


@given(FRAMES, st.integers(1, 30))
def test_frames_come_back_however_they_arrive(frames: list[tuple[str, bytes]], step: int) -> None:
    data = b"".join(header(stream, len(payload)) + payload for stream, payload in frames)
    demultiplexer = Demultiplexer()
    found = [
        frame
        for start in range(0, len(data), step)
        for frame in demultiplexer.feed(data[start : start + step])
    ]
    assert found == [({"stdout": 1, "stderr": 2}[stream], payload) for stream, payload in frames]


def test_the_header_is_docker_s() -> None:
    assert header("stderr", 0x01020304) == b"\x02\0\0\0\x01\x02\x03\x04"


def scan(keys: bytes, *chunks: bytes) -> tuple[bytes, bool]:
    scanner = DetachScanner(keys)
    passed = b""
    for chunk in chunks:
        part, detached = scanner.feed(chunk)
        passed += part
        if detached:
            return passed, True
    return passed, False


def test_keys_detach_and_are_not_passed_on() -> None:
    assert scan(b"\x10\x11", b"ab\x10\x11cd") == (b"ab", True)
    assert scan(b"\x10\x11", b"ab\x10", b"\x11cd") == (b"ab", True)
    assert scan(b"a", b"xa") == (b"x", True)


def test_what_only_begins_like_them_is_passed_on_when_that_is_clear() -> None:
    assert scan(b"\x10\x11", b"a\x10") == (b"a", False)
    assert scan(b"\x10\x11", b"a\x10", b"b") == (b"a\x10b", False)
    assert scan(b"\x10\x11", b"\x10\x10", b"\x11") == (b"\x10\x10\x11", False)


@given(st.lists(st.binary(max_size=10)))
def test_without_keys_everything_passes(chunks: list[bytes]) -> None:
    assert scan(b"", *chunks) == (b"".join(chunks), False)


@given(st.lists(st.sampled_from([b"a", b"p", b"q", b"pp", b"apq"])))
def test_nothing_else_is_lost(chunks: list[bytes]) -> None:
    passed, detached = scan(b"pq", *chunks)
    data = b"".join(chunks)
    if detached:
        assert data.startswith(passed + b"pq")
    else:
        assert data in (passed, passed + b"p")
