from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.kernel.cgroups import (
    discovery,
    files,
    settings,
    v1_limits,
    v1_stats,
    v2_limits,
    v2_stats,
)
from lading.kernel.cgroups.base import Hierarchy, Mode
from lading.kernel.errors import KernelError
from lading.kernel.mountinfo import parse


@dataclass(frozen=True)
class Device:
    allow: bool
    type: str | None = None
    major: int | None = None
    minor: int | None = None
    access: str | None = None


@dataclass(frozen=True)
class Memory:
    limit: int | None = None
    reservation: int | None = None
    swap: int | None = None
    kernel: int | None = None
    kernel_tcp: int | None = None
    swappiness: int | None = None
    disable_oom_killer: bool | None = None


@dataclass(frozen=True)
class Cpu:
    shares: int | None = None
    quota: int | None = None
    period: int | None = None
    burst: int | None = None
    realtime_runtime: int | None = None
    realtime_period: int | None = None
    cpus: str | None = None
    mems: str | None = None
    idle: int | None = None


@dataclass(frozen=True)
class Pids:
    limit: int | None = None


@dataclass(frozen=True)
class Rate:
    major: int
    minor: int
    rate: int


@dataclass(frozen=True)
class Weight:
    major: int
    minor: int
    weight: int | None


@dataclass(frozen=True)
class BlockIO:
    weight: int | None = None
    weight_device: Sequence[Weight] | None = None
    throttle_read_bps_device: Sequence[Rate] | None = None
    throttle_write_bps_device: Sequence[Rate] | None = None
    throttle_read_iops_device: Sequence[Rate] | None = None
    throttle_write_iops_device: Sequence[Rate] | None = None


@dataclass(frozen=True)
class Hugepages:
    page_size: str
    limit: int


@dataclass(frozen=True)
class Resources:
    devices: Sequence[Device] | None = None
    memory: Memory | None = None
    cpu: Cpu | None = None
    pids: Pids | None = None
    block_io: BlockIO | None = None
    hugepage_limits: Sequence[Hugepages] | None = None
    unified: Mapping[str, str] | None = field(default=None)


def as_files(found: list[settings.Setting]) -> list[tuple[str, str]]:
    return [(setting.file, setting.value) for setting in found]


EVERYTHING = Resources(
    memory=Memory(100, 50, 300, swappiness=0, disable_oom_killer=True),
    cpu=Cpu(shares=512, quota=50_000, period=100_000, cpus="0-1", mems="0"),
    pids=Pids(0),
    block_io=BlockIO(
        weight=500,
        weight_device=[Weight(8, 0, 10)],
        throttle_read_bps_device=[Rate(8, 0, 1024)],
        throttle_write_iops_device=[Rate(8, 16, 7)],
    ),
)


def test_v1_files() -> None:
    assert as_files(v1_limits.settings(EVERYTHING)) == [
        ("memory.limit_in_bytes", "100"),
        ("memory.memsw.limit_in_bytes", "300"),
        ("memory.soft_limit_in_bytes", "50"),
        ("memory.swappiness", "0"),
        ("memory.oom_control", "1"),
        ("cpu.shares", "512"),
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "50000"),
        ("cpuset.cpus", "0-1"),
        ("cpuset.mems", "0"),
        ("pids.max", "max"),
        ("blkio.bfq.weight", "500"),
        ("blkio.bfq.weight_device", "8:0 10"),
        ("blkio.throttle.read_bps_device", "8:0 1024"),
        ("blkio.throttle.write_iops_device", "8:16 7"),
    ]


def test_v2_files() -> None:
    found = v2_limits.settings(EVERYTHING)
    assert [pair for pair in as_files(found) if pair[0]] == [
        ("memory.max", "100"),
        ("memory.swap.max", "200"),
        ("memory.low", "50"),
        ("cpu.weight", "20"),
        ("cpu.max", "50000 100000"),
        ("cpuset.cpus", "0-1"),
        ("cpuset.mems", "0"),
        ("pids.max", "max"),
        ("io.weight", "default 4950"),
        ("io.weight", "8:0 1"),
        ("io.max", "8:0 rbps=1024"),
        ("io.max", "8:16 wiops=7"),
    ]


