"""Files of the lab, written whole or not at all."""

from __future__ import annotations

from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Replace a file: whoever reads it finds the old text or the new."""
    partial = path.with_name(f".partial-{path.name}")
    partial.write_text(text)
    partial.replace(path)
