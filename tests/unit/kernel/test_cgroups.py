"""Cgroups on this host's own hierarchies, below a parent of ours that is removed again."""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lading.kernel import cgroups, process
from lading.kernel.cgroups import Cgroup, Hierarchy, Mode, devices_bpf, v1, v2
from lading.kernel.cgroups.settings import SWAP
from lading.kernel.cgroups.v2 import CgroupV2
from lading.kernel.errors import KernelError
from lading.kernel.namespaces import clone3

from .conftest import InChild
from .test_cgroup_settings import Cpu, Device, Hugepages, Memory, Pids, Resources

pytestmark = pytest.mark.root


def only_v2(found: Hierarchy) -> Hierarchy:
    """See the host as if it had the unified hierarchy alone."""
    controllers = {n: c for n, c in found.controllers.items() if c.version == 2}
    return Hierarchy(Mode.V2, controllers, (), found.unified)


def only_v1(found: Hierarchy) -> Hierarchy:
    """See the host as if cgroup2 were not mounted."""
    controllers = {n: c for n, c in found.controllers.items() if c.version == 1}
    return Hierarchy(Mode.V1, controllers, found.mounts, None)


@pytest.fixture(params=["host", "v2", "v1"])
def hierarchy(request: pytest.FixtureRequest) -> Hierarchy:
    found = cgroups.detect()
    if request.param == "v2":
        if found.unified is None:
            pytest.skip("cgroup2 is not mounted")
        return only_v2(found)
    if request.param == "v1":
        if not found.mounts:
            pytest.skip("no v1 hierarchy is mounted")
        return only_v1(found)
    return found


@pytest.fixture
def cgroup(hierarchy: Hierarchy) -> Iterator[Cgroup]:
    parent = f"/lading-test-{os.getpid()}"
    made = cgroups.at(f"{parent}/one", hierarchy)
    made.create()
    yield made
    if made.exists():
        made.kill()
    made.delete()
    cgroups.at(parent, hierarchy).delete()
    for directory in made.directories().values():
        assert not Path(directory).parent.exists()


@pytest.fixture
def sleeper(cgroup: Cgroup) -> Iterator[int]:
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    cgroup.add(pid)
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_created_everywhere_and_again(cgroup: Cgroup) -> None:
    assert cgroup.exists()
    for directory in cgroup.directories().values():
        assert Path(directory).is_dir()
    cgroup.create()
    assert cgroup.pids() == []


def test_a_process_is_added_frozen_and_thawed(cgroup: Cgroup, sleeper: int) -> None:
    assert cgroup.pids() == [sleeper]
    for line in Path(f"/proc/{sleeper}/cgroup").read_text().splitlines():
        _, name, path = line.split(":")
        known = any(n in cgroup.hierarchy.controllers for n in name.split(","))
        if known or (not name and cgroup.hierarchy.unified):
            assert path == cgroup.path
    assert not cgroup.frozen()
    cgroup.freeze()
    assert cgroup.frozen()
    cgroup.thaw()
    assert not cgroup.frozen()


def test_kill_reaches_children_and_frozen_ones(cgroup: Cgroup) -> None:
    receive, send = os.pipe()
    pid, pidfd = clone3(cgroup_fd=cgroup.open())
    if pid == 0:
        os.close(receive)
        cgroup.enter()
        os.fork()
        os.write(send, b".")
        signal.pause()
        os._exit(0)
    os.close(send)
    seen = b""
    while len(seen) < 2:
        seen += os.read(receive, 2)
    assert pid in cgroup.pids()
    assert len(cgroup.pids()) == 2
    cgroup.freeze()
    cgroup.kill()
    assert os.read(receive, 1) == b""
    ended = process.wait_pidfd(pidfd)
    assert ended is not None
    assert ended.signal == signal.SIGKILL
    cgroup.delete()
    assert not cgroup.exists()
    cgroup.delete()
    os.close(pidfd)
    os.close(receive)