def test_nothing_asked_is_nothing_written() -> None:
    for empty in (Resources(), Resources(None, Memory(), Cpu(), Pids(), BlockIO())):
        assert v1_limits.settings(empty) == []
        assert v2_limits.settings(empty) == []


def test_unlimited() -> None:
    unlimited = Resources(memory=Memory(limit=-1), cpu=Cpu(quota=-1), pids=Pids(-1))
    assert as_files(v1_limits.settings(unlimited)) == [
        ("memory.limit_in_bytes", "-1"),
        ("memory.memsw.limit_in_bytes", "-1"),
        ("cpu.cfs_quota_us", "-1"),
        ("pids.max", "max"),
    ]
    assert as_files(v2_limits.settings(unlimited)) == [
        ("memory.max", "max"),
        ("cpu.max", "max 100000"),
        ("pids.max", "max"),
    ]


def test_v2_refuses_swap_below_memory_and_files_outside() -> None:
    with pytest.raises(KernelError, match=r"memory \+ swap to 50"):
        v2_limits.settings(Resources(memory=Memory(limit=100, swap=50)))
    for name in ("../memory.max", "nodot"):
        with pytest.raises(KernelError, match="use the cgroup file"):
            v2_limits.settings(Resources(unified={name: "1"}))


@given(st.integers(2, 262144))
def test_shares_become_weights_in_range_and_order(shares: int) -> None:
    weight = v2_limits.weight_of_shares(shares)
    assert 1 <= weight <= 10000
    assert weight <= v2_limits.weight_of_shares(min(shares + 1, 262144))


def test_known_weights() -> None:
    assert [v2_limits.weight_of_shares(n) for n in (2, 1024, 262144)] == [1, 39, 10000]
    assert [v2_limits.weight_of_blkio(n) for n in (10, 500, 1000)] == [1, 4950, 10000]


def test_device_lines() -> None:
    assert v1_limits.device_line(Device(True)) == "a"
    assert v1_limits.device_line(Device(True, "c", 1, None, "rw")) == "c 1:* rw"
    assert v1_limits.device_line(Device(True, "b", -1, -1)) == "b *:* rwm"


def test_missing_controllers_and_files_are_warnings(tmp_path: Path) -> None:
    (tmp_path / "cpu.shares").write_text("")
    warnings = settings.write_all(v1_limits.settings(EVERYTHING), {"cpu": str(tmp_path)})
    assert (tmp_path / "cpu.shares").read_text() == "512"
    assert settings.MEMORY in warnings
    assert settings.QUOTA in warnings
    assert settings.PIDS in warnings
    assert settings.SHARES not in warnings
    assert len(warnings) == len(set(warnings))
    assert warnings[0] == (
        "Your kernel does not support memory limit capabilities or the cgroup is not mounted. "
        "Limitation discarded."
    )


V1_MOUNTS = """\
31 23 0:28 / {root} rw - tmpfs tmpfs rw
32 31 0:29 / {root}/cpu,cpuacct rw - cgroup cgroup rw,cpuacct,cpu
33 31 0:32 / {root}/memory rw - cgroup cgroup rw,memory
34 31 0:32 / {root}/again rw - cgroup cgroup rw,memory
40 31 0:37 / {root}/systemd rw - cgroup cgroup rw,xattr,name=systemd
"""
UNIFIED = "41 31 0:38 / {root}/unified rw - cgroup2 cgroup2 rw\n"


def test_hierarchies_are_told_from_mounts(tmp_path: Path) -> None:
    unified = tmp_path / "unified"
    unified.mkdir()
    (unified / "cgroup.controllers").write_text("hugetlb cpu\n")

    def told(text: str) -> Hierarchy:
        return discovery.from_mounts(parse(text.format(root=tmp_path)))

    v1 = told(V1_MOUNTS)
    assert v1.mode is Mode.V1
    assert v1.mounts == tuple(f"{tmp_path}/{n}" for n in ("cpu,cpuacct", "memory", "systemd"))
    assert v1.controllers["cpuacct"].mount_point == f"{tmp_path}/cpu,cpuacct"
    assert (v1.version, v1.unified) == (1, None)
    hybrid = told(V1_MOUNTS + UNIFIED)
    assert hybrid.mode is Mode.HYBRID
    assert hybrid.controllers["cpu"].version == 1
    assert hybrid.controllers["hugetlb"].version == 2
    v2 = told(UNIFIED)
    assert (v2.mode, v2.version) == (Mode.V2, 2)
    assert v2.has("devices")
    assert v2.has("hugetlb")
    assert not v2.has("memory")


