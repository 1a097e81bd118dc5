"""Vagrant: boxes, the Vagrantfile, and the driver on stand-ins for `vagrant` and `ssh`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab import box, boxfiles
from lab.bake.store import Baked
from lab.cells import cells
from lab.machines import golden, kept, libvirt, vagrant, vagrantlane
from lab.machines.base import CommandFailed, MachineError
from lab.machines.channel import Gone, Late
from lab.machines.drivers import driver
from lab.machines.qemu import command_line
from lab.machines.vagrant import VagrantMachine
from lab.machines.vagrantcli import Vagrant, complaint
from lab.machines.vagrantlane import VagrantLane
from lab.matrix.lanes import missing
from lab.paths import PROJECT
from lab.shell import LabError, alive

CELL = cells()["trixie"]
_RUBY = pytest.mark.skipif(shutil.which("ruby") is None, reason="no Ruby")

# Says as JSON what a Vagrantfile asks for.
_READER = r"""
require "json"
class Asked
  def initialize; @said = {}; end
  attr_reader :said
  def method_missing(name, *words, **options, &block)
    key = name.to_s
    if key.end_with?("=")
      @said[key.chomp("=")] = words[0]
    elsif %w[provider define].include?(key)
      inner = Asked.new
      block.call(inner)
      @said[key] = (@said[key] || {}).merge(words[0].to_s => inner.said)
    elsif words.empty? && options.empty?
      (@said[key] ||= Asked.new)
    else
      (@said[key] ||= []) << [*words.map(&:to_s), options]
    end
  end
  def respond_to_missing?(*) = true
  def to_json(*options) = @said.to_json(*options)
end
module Vagrant
  def self.configure(_version)
    asked = Asked.new
    yield asked
    puts asked.to_json
  end
end
load ARGV[0]
"""


def asked(path: Path, **environment: str) -> dict[str, Any]:
    """What a Vagrantfile asks Vagrant for; `environment` is beside this process's."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("LADING_")}
    done = subprocess.run(
        ["ruby", "-e", _READER, str(path)],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)["vm"]
    return found


@_RUBY
def test_the_vagrantfile_has_a_machine_for_each_cell(tmp_path: Path) -> None:
    subprocess.run(["ruby", "-c", str(PROJECT / "Vagrantfile")], check=True, capture_output=True)
    found = asked(PROJECT / "Vagrantfile", LADING_CACHE=str(tmp_path), LADING_ACCELERATOR="tcg")
    assert list(found["define"]) == list(cells())
    machine = found["define"]["v1-partial"]["vm"]
    assert machine["box"] == "lading/v1-partial"
    assert machine["box_url"] == f"file://{tmp_path}/lab/boxes/v1-partial/box.json"
    libvirt_asked = machine["provider"]["libvirt"]
    assert (libvirt_asked["driver"], libvirt_asked["cpus"]) == ("qemu", 1)
    assert "kernel" not in libvirt_asked


@_RUBY
def test_the_vagrantfile_uses_what_was_packed_and_how_the_host_runs_it(tmp_path: Path) -> None:
    place = tmp_path / "lab/boxes/trixie"
    place.mkdir(parents=True)
    (place / "box.json").write_text('{"versions": [{"version": "1.2"}]}')
    (tmp_path / "lab/accelerator.json").write_text('{"works": true}')
    found = asked(PROJECT / "Vagrantfile", LADING_CACHE=str(tmp_path), LADING_PREFIX="lading-x-")
    machine = found["define"]["trixie"]["vm"]
    assert machine["box_version"] == "1.2"
    libvirt_asked = machine["provider"]["libvirt"]
    assert libvirt_asked["driver"] == "kvm"
    assert libvirt_asked["kernel"] == f"{place}/vmlinux"
    assert libvirt_asked["default_prefix"] == "lading-x-"


