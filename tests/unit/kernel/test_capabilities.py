from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.kernel import capabilities, process
from lading.kernel.errors import KernelError

from .conftest import InChild


@given(st.integers(0, (1 << len(capabilities.NAMES)) - 1))
def test_bits_and_names_are_inverse(bits: int) -> None:
    assert capabilities.to_bits(capabilities.to_names(bits)) == bits


def test_numbers_are_the_kernels() -> None:
    assert capabilities.BITS["CAP_SYS_ADMIN"] == 21
    assert capabilities.BITS["CAP_CHECKPOINT_RESTORE"] == 40
    assert capabilities.to_names(0b101) == ["CAP_CHOWN", "CAP_DAC_READ_SEARCH"]


def test_unknown_name() -> None:
    with pytest.raises(KernelError, match="CAP_FLY") as caught:
        capabilities.to_bits(["CAP_FLY"])
    assert caught.value.errno == errno.EINVAL


def status_sets() -> dict[str, int]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return {line[:6]: int(line[8:], 16) for line in lines if line.startswith("Cap")}


def test_get_reads_what_proc_shows() -> None:
    sets, shown = capabilities.get(), status_sets()
    assert shown == {
        "CapInh": sets.inheritable,
        "CapPrm": sets.permitted,
        "CapEff": sets.effective,
        "CapBnd": sets.bounding,
        "CapAmb": sets.ambient,
    }
    assert capabilities.supported() & sets.bounding == sets.bounding


@pytest.mark.root
def test_a_thread_gives_up_capabilities(in_child: InChild) -> None:
    def work() -> None:
        keep = capabilities.to_bits(["CAP_CHOWN", "CAP_NET_RAW"])
        capabilities.drop_bounding(keep)
        process.set_keep_capabilities(True)
        process.set_identity(1000, 1000, [])
        capabilities.set_thread(keep, keep, keep)
        capabilities.set_ambient(keep)
        assert set(status_sets().values()) == {keep}
        with pytest.raises(KernelError, match="capset"):
            capabilities.set_thread(1 << 21, 1 << 21, 0)
        with pytest.raises(KernelError, match="CAP_SYS_ADMIN"):
            capabilities.set_ambient(1 << 21)
        assert os.getuid() == 1000

    in_child(work)
