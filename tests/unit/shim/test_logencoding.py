"""Output as entries: Docker's splitting and escaping, whatever the bytes."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from lading.shim.logencoding import LONGEST, EntryEncoder, LineCutter, escape

NOW = "2026-01-02T03:04:05.000000006Z"


def entries_of(chunks: list[bytes], attrs: dict[str, str] | None = None) -> list[dict[str, str]]:
    """Write chunks as one stream, and read the entries back with another JSON decoder."""
    cutter, encoder = LineCutter(), EntryEncoder("stdout", attrs or {})
    blocks = [block for chunk in chunks for block in cutter.feed(chunk)]
    rest = cutter.flush()
    encoded = b"".join(encoder.encode(block, NOW) for block in [*blocks, *([rest] if rest else [])])
    assert encoded == b"" or encoded.endswith(b"}\n")
    return [json.loads(line) for line in encoded.splitlines()]


def _lines(data: bytes) -> list[bytes]:
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def pieces_of(data: bytes) -> list[bytes]:
    """Cut as Docker does: at newlines, and into pieces of 16 KiB where there is none."""
    return [
        line[start : start + LONGEST]
        for line in _lines(data)
        for start in range(0, len(line), LONGEST)
    ]


def text_of(data: bytes) -> str:
    """Replace each byte that is not UTF-8, as Go does."""
    return "".join(
        "\ufffd" if 0xDC80 <= ord(character) <= 0xDCFF else character
        for character in data.decode("utf-8", "surrogateescape")
    )


LINES = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=30).map(str.encode),
    st.sampled_from([b"\n", b'\\"<>&\t\r\x00\x7f', "\u2028\u2029é😀".encode()]),
    st.integers(LONGEST - 3, LONGEST + 3).map(lambda n: b"x" * n),
    st.integers(1, 3).map(lambda n: b"y" * n * LONGEST),
)


@given(st.lists(st.tuples(LINES, st.booleans()), max_size=8), st.lists(st.integers(1, 70_000)))
def test_any_output_in_any_chunks(lines: list[tuple[bytes, bool]], cuts: list[int]) -> None:
    data = b"".join(line + (b"\n" if ended else b"") for line, ended in lines)
    chunks, rest = [], data
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    chunks.append(rest)
    wanted = [text_of(piece) for piece in pieces_of(data)]
    assert [entry["log"] for entry in entries_of([c for c in chunks if c])] == wanted


def test_an_entry_is_docker_s_byte_for_byte() -> None:
    encoder = EntryEncoder("stderr", {"tag": "t", "a": "b"})
    assert encoder.encode(b'a<b>&"\\\t\x01\x7f\r\n', NOW) == (
        b'{"log":"a\\u003cb\\u003e\\u0026\\"\\\\\\u0009\\u0001\x7f\\r\\n","stream":"stderr",'
        b'"attrs":{"a":"b","tag":"t"},"time":"2026-01-02T03:04:05.000000006Z"}\n'
    )


def test_separators_and_invalid_bytes_are_docker_s_too() -> None:
    assert escape("é \u2028".encode() + b" bad\xff\xc3x") == (
        "é ".encode() + rb"\u2028 bad\ufffd\ufffdx"
    )


def test_a_line_waits_for_its_newline() -> None:
    cutter = LineCutter()
    assert cutter.feed(b"no") == []
    assert cutter.feed(b" end\nnext") == [b"no end\n"]
    assert cutter.flush() == b"next"
    assert cutter.flush() == b""


def test_a_line_of_just_16_kib_leaves_its_newline_alone() -> None:
    logs = [entry["log"] for entry in entries_of([b"c" * LONGEST + b"\n"])]
    assert logs == ["c" * LONGEST, "\n"]
