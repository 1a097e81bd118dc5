"""The driver vagrant, on stand-ins for `vagrant` and `ssh`."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab import box, tasks_vagrant
from lab.bake import kernels
from lab.cells import cells
from lab.machines import golden, kept, libvirt, vagrant, vagrantlane
from lab.machines.base import CommandFailed, MachineError
from lab.machines.channel import Gone, Late
from lab.machines.drivers import driver
from lab.machines.vagrant import VagrantMachine
from lab.machines.vagrantcli import Vagrant, complaint
from lab.machines.vagrantlane import VagrantLane
from lab.matrix.lanes import missing
from lab.paths import PROJECT
from lab.shell import LabError

CELL = cells()["trixie"]


def test_vagrant_s_complaints_become_one_sentence() -> None:
    text = "The provider 'x' could not be found, but was requested to\nback it. Please use another."
    assert complaint(text) == ("The provider 'x' could not be found, but was requested to back it")
    text = "\x1b[31mError while connecting to Libvirt:\n\nFailed to connect socket\x1b[0m\n"
    assert complaint(text) == "Error while connecting to Libvirt: Failed to connect socket"
    assert complaint("  ") == "it gave no reason"


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name, path=None: None)
    with pytest.raises(MachineError, match="apt-get install vagrant vagrant-libvirt openssh"):
        driver("vagrant")
    assert "apt-get install vagrant" in missing("vagrant", ["trixie"])


def test_other_providers_want_other_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "missing", lambda _cell: "")
    monkeypatch.setattr(vagrant, "PROVIDER", "virtualbox")
    assert "name one for virtualbox in LADING_BOX" in vagrant.missing(CELL)
    monkeypatch.setenv("LADING_BOX_TRIXIE", "debian/trixie64")
    assert vagrant.missing(CELL) == ""
    assert vagrant.missing(cells()["v1"])


_VAGRANT = """#!/bin/sh
echo "$@" >> "$LADING_TEST/calls"
echo "$LADING_PREFIX" > "$LADING_TEST/prefix"
case $1 in
  box)
    place="$VAGRANT_HOME/boxes/lading-VAGRANTSLASH-trixie"
    [ ! -e "$place/1.0" ] && mkdir -p "$place/2.0"
    ;;
  up) mkdir -p "$VAGRANT_DOTFILE_PATH"; echo kernel > "$LADING_CONSOLE" ;;
  ssh-config) echo "Host $2" ;;
  suspend) echo "The machine is not up. It can not be suspended." >&2; exit 1 ;;
  snapshot) [ ! -e "$LADING_TEST/slow" ] || exec sleep 60 ;;
esac
"""
_SSH = """#!/bin/sh
for last; do :; done
[ ! -e "$LADING_TEST/gone" ] || { echo "ssh: connect to host: No route to host" >&2; exit 255; }
exec sh -c "$last"
"""
_SUDO = '#!/bin/sh\nshift 2\nexec "$@"\n'


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Programs that do on this host what Vagrant's machine would; the directory that says what."""
    programs = {"vagrant": _VAGRANT, "ssh": _SSH, "sudo": _SUDO, "virsh": _VAGRANT}
    for name, text in {**programs, "libvirtd": "", "dnsmasq": "", "qemu-system-x86_64": ""}.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("LADING_TEST", str(tmp_path))
    (tmp_path / "project").write_bytes(b"the project")
    parts = SimpleNamespace(
        cell=CELL,
        accelerator=SimpleNamespace(name="tcg", how="emulated"),
        project=SimpleNamespace(files={"project": tmp_path / "project"}),
    )
    packed = SimpleNamespace(name="lading/trixie", version="2.0", catalog="box.json")
    monkeypatch.setattr(golden, "missing", lambda _cell: "")
    monkeypatch.setattr(golden, "parts", lambda _cell: parts)
    monkeypatch.setattr(golden, "booted", lambda _cell: "true")
    monkeypatch.setattr(golden, "environment", lambda _parts: ["env", f"PYTHONPATH={PROJECT}"])
    monkeypatch.setattr(box, "pack", lambda _cell: packed)
    monkeypatch.setattr(libvirt, "enter", list)
    monkeypatch.setattr(libvirt, "up", lambda: None)
    monkeypatch.setattr(libvirt, "down", lambda: None)
    monkeypatch.setattr(vagrant, "_RUNNING", tmp_path / "running")
    monkeypatch.setattr(vagrant, "_BOXES", tmp_path / "boxes of Vagrant")
    monkeypatch.setattr(VagrantMachine, "_bring_project", lambda _self: None)
    yield tmp_path
    assert not list((tmp_path / "running").glob("*"))


@pytest.fixture
def machine(stand_ins: Path) -> Iterator[VagrantMachine]:
    made = VagrantMachine(CELL, "lading")
    yield made
    (stand_ins / "gone").unlink(missing_ok=True)
    made.close()


def calls(stand_ins: Path) -> list[str]:
    return (stand_ins / "calls").read_text().splitlines()


