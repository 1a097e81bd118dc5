"""The libvirt of the lab's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.machines import libvirt
from lab.machines.base import MachineError
from lab.shell import alive, wait_until


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
        # nsenter enters after it has begun.
        wait_until(lambda: left.pid in libvirt._inside(), 30, "a process in the namespace")
    finally:
        libvirt.down()
    assert not alive(left.pid)
    assert libvirt.enter() == []
    assert not Path(f"/proc/{pid}").exists()
    assert not run.exists()
