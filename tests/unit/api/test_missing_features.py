"""A kernel or a file system that lacks what containers need: one sentence, and nothing is left."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lading.engine import hostchecks
from lading.errors import LadingError
from lading.kernel import cgroups
from lading.kernel.cgroups import at
from lading.kernel.errors import KernelError
from lading.kernel.mounts import UmountFlag, mount, umount

from .ladingd import BUSYBOX, PARENT, Ladingd, root_tar

pytestmark = pytest.mark.root


def files_below(place: Path) -> list[str]:
    return [str(path.relative_to(place)) for path in place.rglob("*") if not path.is_dir()]


def test_a_root_that_overlays_cannot_be_on(tmp_path: Path) -> None:
    def prepare() -> None:
        for name in ("lower", "upper", "work", "root"):
            (tmp_path / name).mkdir()
        options = ",".join(f"{name}dir={tmp_path}/{name}" for name in ("lower", "upper", "work"))
        mount("overlay", tmp_path / "root", "overlay", 0, options)

    said = Ladingd(tmp_path, prepare=prepare).refusal()
    (line,) = [line for line in said.splitlines() if line.startswith("ladingd: ")]
    assert "is on overlay, which overlayfs cannot keep containers on" in line
    assert line.endswith("choose a directory on ext4, xfs, btrfs or tmpfs with --root")
    assert "Traceback" not in said
    assert set(files_below(tmp_path)) <= {"log", "upper/lading.pid", "run/lading.pid"}


def test_a_host_without_cgroups(tmp_path: Path) -> None:
    def prepare() -> None:
        umount("/sys/fs/cgroup", UmountFlag.DETACH)

    said = Ladingd(tmp_path, prepare=prepare).refusal()
    assert "ladingd: Devices cgroup isn't mounted" in said
    assert "Traceback" not in said
    assert set(files_below(tmp_path)) <= {"log", "root/lading.pid", "run/lading.pid"}


@pytest.mark.skipif(not BUSYBOX, reason="needs Debian's busybox-static")
@pytest.mark.skipif(
    "memory" not in cgroups.detect().controllers
    or cgroups.detect().controllers["memory"].version == 2,
    reason="a v2 controller cannot be unmounted alone",
)
def test_a_controller_that_is_not_there(tmp_path: Path) -> None:
    memory = cgroups.detect().controllers["memory"].mount_point
    daemon = Ladingd(tmp_path, prepare=lambda: umount(memory, UmountFlag.DETACH))
    daemon.start()
    try:
        path = "/images/create?fromSrc=-&repo=box"
        assert daemon.ask("POST", path, root_tar(), "application/x-tar")[0] == 200
        host = {"NetworkMode": "none", "Memory": 64 << 20}
        body = json.dumps({"Image": "box", "Cmd": ["true"], "HostConfig": host}).encode()
        status, answer = daemon.ask("POST", "/containers/create?name=new", body)
        assert status == 201
        (warning,) = json.loads(answer)["Warnings"]
        assert warning.startswith("Your kernel does not support memory limit capabilities")
        assert daemon.ask("POST", "/containers/new/start")[0] == 204
        assert json.loads(daemon.ask("POST", "/containers/new/wait")[1]) == {"StatusCode": 0}
        assert daemon.ask("DELETE", "/containers/new")[0] == 204
    finally:
        daemon.end()
        at(f"/{PARENT}").delete()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENODEV, "the kernel has no overlayfs, .*: try modprobe overlay"),
        (errno.EPERM, "which overlayfs cannot keep containers on .*EPERM"),
    ],
)
def test_overlays_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    monkeypatch.setattr(hostchecks, "_check_overlay", failing(number))
    with pytest.raises(LadingError, match=words):
        hostchecks.check_host(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_no_reason_not_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hostchecks, "_check_overlay", failing(errno.ENOSPC))
    hostchecks.check_host(tmp_path)


def test_this_host_has_all(tmp_path: Path) -> None:
    hostchecks.check_host(tmp_path)
    assert os.listdir(tmp_path) == []


def failing(number: int) -> Callable[[Path], None]:
    def fail(place: Path) -> None:
        place.mkdir()
        raise KernelError(number, "mount overlay on", str(place))

    return fail
