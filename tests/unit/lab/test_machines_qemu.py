"""A real machine under QEMU, where the baseline cell is baked: fresh each time, and cut off."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.bake import store
from lab.cells import cells
from lab.kernels.proof import prove
from lab.machines import golden as goldens
from lab.machines.base import CommandFailed
from lab.machines.channel import Gone
from lab.machines.golden import Golden
from lab.machines.kept import keep, open_again
from lab.machines.machine import QemuMachine
from lab.machines.qemu import QEMU

CELL = cells()["bookworm"]

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which(QEMU) is None, reason="no QEMU"),
    pytest.mark.skipif(bool(goldens.missing(CELL)), reason="the cell bookworm is not baked"),
]


@pytest.fixture(scope="module")
def golden() -> Golden:
    return goldens.golden(CELL, "")


@pytest.fixture
def machine(golden: Golden) -> Iterator[QemuMachine]:
    made = QemuMachine(golden)
    yield made
    made.close()
    assert not made.directory.exists()


def test_each_machine_is_fresh_and_knows_the_time(golden: Golden, machine: QemuMachine) -> None:
    machine.succeed("echo mine > /root/mine")
    other = QemuMachine(golden)
    try:
        assert "No such file" in other.fail("cat /root/mine")
        ids = {one.succeed("cat /proc/sys/kernel/random/uuid") for one in (machine, other)}
        assert len(ids) == 2
        assert abs(int(other.succeed("date +%s")) - time.time()) < 60
        assert other.succeed("uname -r").startswith("6.1.")
    finally:
        other.close()


def test_files_go_in_and_out_and_testinfra_sees_them(machine: QemuMachine, tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.write_bytes(bytes(range(256)) * 4096)
    ours.chmod(0o751)
    machine.copy_to(ours, "/root/theirs")
    machine.copy_from("/root/theirs", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == ours.read_bytes()
    file = machine.host.file("/root/theirs")
    assert (file.mode, file.size) == (0o751, 1 << 20)


def test_a_cable_is_pulled_and_put_back(machine: QemuMachine) -> None:
    carrier = "grep -qx 1 /sys/class/net/eth0/carrier"
    machine.succeed(carrier)
    machine.disconnect_network()
    machine.wait_until_succeeds(f"! {carrier}")
    machine.connect_network()
    machine.wait_until_succeeds(carrier)


def test_a_frozen_machine_goes_on_where_it_was(machine: QemuMachine) -> None:
    machine.succeed("echo before > /run/state")
    machine.freeze()
    assert machine.process.monitor.command("query-status")["running"] is False
    machine.unfreeze()
    assert machine.succeed("cat /run/state") == "before"


@pytest.mark.usefixtures("golden")
def test_what_is_said_of_the_kernel_is_so() -> None:
    assert [one.title for one in prove(CELL) if not one.right] == []


def test_a_panic_is_told_as_one(machine: QemuMachine) -> None:
    with pytest.raises(Gone, match="bookworm: the machine ended: Kernel panic"):
        machine.run("echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger", seconds=60)


def test_a_full_disk_is_the_test_s_finding_and_the_machine_goes_on(machine: QemuMachine) -> None:
    machine.succeed("mount -t tmpfs -o size=1m tmpfs /mnt")
    with pytest.raises(CommandFailed, match="No space left on device"):
        machine.succeed("head -c 2m /dev/zero > /mnt/full")
    assert machine.succeed("echo still here") == "still here"


def test_a_machine_that_failed_is_opened_again(
    machine: QemuMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.machines.kept.PLACE", tmp_path)
    machine.succeed("echo disk > /root/mine; echo memory > /run/mine")
    kept = keep(machine, "limits/test_limits.py::test_It is so", "it was not so")
    assert kept.again == f"invoke lab.shell bookworm --at {kept.directory.name}"
    assert kept.directory.name.startswith("test-it-is-so-")
    assert "Linux version 6.1" in (kept.directory / "kernel.log").read_text()
    assert not machine.process.running
    again = open_again("bookworm", kept.directory.name)
    try:
        assert again.succeed("cat /root/mine /run/mine") == "disk\nmemory"
    finally:
        again.close()


def test_a_power_cut_takes_what_was_not_flushed_and_a_reboot_nothing(machine: QemuMachine) -> None:
    machine.succeed("echo flushed > /root/flushed; sync /root/flushed /root")
    machine.succeed("echo lost > /root/lost; echo memory > /run/memory")
    machine.crash()
    assert not machine.process.running
    machine.start()
    assert machine.succeed("cat /root/flushed") == "flushed"
    assert machine.succeed("test -s /root/lost || echo gone") == "gone"
    machine.fail("cat /run/memory")
    machine.succeed("echo kept > /root/kept")
    boot = machine.succeed("cat /proc/sys/kernel/random/boot_id")
    machine.reboot()
    assert machine.succeed("cat /proc/sys/kernel/random/boot_id") != boot
    assert machine.succeed("cat /root/flushed /root/kept") == "flushed\nkept"


def test_nothing_is_left_in_shared_memory(machine: QemuMachine) -> None:
    assert store.TOP in machine.golden.ram.parents
    assert not list(Path("/dev/shm").glob("*lading*"))