def test_v1_counters(tmp_path: Path) -> None:
    content = {
        "cpuacct.usage": "500\n",
        "cpuacct.usage_user": "300\n",
        "cpuacct.usage_sys": "200\n",
        "cpuacct.usage_percpu": "100 400 \n",
        "cpu.stat": "nr_periods 5\nnr_throttled 2\nthrottled_time 77\n",
        "memory.usage_in_bytes": "4096\n",
        "memory.limit_in_bytes": "9223372036854771712\n",
        "memory.stat": "cache 1\nrss 2\nbad\n",
        "pids.current": "3\n",
        "pids.max": "max\n",
        "blkio.throttle.io_service_bytes_recursive": "8:0 Read 10\n8:0 Total 10\nTotal 10\n",
    }
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    names = ("cpu", "cpuacct", "memory", "pids", "blkio")
    found = v1_stats.read(dict.fromkeys(names, str(tmp_path)))
    assert found.cpu is not None
    assert (found.cpu.total, found.cpu.per_cpu, found.cpu.throttled_time) == (500, (100, 400), 77)
    assert found.memory is not None
    assert (found.memory.usage, found.memory.limit) == (4096, None)
    assert found.memory.stats == {"cache": 1, "rss": 2}
    assert found.pids is not None
    assert (found.pids.current, found.pids.limit) == (3, None)
    assert found.block_io is not None
    assert [(e.operation, e.value) for e in found.block_io.bytes] == [("Read", 10), ("Total", 10)]
    assert v1_stats.read({}).memory is None


def test_v2_counters(tmp_path: Path) -> None:
    content = {
        "cpu.stat": "usage_usec 7\nuser_usec 5\nsystem_usec 2\nnr_throttled 1\n",
        "memory.current": "8192\n",
        "memory.max": "16384\n",
        "memory.events": "low 0\nmax 4\noom 1\noom_kill 1\n",
        "memory.stat": "anon 1\nfile 2\n",
        "pids.current": "1\n",
        "pids.max": "9\n",
        "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0\n7:0 \n",
    }
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    found = v2_stats.read(str(tmp_path))
    assert found.cpu is not None
    assert (found.cpu.total, found.cpu.user, found.cpu.throttled_periods) == (7000, 5000, 1)
    assert found.memory is not None
    assert (found.memory.usage, found.memory.limit, found.memory.failcnt) == (8192, 16384, 4)
    assert found.pids is not None
    assert found.pids.limit == 9
    assert found.block_io is not None
    assert [e.value for e in found.block_io.bytes[:2]] == [1, 2]
    assert [e.value for e in found.block_io.operations[:2]] == [3, 4]


def test_a_value_refused_twice_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def write(directory: str, name: str, value: str) -> None:
        written.append(name)
        if name == "memory.limit_in_bytes" and "memory.memsw.limit_in_bytes" not in written:
            raise KernelError(errno.EINVAL, f"write {value} to", name)
        if name == "cpu.shares":
            raise KernelError(errno.EINVAL, f"write {value} to", name)

    monkeypatch.setattr(files, "write", write)
    directories = {"memory": str(tmp_path), "cpu": str(tmp_path)}
    memory = Resources(memory=Memory(limit=100, swap=200))
    assert settings.write_all(v1_limits.settings(memory), directories) == []
    limit, swap = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
    assert written == [limit, swap, limit]
    with pytest.raises(KernelError, match=r"cpu\.shares"):
        settings.write_all(v1_limits.settings(Resources(cpu=Cpu(shares=1))), directories)
