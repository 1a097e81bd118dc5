"""Read-only file systems that are the same bytes for the same files."""

from __future__ import annotations

from pathlib import Path

from lab.shell import LabError, run

_UUID = "6c61646e-6762-616b-6564-000000000001"


def pack(directory: Path, target: Path, epoch: int, *, owned_by_root: bool = False) -> None:
    """Make an erofs image, compressed with lz4, with every file of the time `epoch`."""
    words = ["-zlz4", f"-T{epoch}", f"-U{_UUID}"]
    if owned_by_root:
        words.append("--all-root")
    try:
        run("mkfs.erofs", "--quiet", *words, str(target), str(directory))
    except LabError as error:
        target.unlink(missing_ok=True)
        raise LabError(f"the image {target.name} could not be made: {error}") from None