def test_a_machine_is_made_driven_and_destroyed(stand_ins: Path, machine: VagrantMachine) -> None:
    added = "box add box.json --provider=libvirt"
    assert calls(stand_ins) == [added, "up trixie --provider=libvirt", "ssh-config trixie"]
    prefix = (stand_ins / "prefix").read_text().strip()
    assert prefix == f"lading-{machine.directory.name}-"
    assert machine.succeed("echo 'a  b'; echo \"$0\"") == "a  b\nsh"
    assert machine.run("cat; exit 3", stdin=b"in").out == "in"
    with pytest.raises(CommandFailed, match="trixie: `false` ended with 1"):
        machine.succeed("false")
    # A command may end as ssh does when it fails itself.
    assert machine.run("exit 255").code == 255
    with pytest.raises(Late, match="took more than 0 s"):
        machine.run("sleep 60", seconds=0.1)
    machine.close()
    assert calls(stand_ins)[-1] == "destroy --force trixie"
    assert not machine.directory.exists()


def test_a_box_is_added_once_and_older_ones_go(stand_ins: Path) -> None:
    older = stand_ins / "boxes of Vagrant/lading-VAGRANTSLASH-trixie/1.0"
    older.mkdir(parents=True)
    for _ in range(2):
        VagrantMachine(CELL).close()
    assert [line for line in calls(stand_ins) if line.startswith("box")] == [
        "box add box.json --provider=libvirt"
    ]
    assert not older.exists()


def test_files_go_in_and_out(machine: VagrantMachine, tmp_path: Path) -> None:
    ours, theirs, back = (tmp_path / name for name in ("ours", "it's theirs", "back"))
    ours.write_bytes(bytes(range(256)) * 256)
    ours.chmod(0o751)
    machine.copy_to(ours, str(theirs))
    assert theirs.stat().st_mode & 0o777 == 0o751
    machine.copy_from(str(theirs), back)
    assert back.read_bytes() == ours.read_bytes()
    with pytest.raises(MachineError, match="No such file"):
        machine.copy_from(f"{tmp_path}/none", back)
    with pytest.raises(MachineError, match="can not be read"):
        machine.copy_to(tmp_path / "none", "/root/x")


def test_the_agent_s_code_is_asked_over_ssh(machine: VagrantMachine, tmp_path: Path) -> None:
    found = machine.ask("run", 30, command="echo hello", stdin="", seconds=20)
    assert found == {"code": 0, "out": "hello\n", "err": ""}
    with pytest.raises(MachineError, match=r"trixie: in the machine: read: .*No such file"):
        machine.ask("read", 30, path=f"{tmp_path}/none", offset=0)


def test_what_vagrant_can_not_do_is_told(stand_ins: Path, machine: VagrantMachine) -> None:
    with pytest.raises(MachineError, match=r"^vagrant suspend: The machine is not up$"):
        machine.freeze()
    with pytest.raises(MachineError, match="use the driver qemu"):
        machine.disconnect_network()
    (stand_ins / "gone").touch()
    with pytest.raises(Gone, match=r"trixie: the machine does not answer: .*No route to host"):
        machine.run("true")


def test_a_machine_is_saved_and_its_power_cut(stand_ins: Path, machine: VagrantMachine) -> None:
    machine.save()
    assert calls(stand_ins)[-1] == "snapshot save --force trixie lading"
    machine.crash()
    domain = f"lading-{machine.directory.name}-trixie"
    assert calls(stand_ins)[-1] == f"--quiet --connect qemu:///system destroy {domain}"
    machine.start()
    assert calls(stand_ins)[-2] == "up trixie --provider=libvirt"


def test_what_is_under_way_is_ended_from_another_thread(
    stand_ins: Path, machine: VagrantMachine
) -> None:
    (stand_ins / "slow").touch()
    found: list[BaseException] = []

    def save() -> None:
        try:
            machine.save()
        except MachineError as error:
            found.append(error)

    thread = threading.Thread(target=save)
    thread.start()
    while not calls(stand_ins)[-1].startswith("snapshot"):
        assert thread.is_alive()
    machine.cut()
    thread.join(30)
    assert isinstance(found[0], Gone)


def test_a_machine_that_does_not_come_up_is_destroyed(
    stand_ins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_self: VagrantMachine) -> None:
        raise MachineError("it does not come up")

    monkeypatch.setattr(VagrantMachine, "start", never)
    with pytest.raises(MachineError, match="it does not come up"):
        VagrantMachine(CELL)
    assert not list((stand_ins / "running").iterdir())


def test_what_a_killed_process_left_is_destroyed_by_the_next(stand_ins: Path) -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    left = stand_ins / "running" / f"{process.pid}-left"
    (left / "vagrant/machines/v1/libvirt").mkdir(parents=True)
    (left / "vagrant/machines/v1/libvirt/id").write_text("an-id")
    VagrantMachine(CELL).close()
    assert calls(stand_ins)[0] == "destroy --force v1"
    assert not left.exists()


