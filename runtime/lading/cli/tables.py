"""Columns for the eye: cells separated by tabs become aligned text, as with Go's tabwriter."""

from __future__ import annotations

MINIMUM, PADDING = 10, 3


def align(text: str, *, minimum: int = MINIMUM, padding: int = PADDING) -> str:
    """Align the cells of all lines.

    A tab ends a cell; a column is a block of consecutive lines that have a cell there, and is as
    wide as its widest cell, plus the padding. What follows the last tab of a line belongs to no
    column.
    """
    lines = [line.split("\t") for line in text.split("\n")]
    widths: list[list[int]] = [[] for _ in lines]
    _measure(lines, widths, 0, len(lines), minimum, padding)
    out = []
    for cells, line_widths in zip(lines, widths, strict=True):
        padded = [cell.ljust(width) for cell, width in zip(cells, line_widths, strict=False)]
        out.append("".join(padded) + cells[-1])
    return "\n".join(out)


def _measure(
    lines: list[list[str]], widths: list[list[int]], start: int, stop: int, minimum: int, pad: int
) -> None:
    """Give each line of a block the width of its columns, from the column it has reached."""
    column = len(widths[start]) if start < stop else 0
    at = start
    while at < stop:
        if column >= len(lines[at]) - 1:
            at += 1
            continue
        end = at
        widest = minimum
        while end < stop and column < len(lines[end]) - 1:
            widest = max(widest, len(lines[end][column]) + pad)
            end += 1
        for line_widths in widths[at:end]:
            line_widths.append(widest)
        _measure(lines, widths, at, end, minimum, pad)
        at = end


def table(rows: list[list[str]], shrinkable: list[bool], width: int | None) -> str:
    """Lay rows out in columns, the first row being the header.

    With a width (that of the terminal), the columns that may be are cut to make the table fit,
    widest first.
    """
    if width is not None:
        rows = fit(rows, shrinkable, width)
    return align("\n".join("\t".join(row) for row in rows)) + "\n"


def fit(rows: list[list[str]], shrinkable: list[bool], width: int) -> list[list[str]]:
    """Cut cells of the columns that may shrink, widest first, until the rows fit into a width."""
    columns = len(rows[0])
    sizes = [max(len(row[c]) for row in rows) for c in range(columns)]
    headers = [max(len(cell), MINIMUM - PADDING) for cell in rows[0]]
    taken = [max(size + PADDING, MINIMUM) for size in sizes[:-1]] + [sizes[-1]]
    excess = sum(taken) - width
    limits = list(sizes)
    while excess > 0:
        able = [c for c in range(columns) if shrinkable[c] and limits[c] > headers[c]]
        if not able:
            break
        widest = max(able, key=lambda c: limits[c])
        limits[widest] -= 1
        excess -= 1
    return [[_cut(cell, limit) for cell, limit in zip(row, limits, strict=True)] for row in rows]


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
