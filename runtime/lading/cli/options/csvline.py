"""One line of comma-separated values, as `--mount` and other options use them."""

from __future__ import annotations

UNMATCHED = 'extraneous or missing " in quoted-field'


def fields(line: str) -> list[str]:
    """Split a line at commas; a field in double quotes may hold commas, and two quotes for one.

    Raises ValueError for quotes that do not match, and "EOF" for an empty line, as Go's
    encoding/csv.
    """
    if not line:
        raise ValueError("EOF")
    if '"' not in line:
        return line.split(",")
    out: list[str] = []
    pos = 0
    while True:
        if line[pos : pos + 1] == '"':
            text, pos = _quoted(line, pos + 1)
        else:
            end = line.find(",", pos)
            end = len(line) if end < 0 else end
            text = line[pos:end]
            if '"' in text:
                raise _malformed(pos + text.index('"') + 1, 'bare " in non-quoted-field')
            pos = end
        out.append(text)
        if pos >= len(line):
            return out
        pos += 1


def _quoted(line: str, pos: int) -> tuple[str, int]:
    """Read a quoted field from after its first quote; give its text and where the line goes on."""
    text = ""
    while True:
        end = line.find('"', pos)
        if end < 0:
            raise _malformed(len(line) + 1, UNMATCHED)
        text += line[pos:end]
        follower = line[end + 1 : end + 2]
        if follower == '"':
            text += '"'
            pos = end + 2
        elif follower in ("", ","):
            return text, end + 1
        else:
            raise _malformed(end + 2, UNMATCHED)


def _malformed(column: int, what: str) -> ValueError:
    return ValueError(f"parse error on line 1, column {column}: {what}")