@_RUBY
def test_the_vagrantfile_takes_other_boxes(tmp_path: Path) -> None:
    file = PROJECT / "Vagrantfile"
    found = asked(file, LADING_CACHE=str(tmp_path), LADING_BOX="a/b", LADING_BOX_OLD_KERNEL="c/d")
    boxes = {name: machine["vm"]["box"] for name, machine in found["define"].items()}
    assert (boxes["trixie"], boxes["old-kernel"]) == ("a/b", "c/d")
    assert "box_url" not in found["define"]["trixie"]["vm"]


@_RUBY
def test_a_vagrantfile_without_cells_says_so(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "Vagrantfile", tmp_path)
    words = ["ruby", "-e", _READER, str(tmp_path / "Vagrantfile")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode
    assert done.stderr.startswith("lading: lab/cells.toml can not be read: ")
    assert done.stderr.count("\n") == 1


def test_cells_are_exported_as_they_are_written() -> None:
    words = [sys.executable, "-m", "lab.cells"]
    text = subprocess.run(words, cwd=PROJECT, capture_output=True, check=True).stdout
    found = {cell.pop("name"): cell for cell in json.loads(text)}
    assert list(found) == list(cells())
    for name, cell in cells().items():
        assert found[name].pop("description") == cell.describe()
        assert {"name": name, **found[name]} == cell.facts()


@_RUBY
def test_the_box_s_own_vagrantfile_starts_its_kernel(tmp_path: Path) -> None:
    path = tmp_path / "Vagrantfile"
    path.write_text(boxfiles.vagrantfile(command_line(cells()["v1"]), 1024))
    found = asked(path)["provider"]["libvirt"]
    assert found["kernel"] == f"{tmp_path}/vmlinux"
    assert found["initrd"] == f"{tmp_path}/initrd"
    assert found["cmd_line"] == command_line(cells()["v1"])
    assert ["file", {"size": "8G", "type": "qcow2", "serial": boxfiles.STORE}] in found["storage"]


@pytest.mark.parametrize("name", ["trixie", "sysvinit"])
def test_a_box_brings_ssh_an_address_and_vagrant_s_user(name: str, tmp_path: Path) -> None:
    cell = cells()[name]
    files = boxfiles.files(cell)
    assert files["etc/sudoers.d/vagrant"] == (boxfiles._SUDO, 0o440)
    assert ("etc/systemd/system/lading-address.service" in files) == (cell.init == "systemd")
    for script in (boxfiles.INIT, files["usr/lib/lading/dhcp"][0]):
        (tmp_path / "script").write_text(script)
        subprocess.run(["sh", "-n", str(tmp_path / "script")], check=True)
    script = boxfiles.SETUP + boxfiles.services(cell.init)
    (tmp_path / "script").write_text(script)
    subprocess.run(["sh", "-n", str(tmp_path / "script")], check=True)
    assert "openssh-server" in script


def test_a_box_says_what_it_is_and_holds_what_it_names(tmp_path: Path) -> None:
    assert json.loads(box._metadata(5 << 20))["virtual_size"] == 1
    assert json.loads(box._metadata((2 << 30) + 1)) == {
        "provider": "libvirt",
        "format": "qcow2",
        "virtual_size": 3,
    }
    (tmp_path / "image").write_bytes(b"an image")
    parts: dict[str, bytes | Path] = {"metadata.json": b"{}", "box.img": tmp_path / "image"}
    box._archive(tmp_path / "one", parts.items(), 1_700_000_000)
    box._archive(tmp_path / "two", parts.items(), 1_700_000_000)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with tarfile.open(tmp_path / "one") as archive:
        assert archive.getnames() == ["metadata.json", "box.img"]
        assert (image := archive.extractfile("box.img")) is not None
        assert image.read() == b"an image"


def test_a_packed_box_is_found_by_its_catalog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {role: tmp_path / role for role in ("box", "initrd", "vmlinux")}
    for path in files.values():
        path.write_text(path.name)
    baked = Baked(files, {"box": "ab" * 32}, {"version": "20261124.1"})
    monkeypatch.setattr(box, "BOXES", tmp_path / "boxes")
    monkeypatch.setattr(box, "find", lambda _recipe: baked)
    made = box.Box(CELL, baked)
    for _ in range(2):
        box._publish(made)
    document = json.loads(made.catalog.read_text())
    version = document["versions"][0]
    assert (document["name"], version["version"]) == ("lading/trixie", "20261124.1")
    provider = version["providers"][0]
    assert provider["checksum"] == "ab" * 32
    assert Path(provider["url"].removeprefix("file://")).read_text() == "box"
    assert (made.catalog.parent / "vmlinux").read_text() == "vmlinux"


def test_a_box_of_what_is_not_baked_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box, "missing", lambda _cell: "the root is not baked")
    with pytest.raises(LabError, match="the root is not baked"):
        box.pack(CELL)
    assert box.packed(CELL) is None


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
    packed = SimpleNamespace(name="lading/trixie", version="2.0")
    monkeypatch.setattr(golden, "missing", lambda _cell: "")
    monkeypatch.setattr(golden, "parts", lambda _cell: parts)
    monkeypatch.setattr(golden, "booted", lambda _cell: "true")
    monkeypatch.setattr(golden, "environment", lambda _parts: ["env", f"PYTHONPATH={PROJECT}"])
    monkeypatch.setattr(box, "pack", lambda _cell: packed)
    monkeypatch.setattr(libvirt, "up", lambda: None)
    monkeypatch.setattr(libvirt, "down", lambda: None)
    monkeypatch.setattr(vagrant, "_RUNNING", tmp_path / "running")
    monkeypatch.setattr(vagrant, "_HOME", tmp_path / "home")
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
    assert calls(stand_ins) == ["up trixie --provider=libvirt", "ssh-config trixie"]
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


