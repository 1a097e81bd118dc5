from __future__ import annotations

from pathlib import Path

import pytest

from lab import cells
from lab.reference import RELEASES
from lab.shell import LabError

TEXT = cells.FILE.read_text()


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cells.toml"
    path.write_text(text)
    return path


def test_there_are_eleven_and_they_differ() -> None:
    known = cells.load()
    assert len(known) == 11
    shapes = {
        tuple(value for key, value in c.facts().items() if key != "name") for c in known.values()
    }
    assert len(shapes) == 11


def test_each_is_compared_with_the_docker_of_its_userland() -> None:
    for cell in cells.load().values():
        assert RELEASES[cell.engine].debian == cell.userland


def test_a_kernel_more_is_a_line_more(tmp_path: Path) -> None:
    text = TEXT.replace("[kernels]\n", '[kernels]\n"7.3" = "sid"\n').replace(
        'kernel = "7.2"', 'kernel = "7.3"'
    )
    cell = cells.load(written(tmp_path, text))["forky"]
    assert (cell.kernel, cell.archive) == ("7.3", "sid")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('cgroups = "v2" ', 'cgroups = "v3" ', "cgroups = v3; it takes v2, v1, hybrid"),
        ('engine = "28.5"', "", "the cell forky has no engine"),
        ('engine = "28.5"', 'engine = "28.5"\nspeed = 1', "forky has speed, which is no field"),
        ('"7.2" = "forky"', "", "does not say where Linux 7.2 is found"),
    ],
)
def test_a_bad_file_is_told(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in TEXT
    with pytest.raises(LabError, match=complaint):
        cells.load(written(tmp_path, TEXT.replace(old, new)))


def test_cells_are_chosen_by_name() -> None:
    assert [cell.name for cell in cells.choose(["v1", "forky", "v1"])] == ["v1", "forky"]
    assert len(cells.choose([])) == 11
    with pytest.raises(LabError, match="there is no cell nowhere: choose among bookworm, trixie"):
        cells.choose(["nowhere"])


def test_what_is_unusual_is_told() -> None:
    known = cells.load()
    assert known["bookworm"].describe() == "bookworm on Linux 6.1"
    assert known["xfs"].describe() == "trixie on Linux 6.12, xfs, no user namespaces for users"