def test_entering_oneself(cgroup: Cgroup, in_child: InChild) -> None:
    def work() -> None:
        cgroup.enter()
        assert cgroup.pids() == [os.getpid()]
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        inside = [line for line in lines if line.endswith(":" + cgroup.path)]
        assert len(inside) == len(cgroup.hierarchy.mounts) + (cgroup.hierarchy.unified is not None)

    in_child(work)


def test_cgroups_below_are_listed_and_removed(cgroup: Cgroup, sleeper: int) -> None:
    below = cgroups.at(cgroup.path + "/below/deep", cgroup.hierarchy)
    below.create()
    below.add(sleeper)
    assert cgroup.pids() == []
    assert cgroup.pids(recursive=True) == [sleeper]
    cgroup.kill()
    cgroup.delete()
    assert not below.exists()


def test_a_parent_goes_with_its_last_child(cgroup: Cgroup) -> None:
    parent = cgroups.at(os.path.dirname(cgroup.path), cgroup.hierarchy)
    parent.delete_if_empty()
    assert parent.exists()
    assert cgroup.exists()
    cgroup.delete()
    parent.delete_if_empty()
    assert not any(Path(directory).exists() for directory in parent.directories().values())
    parent.delete_if_empty()


def test_limits_are_in_the_files(cgroup: Cgroup) -> None:
    if cgroup.hierarchy.version != 1 or not cgroup.hierarchy.has("memory"):
        pytest.skip("this host's limits are not in v1")
    wanted = Resources(
        memory=Memory(limit=64 << 20, swap=128 << 20, reservation=32 << 20),
        cpu=Cpu(shares=512, quota=50_000, period=100_000, cpus="0"),
        pids=Pids(20),
    )
    assert cgroup.apply(wanted) == []
    stats = cgroup.stats()
    assert stats.memory is not None
    assert stats.memory.limit == 64 << 20
    assert stats.pids is not None
    assert stats.pids.limit == 20
    directories = cgroup.directories()
    assert Path(directories["cpu"], "cpu.cfs_quota_us").read_text() == "50000\n"
    assert Path(directories["cpuset"], "cpuset.cpus").read_text() == "0\n"
    bigger = Resources(memory=Memory(limit=256 << 20, swap=512 << 20))
    assert cgroup.apply(bigger) == []
    smaller = Resources(memory=Memory(limit=32 << 20, swap=32 << 20))
    assert cgroup.apply(smaller) == []
    assert cgroup.apply(Resources(memory=Memory(limit=-1))) == []
    with pytest.raises(KernelError, match=r"write 2-99 to .*cpuset\.cpus"):
        cgroup.apply(Resources(cpu=Cpu(cpus="2-99")))


def test_a_parent_that_another_process_is_making_still_gives_memory_nodes() -> None:
    mount = cgroups.detect().controllers.get("cpuset")
    if mount is None or mount.version == 2:
        pytest.skip("this host's cpusets are not in v1")
    top = Path(mount.mount_point)
    parent = f"/lading-test-{os.getpid()}"
    made = cgroups.at(f"{parent}/one")
    try:
        (top / parent[1:]).mkdir()
        (top / parent[1:] / "cpuset.cpus").write_text((top / "cpuset.cpus").read_text())
        made.create()
        nodes = Path(made.directories()["cpuset"], "cpuset.mems").read_text()
        assert nodes == (top / "cpuset.mems").read_text() != "\n"
    finally:
        made.delete()
        cgroups.at(parent).delete()


