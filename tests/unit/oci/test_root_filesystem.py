"""Real containers: mounts, devices, hidden and protected paths."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lading.kernel.mountinfo import MountInfo, parse
from lading.kernel.mounts import Propagation, bind, mount, set_propagation, umount
from lading.oci import defaults
from lading.oci.container import StepFailed
from lading.oci.spec import LinuxDevice, LinuxIDMapping, Mount, Spec

from .conftest import Bench

pytestmark = pytest.mark.root


def mounts_of(bench: Bench, spec: Spec) -> dict[str, MountInfo]:
    """Run cat /proc/self/mountinfo, and give the mounts by their place (the topmost counts)."""
    assert spec.process is not None
    spec.process.args = ["/bin/cat", "/proc/self/mountinfo"]
    return {entry.mount_point: entry for entry in parse(bench.run(spec).out)}


def test_default_mounts_are_dockers(bench: Bench) -> None:
    found = mounts_of(bench, bench.spec())
    shape = {
        point: (entry.fstype, entry.options)
        for point, entry in found.items()
        if not point.startswith(("/sys/fs/cgroup", "/proc/"))
    }
    sealed = ("rw", "nosuid", "nodev", "noexec", "relatime")
    assert shape["/proc"] == ("proc", sealed)
    assert shape["/dev"] == ("tmpfs", ("rw", "nosuid"))
    assert shape["/dev/pts"] == ("devpts", ("rw", "nosuid", "noexec", "relatime"))
    assert shape["/dev/mqueue"] == ("mqueue", sealed)
    assert shape["/dev/shm"] == ("tmpfs", sealed)
    assert shape["/sys"] == ("sysfs", ("ro", *sealed[1:]))
    cgroup = [e for p, e in found.items() if p.startswith("/sys/fs/cgroup")]
    assert {e.fstype for e in cgroup} <= {"tmpfs", "cgroup", "cgroup2"}
    assert all("ro" in e.options for e in cgroup if e.fstype != "tmpfs")


def test_nothing_of_the_host_is_mounted(bench: Bench) -> None:
    found = mounts_of(bench, bench.spec())
    known = ("/", "/proc", "/dev", "/sys")
    assert all(point == "/" or point.startswith(known[1:]) for point in found)
    assert found["/"].propagation == "private"


def test_devices_and_links(bench: Bench) -> None:
    nodes = "null zero full random urandom tty"
    outcome = bench.sh(f"cd /dev; for n in {nodes}; do stat -c '%n %t:%T %a %u' $n; done; ls -l")
    assert outcome.out.splitlines()[:6] == [
        "null 1:3 666 0",
        "zero 1:5 666 0",
        "full 1:7 666 0",
        "random 1:8 666 0",
        "urandom 1:9 666 0",
        "tty 5:0 666 0",
    ]
    for link in ("fd -> /proc/self/fd", "stdin -> /proc/self/fd/0", "ptmx -> pts/ptmx"):
        assert link in outcome.out


def test_a_device_of_the_spec(bench: Bench) -> None:
    def change(spec: Spec) -> None:
        assert spec.linux is not None
        spec.linux.devices = [
            LinuxDevice(
                path="/dev/sub/mine", type="c", major=1, minor=3, file_mode=0o640, uid=5, gid=6
            ),
            LinuxDevice(path="/dev/fifo", type="p", file_mode=0o600),
        ]

    outcome = bench.sh("stat -c '%t:%T %a %u %g' /dev/sub/mine; stat -c %F /dev/fifo", change)
    assert outcome.out.splitlines() == ["1:3 640 5 6", "fifo"]


def test_masked_and_readonly_paths(bench: Bench) -> None:
    def change(spec: Spec) -> None:
        assert spec.linux is not None
        (bench.rootfs / "secret").mkdir()
        (bench.rootfs / "secret/file").write_text("x")
        (bench.rootfs / "key").write_text("x")
        (bench.rootfs / "fixed").mkdir()
        spec.linux.masked_paths = ["/secret", "/key", "/proc/keys", "/nowhere"]
        spec.linux.readonly_paths = ["/fixed", "/proc/sys", "/nowhere"]

    outcome = bench.sh(
        "ls /secret | wc -l; cat /key /proc/keys | wc -c; touch /fixed/x; touch /secret/x;"
        "cat /proc/sys/kernel/panic > /proc/sys/kernel/panic; touch /tmp/x && echo ok",
        change,
    )
    assert outcome.out.split() == ["0", "0", "ok"]
    assert outcome.err.count("Read-only file system") == 3


def test_masks_do_not_follow_links_out(bench: Bench) -> None:
    outside = bench.base / "outside"
    outside.write_text("kept")

    def change(spec: Spec) -> None:
        assert spec.linux is not None
        (bench.rootfs / "trap").symlink_to(outside)
        spec.linux.masked_paths = ["/trap"]

    assert bench.sh("true", change).status == 0
    assert outside.read_text() == "kept"


def test_a_readonly_root(bench: Bench) -> None:
    def change(spec: Spec) -> None:
        assert spec.root is not None
        spec.root.readonly = True

    outcome = bench.sh("touch /x; touch /dev/shm/x && echo ok", change)
    assert "Read-only file system" in outcome.err
    assert outcome.out == "ok\n"


def test_an_overlay_root_leaves_its_layers_alone(bench: Bench) -> None:
    layers = bench.base / "layers"
    for name in ("upper", "work", "low2"):
        (layers / name).mkdir(parents=True)
    (layers / "low1").symlink_to(bench.rootfs)
    (layers / "low2/extra").write_text("from the second layer\n")
    empty = bench.base / "mountpoint"
    empty.mkdir()
    spec = bench.spec("/bin/sh", "-c", "cat /extra; echo new > /etc/new; grep ' / ' /proc/mounts")
    assert spec.root is not None
    spec.root.path = str(empty)
    options = ["lowerdir=low1:low2", "upperdir=upper", "workdir=work", f"x-lading.chdir={layers}"]
    spec.mounts.insert(0, Mount(destination="/", type="overlay", source="overlay", options=options))
    outcome = bench.run(spec)
    assert outcome.status == 0, outcome.err
    assert "from the second layer" in outcome.out
    assert "lowerdir=low1:low2" in outcome.out
    assert (layers / "upper/etc/new").read_text() == "new\n"
    assert not (bench.rootfs / "etc/new").exists()
    assert not list(empty.iterdir())
    bench.assert_nothing_left()


def test_binds_of_directories_and_files(bench: Bench) -> None:
    source = bench.base / "source"
    source.mkdir()
    (source / "file").write_text("content\n")

    def change(spec: Spec) -> None:
        spec.mounts += [
            Mount(destination="/data/here", source=str(source), options=["rbind", "rprivate"]),
            Mount(destination="/etc/one", source=str(source / "file"), options=["bind", "ro"]),
        ]

    outcome = bench.sh(
        "cat /data/here/file /etc/one; echo y > /data/here/y; echo z > /etc/one", change
    )
    assert outcome.out == "content\ncontent\n"
    assert (source / "y").read_text() == "y\n"
    assert "Read-only file system" in outcome.err


def test_a_relative_bind_source_starts_at_the_bundle(bench: Bench) -> None:
    (bench.bundle / "note").write_text("bundled\n")

    def change(spec: Spec) -> None:
        spec.mounts.append(Mount(destination="/note", source="note", options=["bind"]))

    assert bench.sh("cat /note", change).out == "bundled\n"


def test_a_bind_destination_does_not_follow_links_out(bench: Bench) -> None:
    outside = bench.base / "outside"
    outside.mkdir()
    (bench.rootfs / "trap").symlink_to(outside)

    def change(spec: Spec) -> None:
        spec.mounts.append(Mount(destination="/trap/in", source="/etc", options=["bind"]))

    assert bench.sh("true", change).status == 0
    assert not list(outside.iterdir())


@pytest.fixture
def nested(bench: Bench) -> Path:
    """Give a directory with a tmpfs mounted in it, which is taken away again."""
    outer = bench.base / "outer"
    (outer / "inner").mkdir(parents=True)
    return outer


def test_recursive_readonly_and_propagation(bench: Bench, nested: Path) -> None:
    mount("tmpfs", nested / "inner", "tmpfs", data="size=64k")
    try:
        spec = bench.spec()
        spec.mounts += [
            Mount(destination="/all", source=str(nested), options=["rbind", "ro", "rro"]),
            Mount(destination="/top", source=str(nested), options=["rbind", "ro", "rslave"]),
            Mount(destination="/one", source=str(nested), options=["bind"]),
        ]
        found = mounts_of(bench, spec)
    finally:
        umount(nested / "inner")
    assert "ro" in found["/all/inner"].options
    assert "rw" in found["/top/inner"].options
    assert "ro" in found["/top"].options
    assert "/one/inner" not in found


def test_shared_propagation_brings_mounts_back(bench: Bench, nested: Path) -> None:
    bind(nested, nested)
    set_propagation(nested, Propagation.SHARED)
    try:
        spec = bench.spec("/bin/sh", "-c", "mount -t tmpfs x /shared/inner")
        assert spec.linux is not None
        assert spec.process is not None
        assert spec.process.capabilities is not None
        everything = defaults.all_capabilities()
        for name in ("bounding", "effective", "permitted"):
            setattr(spec.process.capabilities, name, everything)
        spec.linux.seccomp = None
        spec.linux.rootfs_propagation = "shared"
        options = ["rbind", "rshared"]
        spec.mounts.append(Mount(destination="/shared", source=str(nested), options=options))
        outcome = bench.run(spec)
        assert outcome.status == 0, outcome.err
        here = [e.mount_point for e in parse(Path("/proc/self/mountinfo").read_text())]
        assert str(nested / "inner") in here
        umount(nested / "inner")
    finally:
        umount(nested)


def test_tmpfs_copies_up(bench: Bench) -> None:
    (bench.rootfs / "etc/sub").mkdir(mode=0o750)
    (bench.rootfs / "etc/sub/file").write_text("deep\n")
    (bench.rootfs / "etc/sub/file").chmod(0o604)
    (bench.rootfs / "etc/link").symlink_to("sub/file")

    def change(spec: Spec) -> None:
        spec.mounts += [
            Mount(destination="/etc", type="tmpfs", source="tmpfs", options=["tmpcopyup", "ro"]),
            Mount(destination="/tmp", type="tmpfs", source="tmpfs", options=["size=64k"]),
        ]

    script = "cat /etc/link; stat -c '%a %n' /etc/sub /etc/sub/file; touch /etc/x"
    outcome = bench.sh(f"{script}; grep -c ' /tmp ' /proc/mounts", change)
    assert outcome.out.splitlines() == ["deep", "750 /etc/sub", "604 /etc/sub/file", "1"]
    assert "Read-only file system" in outcome.err
    assert not (bench.rootfs / "etc/x").exists()


def test_id_mapped_bind(bench: Bench) -> None:
    source = bench.base / "source"
    source.mkdir()
    (source / "file").write_text("")
    os.chown(source / "file", 1000, 1000)
    mapping = [LinuxIDMapping(container_id=1000, host_id=5000, size=10)]

    def change(spec: Spec) -> None:
        spec.mounts.append(
            Mount(
                destination="/data",
                source=str(source),
                options=["bind", "idmap"],
                uid_mappings=mapping,
                gid_mappings=mapping,
            )
        )

    try:
        outcome = bench.sh("stat -c '%u %g' /data/file", change)
    except StepFailed as failed:
        pytest.skip(f"no id-mapped mounts on this file system: {failed}")
    assert outcome.out == "5000 5000\n"


@pytest.mark.parametrize("destination", ["/proc/self/attr", "/proc/sys"])
def test_nothing_is_mounted_into_proc(bench: Bench, destination: str) -> None:
    spec = bench.spec("/bin/true")
    spec.mounts.append(Mount(destination=destination, source="/etc", options=["bind"]))
    with pytest.raises(StepFailed, match="cannot be mounted because it is inside /proc") as raised:
        bench.create(spec).ready()
    assert raised.value.step == "BindMount"
    bench.created.clear()
    bench.assert_nothing_left()


def test_an_unpivoted_root(bench: Bench) -> None:
    spec = bench.spec("/bin/sh", "-c", "ls /; pwd; cat /proc/1/comm")
    outcome = bench.run(spec, pivot=False)
    assert outcome.status == 0, outcome.err
    assert "bin\n" in outcome.out
    assert "boot" not in outcome.out


def test_a_root_without_any_mount(bench: Bench) -> None:
    spec = bench.spec("/bin/sh", "-c", "echo started; ls /proc /sys | wc -l")
    assert spec.linux is not None
    assert spec.process is not None
    spec.mounts = []
    spec.process.oom_score_adj = 9
    (bench.rootfs / "proc/sys/kernel").mkdir(parents=True)
    (bench.rootfs / "proc/sys/kernel/cap_last_cap").write_text("0")
    outcome = bench.run(spec)
    assert outcome.out.split()[0] == "started", outcome.err


def test_the_host_saw_nothing(bench: Bench) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    bench.sh("true")
    assert Path("/proc/self/mountinfo").read_text() == before
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
