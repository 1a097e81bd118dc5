from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lading.kernel import devices, pty, xattrs
from lading.kernel.errors import KernelError

from .conftest import InChild


@pytest.mark.root
def test_nodes_have_exact_mode_owner_and_numbers(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        devices.make_node(str(tmp_path / "null"), "c", 1, 3, 0o666, 5, 6)
        devices.make_node(str(tmp_path / "fifo"), "p", mode=0o622)
    finally:
        os.umask(old)
    expected = devices.DeviceInfo("c", 1, 3, 0o666, 5, 6)
    assert devices.inspect(str(tmp_path / "null")) == expected
    (tmp_path / "null").open("wb").close()
    assert stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)
    assert devices.inspect(str(tmp_path)) is None
    with pytest.raises(KernelError, match=f"mknod {tmp_path}/null: File exists"):
        devices.make_node(str(tmp_path / "null"), "c", 1, 3)


def test_pty_pair_size_and_controlling_terminal(in_child: InChild) -> None:
    def work() -> None:
        master = pty.open_master()
        slave = pty.open_slave(master)
        assert os.ttyname(slave) == f"/dev/pts/{pty.number(master)}"
        pty.set_size(slave, 33, 77)
        assert pty.get_size(master) == (33, 77)
        os.setsid()
        pty.set_controlling(slave)
        assert os.tcgetpgrp(slave) == os.getpgrp()
        os.write(master, b"line\n")
        assert os.read(slave, 100) == b"line\n"

    in_child(work)
    with pytest.raises(KernelError, match="open pty /nonexistent"):
        pty.open_master("/nonexistent")


@pytest.mark.root
def test_extended_attributes(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("")
    link = tmp_path / "link"
    link.symlink_to("absent")
    xattrs.put(str(target), "trusted.lading", b"1")
    assert xattrs.get(str(target), "trusted.lading") == b"1"
    assert xattrs.all_of(str(target)) == {"trusted.lading": b"1"}
    xattrs.put(str(link), "trusted.lading", b"on the link itself")
    assert xattrs.get(str(link), "trusted.lading") == b"on the link itself"
    xattrs.remove(str(target), "trusted.lading")
    xattrs.remove(str(target), "trusted.lading")
    assert xattrs.get(str(target), "trusted.lading") is None
    with pytest.raises(KernelError, match=r"set attribute bad\.space of"):
        xattrs.put(str(target), "bad.space", b"")
    with pytest.raises(KernelError, match="read attribute"):
        xattrs.get(str(tmp_path / "absent"), "user.x")


@pytest.mark.root
def test_opaque_directories(tmp_path: Path) -> None:
    assert not xattrs.is_opaque(str(tmp_path))
    xattrs.put(str(tmp_path), xattrs.OVERLAY_OPAQUE, b"y")
    assert xattrs.is_opaque(str(tmp_path))
    descriptor = os.open(tmp_path, os.O_RDONLY)
    assert xattrs.is_opaque(descriptor)
    os.close(descriptor)