def test_limits_are_in_the_files_of_v2(cgroup: Cgroup) -> None:
    if not isinstance(cgroup, CgroupV2) or not cgroup.hierarchy.has("memory"):
        pytest.skip("this host's limits are not in v2")
    wanted = Resources(
        memory=Memory(limit=64 << 20, swap=128 << 20, reservation=32 << 20),
        cpu=Cpu(shares=512, quota=50_000, period=100_000, cpus="0"),
        pids=Pids(20),
    )
    without_swap = [] if cgroups.support(cgroup.hierarchy).swap else [SWAP]
    assert cgroup.apply(wanted) == without_swap
    directory = Path(cgroup.directories()[""])
    expected = {
        "memory.max": str(64 << 20),
        "memory.low": str(32 << 20),
        "cpu.weight": "20",
        "cpu.max": "50000 100000",
        "cpuset.cpus": "0",
        "pids.max": "20",
    }
    if not without_swap:
        expected["memory.swap.max"] = str(64 << 20)
    found = {name: (directory / name).read_text().strip() for name in expected}
    assert found == expected
    stats = cgroup.stats()
    assert stats.memory is not None
    assert stats.memory.limit == 64 << 20
    assert cgroup.apply(Resources(memory=Memory(limit=-1), pids=Pids(-1))) == []
    assert (directory / "memory.max").read_text() == "max\n"


def test_unified_values_are_for_v2(cgroup: Cgroup) -> None:
    values = Resources(unified={"cgroup.max.descendants": "7"})
    if cgroup.hierarchy.version == 1:
        with pytest.raises(KernelError, match=r"cgroup\.max\.descendants"):
            cgroup.apply(values)
        return
    assert cgroup.apply(values) == []
    assert Path(cgroup.directories()[""], "cgroup.max.descendants").read_text() == "7\n"


def test_missing_controller_is_a_warning(cgroup: Cgroup) -> None:
    if isinstance(cgroup, CgroupV2) and not cgroup.hierarchy.has("memory"):
        warnings = cgroup.apply(Resources(memory=Memory(limit=64 << 20), pids=Pids(5)))
        assert [w.partition(" does not support ")[2].split()[0] for w in warnings] == [
            "memory",
            "PIDs",
        ]


def test_huge_pages(cgroup: Cgroup) -> None:
    if not cgroup.hierarchy.has("hugetlb"):
        assert cgroup.apply(Resources(hugepage_limits=[Hugepages("2MB", 1 << 21)]))
        return
    sizes = os.listdir("/sys/kernel/mm/hugepages")
    if "hugepages-2048kB" not in sizes:
        pytest.skip("no 2 MB huge pages here")
    assert cgroup.apply(Resources(hugepage_limits=[Hugepages("2MB", 2 << 21)])) == []
    directory = cgroup.hierarchy.controllers["hugetlb"].mount_point + cgroup.path
    files = ("hugetlb.2MB.max", "hugetlb.2MB.limit_in_bytes")
    found = [Path(directory, f).read_text() for f in files if Path(directory, f).exists()]
    assert found == [f"{2 << 21}\n"]


NULL_ZERO = [Device(False), Device(True, "c", 1, 3, "rwm"), Device(True, "c", 1, 5, "r")]


def opens(path: str, mode: int) -> bool:
    try:
        os.close(os.open(path, mode))
    except PermissionError:
        return False
    return True


def test_device_rules_hold(cgroup: Cgroup, in_child: InChild) -> None:
    def work() -> None:
        cgroup.enter()
        assert opens("/dev/null", os.O_RDWR)
        assert opens("/dev/zero", os.O_RDONLY)
        assert not opens("/dev/zero", os.O_RDWR)
        assert not opens("/dev/full", os.O_RDONLY)

    def allowed_all() -> None:
        cgroup.enter()
        assert opens("/dev/full", os.O_RDWR)

    assert cgroup.apply(Resources(devices=NULL_ZERO)) == []
    in_child(work)
    assert cgroup.apply_devices([Device(True)]) == []
    in_child(allowed_all)


