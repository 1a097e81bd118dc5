"""Boxes for Vagrant, and the Vagrantfile that uses them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab import box, boxfiles, tasks_vagrant
from lab.bake import kernels
from lab.bake.store import Baked
from lab.cells import Cell, cells
from lab.machines.qemu import command_line
from lab.paths import PROJECT
from lab.shell import LabError

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


def test_boxes_are_packed_and_what_fails_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = Baked({"box": tmp_path / "box"}, {}, {"version": "7.1"})
    files.files["box"].write_text("a box")

    def pack(cell: Cell, tell: Callable[[str], None], *, refresh: bool) -> box.Box:
        tell("packing")
        if cell.name == "v1":
            raise LabError("no room")
        assert refresh
        return box.Box(cell, files)

    monkeypatch.setattr(tasks_vagrant, "pack", pack)
    monkeypatch.setattr(kernels, "bake", lambda _cell: None)
    monkeypatch.setattr(tasks_vagrant, "choose_accelerator", lambda _kernel: None)
    with pytest.raises(LabError, match=r"^1 of 2 could not be packed; no room$"):
        tasks_vagrant.box(["v1", "trixie"], refresh=True)
    assert "packed  lading/trixie 7.1, 0 MiB" in capsys.readouterr().out
