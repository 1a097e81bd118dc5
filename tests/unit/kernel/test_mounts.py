from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lading.kernel import mounts, namespaces
from lading.kernel.errors import KernelError
from lading.kernel.mounts import MountAttr, MountFlag, Propagation
from lading.kernel.namespaces import CloneFlag

from .conftest import InChild

pytestmark = pytest.mark.root


def test_propagation_flags() -> None:
    assert Propagation.RPRIVATE.flag == MountFlag.PRIVATE | MountFlag.REC
    assert Propagation.PRIVATE.flag == MountFlag.PRIVATE
    assert Propagation("rshared").flag == MountFlag.SHARED | MountFlag.REC
    assert Propagation.RUNBINDABLE.flag == MountFlag.UNBINDABLE | MountFlag.REC


def test_error_names_what_was_mounted_where(tmp_path: Path) -> None:
    with pytest.raises(KernelError) as caught:
        mounts.mount("none", tmp_path / "absent", "tmpfs")
    assert str(caught.value).startswith(f"mount tmpfs on {tmp_path}/absent: No such file")
    assert caught.value.errno == errno.ENOENT


def test_mount_bind_remount_umount(tmp_path: Path, in_child: InChild) -> None:
    def work() -> None:
        mounts.set_propagation("/", Propagation.RPRIVATE)
        source, target = tmp_path / "source", tmp_path / "target"
        source.mkdir()
        target.mkdir()
        mounts.mount("lading-test", source, "tmpfs", MountFlag.NOSUID, "size=64k,mode=0750")
        assert source.stat().st_mode & 0o777 == 0o750
        (source / "file").write_text("seen")
        mounts.bind(source, target)
        assert (target / "file").read_text() == "seen"
        mounts.remount_bind(target, MountFlag.RDONLY | MountFlag.NODEV)
        flags = mounts.current_flags(target)
        assert MountFlag.RDONLY in flags
        assert MountFlag.NODEV in flags
        with pytest.raises(OSError, match="Read-only"):
            (target / "other").write_text("")
        (source / "other").write_text("")
        mounts.umount(target)
        mounts.umount(source, mounts.UmountFlag.DETACH)
        assert os.listdir(target) == []

    in_child(work, CloneFlag.NEWNS)
    assert not any(m.mount_point.startswith(str(tmp_path)) for m in mounts.mountinfo())


@pytest.mark.parametrize("old_kernel", [False, True])
def test_readonly_reaches_mounts_below(
    tmp_path: Path, in_child: InChild, monkeypatch: pytest.MonkeyPatch, old_kernel: bool
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise KernelError(errno.ENOSYS, "mount_setattr")

    def work() -> None:
        if old_kernel:
            monkeypatch.setattr(mounts, "mount_setattr", refuse)
        mounts.set_propagation("/", Propagation.RPRIVATE)
        mounts.mount("lading-test", tmp_path, "tmpfs")
        (tmp_path / "below").mkdir()
        mounts.mount("lading-test", tmp_path / "below", "tmpfs", MountFlag.NOSUID)
        mounts.set_readonly_recursive(tmp_path)
        for path in (tmp_path, tmp_path / "below"):
            with pytest.raises(OSError, match="Read-only"):
                (path / "x").write_text("")
        assert MountFlag.NOSUID in mounts.current_flags(tmp_path / "below")

    in_child(work, CloneFlag.NEWNS)


def test_locked_flags_are_kept(tmp_path: Path, in_child: InChild) -> None:
    """In a user namespace a bind of a nodev mount cannot lose nodev; the rest is still set."""

    def work() -> None:
        mounts.set_propagation("/", Propagation.RPRIVATE)
        mounts.mount("lading-test", tmp_path, "tmpfs", MountFlag.NODEV | MountFlag.NOSUID)
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        pid, pidfd = namespaces.clone3(CloneFlag.NEWUSER | CloneFlag.NEWNS)
        if pid == 0:
            try:
                namespaces.write_id_maps(os.getpid(), [(0, 0, 1)], [], deny_setgroups=True)
                mounts.bind(tmp_path / "a", tmp_path / "b")
                mounts.remount_bind(tmp_path / "b", MountFlag.RDONLY)
                flags = mounts.current_flags(tmp_path / "b")
                wanted = MountFlag.RDONLY | MountFlag.NODEV | MountFlag.NOSUID
                os._exit(0 if flags & wanted == wanted else 3)
            except OSError as error:
                os.write(2, str(error).encode())
            os._exit(4)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        os.close(pidfd)

    in_child(work, CloneFlag.NEWNS)


def test_new_mount_interface(tmp_path: Path, in_child: InChild) -> None:
    def work() -> None:
        mounts.set_propagation("/", Propagation.RPRIVATE)
        first, second = tmp_path / "first", tmp_path / "second"
        first.mkdir()
        second.mkdir()
        with mounts.fsopen("tmpfs") as tmpfs:
            tmpfs.set("size", "64k")
            detached = tmpfs.mount(MountAttr.NOEXEC | MountAttr.NODEV)
        mounts.move_mount(detached, first)
        os.close(detached)
        (first / "file").write_text("x")
        assert os.statvfs(first).f_blocks * os.statvfs(first).f_frsize == 65536
        tree = mounts.open_tree(first)
        mounts.mount_setattr(tree, set_attributes=MountAttr.RDONLY, clear=MountAttr.NOEXEC)
        mounts.move_mount(tree, second)
        os.close(tree)
        assert (second / "file").read_text() == "x"
        assert mounts.current_flags(second) & (MountFlag.RDONLY | MountFlag.NODEV)
        assert not mounts.current_flags(second) & MountFlag.NOEXEC
        with mounts.fsopen("tmpfs") as wrong, pytest.raises(KernelError, match="fsconfig tmpfs"):
            wrong.set("no-such-option", "1")

    in_child(work, CloneFlag.NEWNS)


def test_pivot_root(tmp_path: Path, in_child: InChild) -> None:
    if any(m.mount_point == "/" and m.fstype == "rootfs" for m in mounts.mountinfo()):
        pytest.skip("an initial RAM file system cannot be pivoted away from")

    def work() -> None:
        mounts.set_propagation("/", Propagation.RPRIVATE)
        mounts.mount("lading-test", tmp_path, "tmpfs")
        (tmp_path / "mark").write_text("new root")
        os.chdir(tmp_path)
        mounts.pivot_root(".", ".")
        mounts.umount(".", mounts.UmountFlag.DETACH)
        os.chdir("/")
        assert os.listdir("/") == ["mark"]

    in_child(work, CloneFlag.NEWNS)


def test_propagation_is_set(tmp_path: Path, in_child: InChild) -> None:
    def work() -> None:
        mounts.set_propagation("/", Propagation.RPRIVATE)
        mounts.mount("lading-test", tmp_path, "tmpfs")
        for wanted in (Propagation.SHARED, Propagation.UNBINDABLE, Propagation.PRIVATE):
            mounts.set_propagation(tmp_path, wanted)
            entry = next(m for m in mounts.mountinfo() if m.mount_point == str(tmp_path))
            assert entry.propagation == wanted.value

    in_child(work, CloneFlag.NEWNS)
