"""Printing: JSON, tables, and files that others wait for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lading.errors import LadingError
from lading.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence


def print_json(value: Any) -> None:
    """Print *value* as indented JSON."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2)
    sys.stdout.write(text.decode() + "\n")


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns, as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    for row in (headers, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("   ".join(cells).rstrip() + "\n")


def write_pid(path: str, pid: int) -> None:
    """Write a pid file atomically: who waits for it finds it whole."""
    if not path:
        return
    try:
        write_atomically(Path(path), b"%d" % pid, mode=0o644, durable=False)
    except OSError as error:
        raise LadingError(f"cannot write the pid file {path}: {error.strerror}") from error
