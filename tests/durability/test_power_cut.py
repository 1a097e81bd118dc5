"""The power is cut in mid-write: what was acknowledged is there after the machine is up again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from lab.cells import cells
from lab.machines import golden as goldens
from lab.machines.golden import TREE
from lab.machines.machine import QemuMachine
from lab.machines.qemu import QEMU

CELL = cells()["trixie"]
"""One of the gate's emulated cells, whose golden machine is used again for them."""

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which(QEMU) is None, reason="no QEMU"),
    pytest.mark.skipif(bool(goldens.missing(CELL)), reason=f"the cell {CELL.name} is not baked"),
]

WRITER = "i=0; while :; do i=$((i+1)); echo number $i > /v/new; sync; mv /v/new /v/number; done"


@pytest.fixture
def machine() -> Iterator[QemuMachine]:
    made = QemuMachine(goldens.golden(CELL, "lading"))
    yield made
    made.close()


def test_what_was_acknowledged_outlives_a_power_cut(machine: QemuMachine) -> None:
    client = f"{machine.in_project} {TREE}/.venv/bin/lading -H {machine.start_engine()}"
    for words in (
        "volume create kept",
        "run --rm -v kept:/v busybox sh -c 'echo whole > /v/file; sync'",
        "tag busybox kept:1",
        "run -d --restart=always --name again busybox sleep 3600",
        f"run -d --name writer -v kept:/v busybox sh -c '{WRITER}'",
    ):
        machine.succeed(f"{client} {words}", seconds=120)
    machine.wait_until_succeeds(f"{client} exec writer cat /v/number", seconds=120)
    machine.crash()
    machine.start()
    machine.start_engine()
    read = f"{client} run --rm -v kept:/v busybox cat"
    assert machine.succeed(f"{read} /v/file", seconds=120) == "whole"
    word, number = machine.succeed(f"{read} /v/number", seconds=120).split()
    assert word == "number"
    assert number.isdigit()
    assert "kept" in machine.succeed(f"{client} images --format '{{{{.Repository}}}}'").split()
    states = f"{client} inspect --format '{{{{.State.Status}}}}'"
    machine.wait_until_succeeds(f"{states} again | grep -qx running", seconds=120)
    assert machine.succeed(f"{states} writer") == "exited"