def test_logs_of_any_machine_are_kept(
    machine: VagrantMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "PLACE", tmp_path / "kept")
    monkeypatch.setattr(kept, "_LOGS", {"some.log": "echo said"})
    place = kept.keep_logs(machine, "a/test_b.py::test_c", "it failed")
    assert (place / "console.log").read_text() == "kernel\n"
    assert (place / "some.log").read_text() == "said\n"
    assert "it failed" in (place / "complaint.txt").read_text()


def test_who_may_not_start_a_libvirt_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt, "_hosts_own_answers", lambda: False)
    monkeypatch.setattr(libvirt, "_PID", tmp_path / "none")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MachineError, match="no libvirt answers here: start the host's"):
        libvirt.up()


@pytest.mark.root
@pytest.mark.skipif(
    not all(shutil.which(name) for name in ("libvirtd", "virsh")), reason="no libvirt"
)
def test_the_lab_s_own_libvirt_comes_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, state = tmp_path / "run", tmp_path / "state"
    names = {"/run/libvirt": "run", "/etc/libvirt": "etc", "/var/log/libvirt": "log"}
    places = {place: run / name for place, name in names.items()}
    monkeypatch.setattr(libvirt, "_PLACES", places | {"/var/lib/libvirt": state})
    monkeypatch.setattr(libvirt, "_RUN", run)
    monkeypatch.setattr(libvirt, "_STATE", state)
    for name in ("pid", "log"):
        monkeypatch.setattr(libvirt, f"_{name.upper()}", run / f"libvirtd.{name}")
    for name in ("namespace", "made"):
        monkeypatch.setattr(libvirt, f"_{name.upper()}", run / name)
    monkeypatch.setattr(libvirt, "_hosts_own_answers", lambda: False)
    libvirt.up()
    try:
        words = [*libvirt.enter(), "ip", "-o", "link"]
        links = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        assert [line.split()[1] for line in links.splitlines()] == ["lo:"]
        assert libvirt._virsh("uri").strip() == "qemu:///system"
        pid = libvirt._pid()
        left = subprocess.Popen([*libvirt.enter(), "sleep", "600"])
        assert left.pid in libvirt._inside()
    finally:
        libvirt.down()
    assert not alive(left.pid)
    assert libvirt.enter() == []
    assert not Path(f"/proc/{pid}").exists()
    assert not run.exists()


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
