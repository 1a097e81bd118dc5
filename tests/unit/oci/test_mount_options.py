"""Mount options: what the kernel gets for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.kernel.mounts import MountAttr, MountFlag, Propagation
from lading.oci.mount_options import SUPPORTED, parse


def test_flags_propagation_and_data_are_told_apart() -> None:
    options = parse(["nosuid", "noexec", "size=64k", "rslave", "mode=755", "ro"])
    assert options.flags == MountFlag.NOSUID | MountFlag.NOEXEC | MountFlag.RDONLY
    assert options.propagations == (Propagation.RSLAVE,)
    assert options.data == "size=64k,mode=755"
    assert options.readonly


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (["ro", "rw"], 0),
        (["rw", "ro"], MountFlag.RDONLY),
        (["rbind"], MountFlag.BIND | MountFlag.REC),
        (["nodev", "dev"], 0),
        (["defaults"], 0),
    ],
)
def test_the_last_of_contradicting_options_counts(words: list[str], flags: int) -> None:
    assert parse(words).flags == flags


def test_recursive_options_go_to_mount_setattr() -> None:
    options = parse(["rbind", "rro", "rnosuid", "rsuid"])
    assert options.recursive_set == MountAttr.RDONLY
    assert options.recursive_clear == MountAttr.NOSUID


def test_recursive_access_times_clear_the_whole_field() -> None:
    options = parse(["rnoatime"])
    assert options.recursive_set == MountAttr.NOATIME
    assert options.recursive_clear == MountAttr.ATIME_MASK


def test_own_options_are_kept_from_the_kernel() -> None:
    options = parse(["lowerdir=a:b", "x-lading.chdir=/var/x=y", "tmpcopyup", "idmap"])
    assert options.data == "lowerdir=a:b"
    assert options.own_value("chdir") == "/var/x=y"
    assert options.own_value("other") == ""
    assert options.copy_up
    assert options.id_map == "idmap"


@given(st.lists(st.one_of(st.sampled_from(SUPPORTED), st.text(max_size=12)), max_size=8))
def test_only_unknown_options_become_data(words: list[str]) -> None:
    known = set(SUPPORTED)
    unknown = [w for w in words if w not in known and not w.startswith("x-lading.")]
    assert parse(words).data == ",".join(unknown)
