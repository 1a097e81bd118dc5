from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.kernel import mountinfo

TEXT = r"""
22 27 0:21 / /proc rw,relatime shared:7 master:3 - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 0:40 /sub\040dir /mnt/with\040space\134x ro,nosuid unbindable - tmpfs none rw,size=4k
41 27 0:41 / /mnt/empty rw master:9 propagate_from:2 - tmpfs  rw
""".lstrip()


def test_parses_every_field() -> None:
    proc, root, bind, slave = mountinfo.parse(TEXT)
    assert (proc.mount_id, proc.parent_id, proc.major, proc.minor) == (22, 27, 0, 21)
    assert (proc.shared, proc.master, proc.propagation) == (7, 3, "shared")
    assert root.super_options == ("rw", "discard")
    assert root.propagation == "private"
    assert bind.root == "/sub dir"
    assert bind.mount_point == "/mnt/with space\\x"
    assert bind.options == ("ro", "nosuid")
    assert bind.propagation == "unbindable"
    assert slave.propagation == "slave"
    assert slave.source == ""


def test_selects_and_finds() -> None:
    mounts = mountinfo.parse(TEXT)
    assert [m.mount_id for m in mountinfo.under(mounts, "/mnt")] == [40, 41]
    assert [m.mount_id for m in mountinfo.under(mounts, "/")] == [22, 27, 40, 41]
    found = mountinfo.find("/mnt/empty/deep", mounts)
    assert found is not None
    assert found.mount_id == 41
    found = mountinfo.find("/mnt/emptyish", mounts)
    assert found is not None
    assert found.mount_point == "/"


@pytest.mark.parametrize("line", ["", "1 2", "1 2 3:4 / / rw", "1 2 3:4 / / rw - x"])
def test_refuses_other_lines(line: str) -> None:
    if line == "":
        assert mountinfo.parse(line) == []
    else:
        with pytest.raises(ValueError, match="mountinfo"):
            mountinfo.parse(line)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30))
def test_unescapes_what_the_kernel_escapes(name: str) -> None:
    escaped = "".join(f"\\{ord(c):03o}" if c in " \t\n\\#" else c for c in name)
    assert mountinfo.unescape(escaped) == name


def test_reads_this_process() -> None:
    mounts = mountinfo.mountinfo()
    assert any(m.mount_point == "/proc" and m.fstype == "proc" for m in mounts)
    assert mountinfo.mountinfo(os.getpid()) == mounts
