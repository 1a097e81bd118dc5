"""Files of the lab, written whole or not at all."""

from __future__ import annotations

import fcntl
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Replace a file: whoever reads it finds the old text or the new."""
    partial = path.with_name(f".partial-{path.name}")
    partial.write_text(text)
    partial.replace(path)


def held(path: Path) -> bool:
    """Whether a process has a lock (flock(2)) on a file; no, where there is no such file."""
    try:
        with open(path) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