def test_bpf_decides_each_kind_of_access_by_the_last_rule() -> None:
    """A small interpreter runs the assembled program for every access."""
    rules = [
        Device(True, "c", 1, None, "r"),
        Device(True, "c", 1, 3, "w"),
        Device(False, "c", 1, 9, "w"),
        Device(True, "b", None, None, "m"),
    ]
    program = devices_bpf.assemble(rules)
    assert run_bpf(program, "c", 1, 3, "rw")
    assert run_bpf(program, "c", 1, 5, "r")
    assert not run_bpf(program, "c", 1, 5, "rw")
    assert not run_bpf(program, "c", 2, 3, "r")
    assert run_bpf(program, "b", 7, 7, "m")
    assert not run_bpf(program, "b", 7, 7, "rm")
    assert not run_bpf(program, "c", 1, 9, "w")
    assert run_bpf(program, "c", 1, 9, "r")
    assert not run_bpf(devices_bpf.assemble([]), "c", 1, 3, "r")
    everything = devices_bpf.assemble([Device(False), Device(True)])
    assert run_bpf(everything, "b", 1, 1, "rwm")


def run_bpf(program: bytes, kind: str, major: int, minor: int, access: str) -> bool:
    import struct

    bits = sum({"m": 1, "r": 2, "w": 4}[letter] for letter in access)
    context = {0: bits << 16 | {"b": 1, "c": 2}[kind], 4: major, 8: minor}
    registers = dict.fromkeys(range(11), 0)
    position = 0
    while True:
        code, pair, offset, constant = struct.unpack_from("=BBhi", program, position * 8)
        target, position = pair & 15, position + 1
        if code == 0x61:
            registers[target] = context[offset]
        elif code == 0xB4:
            registers[target] = constant & 0xFFFFFFFF
        elif code == 0x54:
            registers[target] &= constant & 0xFFFFFFFF
        elif code == 0x74:
            registers[target] >>= constant
        elif code == 0x55:
            position += offset if registers[target] != constant else 0
        elif code == 0x45:
            position += offset if registers[target] & constant else 0
        elif code == 0x05:
            position += offset
        else:
            assert code == 0x95
            return registers[0] == 1


def test_out_of_memory_is_counted_and_told(cgroup: Cgroup) -> None:
    if not cgroup.hierarchy.has("memory"):
        assert cgroup.oom_kill_count() == 0
        assert cgroup.watch_oom() is None
        return
    cgroup.apply(Resources(memory=Memory(limit=16 << 20, swap=16 << 20)))
    watcher = cgroup.watch_oom()
    assert watcher is not None
    pid = os.fork()
    if pid == 0:
        cgroup.enter()
        process.set_oom_score_adj(1000)
        hoard = bytearray(64 << 20)
        os._exit(hoard[0])
    ended = process.wait_pid(pid)
    assert ended is not None
    assert ended.signal == signal.SIGKILL
    assert cgroup.oom_kill_count() == 1
    assert select.select([watcher], [], [], 0)[0] == [watcher]
    os.close(watcher)


def test_creation_undoes_itself(hierarchy: Hierarchy) -> None:
    name = f"/lading-test-{os.getpid()}-undo"
    with pytest.raises(KernelError) as caught:
        cgroups.at(f"{name}/no\nlines", hierarchy).create()
    assert caught.value.errno == errno.EINVAL
    assert not cgroups.at(name, hierarchy).exists()


def test_deleting_with_processes_inside_fails_in_the_end(
    cgroup: Cgroup, sleeper: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (v1, v2):
        monkeypatch.setattr(module, "_PATIENCE", 0.01)
    with pytest.raises(KernelError, match=r"remove cgroup .*EBUSY"):
        cgroup.delete()
    assert sleeper > 0


def test_without_any_cgroup_file_system() -> None:
    with pytest.raises(KernelError, match="ENODEV"):
        cgroups.at("/x", Hierarchy(Mode.V1, {}, (), None))


def test_support_is_told() -> None:
    found = cgroups.detect()
    support = cgroups.support(found)
    assert support.memory == found.has("memory")
    assert support.pids == found.has("pids")
    if found.unified is not None:
        assert cgroups.support(only_v2(found)).devices