class _FakeMachine:
    """A machine that notes what the lane does with it."""

    def __init__(self, cell: Any, engine: str, watch: Callable[[Any], None]) -> None:
        self.cell, self.engine, self.did = cell, engine, ["made"]
        watch(self)

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: self.did.append(name)

    def run_scenario(self, scenario: str) -> Mapping[str, Any]:
        self.did.append(scenario)
        if scenario == "dies":
            raise Gone("the machine ended")
        ended = {"outcome": scenario, "duration": 1.0, "complaint": "", "observations": {}}
        return {"scenarios": {scenario: ended}}


def test_the_lane_puts_its_machine_back_for_every_scenario(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[_FakeMachine] = []

    def make(*arguments: Any) -> _FakeMachine:
        made.append(_FakeMachine(*arguments))
        return made[-1]

    logs: list[str] = []

    def keep_logs(_machine: object, scenario: str, _complaint: str) -> Path:
        logs.append(scenario)
        return tmp_path

    monkeypatch.setattr(vagrantlane, "needed", lambda: None)
    monkeypatch.setattr(vagrantlane, "VagrantMachine", make)
    monkeypatch.setattr(vagrantlane, "keep_logs", keep_logs)
    lane = VagrantLane()
    assert lane.run(CELL, "passed", "lading")[0].outcome == "passed"
    assert lane.run(CELL, "failed", "lading")[0].kept == str(tmp_path)
    with pytest.raises(MachineError, match=r"the machine ended \(its log"):
        lane.run(CELL, "dies", "lading")
    assert made[0].did == [
        "made", "warm", "save", "put_back", "passed", "put_back", "failed", "put_back", "dies",
        "close",
    ]  # fmt: skip
    lane.run(CELL, "passed", "lading")
    lane.close()
    assert made[1].did[-2:] == ["cut", "close"]
    assert logs == ["failed", "dies"]
    with pytest.raises(MachineError, match="the lab is closing"):
        lane.run(CELL, "passed", "lading")


def test_a_machine_is_brought_up_to_stay_until_all_is_cleaned(
    stand_ins: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VAGRANT_DOTFILE_PATH", str(stand_ins / ".vagrant"))
    monkeypatch.setenv("LADING_CONSOLE", str(stand_ins / "console.log"))
    monkeypatch.setattr(tasks_vagrant, "PROJECT", stand_ins)
    monkeypatch.setattr(tasks_vagrant, "BOXES", stand_ins / "boxes")
    monkeypatch.setattr(tasks_vagrant, "pack", lambda _cell: None)
    monkeypatch.setattr(kernels, "bake", lambda _cell: None)
    monkeypatch.setattr(tasks_vagrant, "choose_accelerator", lambda _kernel: None)
    tasks_vagrant.up("trixie")
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  vagrant ssh trixie",
        "  vagrant destroy --force trixie",
    ]
    place = stand_ins / ".vagrant/machines/trixie/libvirt"
    place.mkdir(parents=True)
    (place / "id").write_text("an-id")
    (stand_ins / "boxes").mkdir()
    tasks_vagrant.clean()
    assert calls(stand_ins) == ["up trixie --provider=libvirt", "destroy --force trixie"]
    assert not (stand_ins / "boxes").exists()
    with pytest.raises(LabError, match="there is no cell nowhere"):
        tasks_vagrant.up("nowhere")


def test_logs_of_any_machine_are_kept(
    machine: VagrantMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "PLACE", tmp_path / "kept")
    monkeypatch.setattr(kept, "_LOGS", {"some.log": "echo said"})
    place = kept.keep_logs(machine, "a/test_b.py::test_c", "it failed")
    assert (place / "console.log").read_text() == "kernel\n"
    assert (place / "some.log").read_text() == "said\n"
    assert "it failed" in (place / "complaint.txt").read_text()


@pytest.mark.skipif(shutil.which("vagrant") is None, reason="no Vagrant")
def test_vagrant_itself_reads_the_vagrantfile(tmp_path: Path) -> None:
    settings = {
        "VAGRANT_HOME": str(tmp_path / "home"),
        "VAGRANT_DOTFILE_PATH": str(tmp_path / "vagrant"),
    }
    text = Vagrant(CELL, settings).run("status", "--machine-readable")
    lines = [line.split(",") for line in text.splitlines()]
    states = {line[1]: line[3] for line in lines if line[2] == "state"}
    assert states == dict.fromkeys(cells(), "not_created")


@pytest.mark.root
@pytest.mark.skipif("LADING_EMULATED" not in os.environ, reason="it takes minutes")
@pytest.mark.skipif(
    shutil.which("vagrant") is None or bool(golden.missing(CELL)),
    reason="no Vagrant, or the cell trixie is not baked",
)
def test_a_scenario_runs_in_a_machine_of_vagrant_s() -> None:
    made = driver("vagrant").machine(CELL, "lading")
    try:
        assert made.succeed("uname -r").startswith("6.12.")
        document = made.run_scenario(golden.FIRST)
    finally:
        made.close()
    assert document["scenarios"][golden.FIRST]["outcome"] == "passed"
