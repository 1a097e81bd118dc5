from __future__ import annotations

import os
from pathlib import Path

import pytest

from lading.errors import Conflict, InvalidParameter, LadingError, NotFound
from lading.kernel.mountinfo import mountinfo
from lading.storage.volumes import ANONYMOUS_LABEL, VolumeStore


@pytest.fixture
def volumes(tmp_path: Path) -> VolumeStore:
    store = VolumeStore(tmp_path / "volumes")
    store.open()
    return store


def test_a_named_volume(volumes: VolumeStore) -> None:
    made = volumes.create("data", labels={"a": "b"})
    assert made.mountpoint == str(volumes.root / "data" / "_data")
    assert (made.labels, made.options, made.driver, made.scope) == (
        {"a": "b"},
        None,
        "local",
        "local",
    )
    assert volumes.get("data") == made == VolumeStore(volumes.root).get("data")
    assert volumes.is_empty("data")
    Path(made.mountpoint, "file").write_bytes(b"12345")
    assert not volumes.is_empty("data")
    assert volumes.size("data") == 5


def test_the_same_name_again_is_the_same_volume(volumes: VolumeStore) -> None:
    made = volumes.create("data", labels={"a": "b"})
    assert (
        volumes.create("data", labels={"c": "d"}, options={"type": "tmpfs", "device": "x"}) == made
    )


def test_anonymous_volumes(volumes: VolumeStore) -> None:
    one, two = volumes.create(), volumes.create()
    assert len(one.name) == 64
    assert one.labels == {ANONYMOUS_LABEL: ""}
    assert volumes.list() == sorted([one, two], key=lambda volume: volume.name)


def test_removal(volumes: VolumeStore) -> None:
    made = volumes.create("data")
    Path(made.mountpoint, "sub").mkdir()
    Path(made.mountpoint, "sub", "f").write_bytes(b"1")
    volumes.mount("data")
    with pytest.raises(Conflict, match="in use"):
        volumes.remove("data")
    volumes.unmount("data")
    volumes.remove("data")
    assert os.listdir(volumes.root) == []
    with pytest.raises(NotFound, match="get data: no such volume"):
        volumes.remove("data")


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "-x", "ä", "a b", "x" * 300])
def test_bad_names(volumes: VolumeStore, name: str) -> None:
    with pytest.raises(
        InvalidParameter, match="includes invalid characters for a local volume name"
    ):
        volumes.create(name)
    with pytest.raises(NotFound):
        volumes.get(name)
    assert os.listdir(volumes.root) == []


def test_a_short_name(volumes: VolumeStore) -> None:
    with pytest.raises(InvalidParameter, match="too short"):
        volumes.create("a")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"foo": "x"}, 'invalid option: "foo"'),
        ({"type": "tmpfs"}, 'missing required option: "device"'),
        ({"device": "/x"}, 'missing required option: "type"'),
        ({"size": "1m"}, "no quota support"),
    ],
)
def test_bad_options(volumes: VolumeStore, options: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        volumes.create("data", options=options)
    with pytest.raises(NotFound, match="plugin"):
        volumes.create("data", driver="nfs")


def test_opening_clears_what_a_crash_left(volumes: VolumeStore) -> None:
    volumes.create("data")
    (volumes.root / ".tmp-crashed" / "_data").mkdir(parents=True)
    again = VolumeStore(volumes.root)
    again.open()
    assert os.listdir(volumes.root) == ["data"]


def test_a_volume_survives_the_loss_of_its_description(volumes: VolumeStore) -> None:
    volumes.create("data")
    (volumes.root / "data" / "volume.json").write_bytes(b"")
    found = VolumeStore(volumes.root).get("data")
    assert (found.name, found.labels) == ("data", None)
    assert found.created_at.endswith("Z")


def mounted(volumes: VolumeStore) -> list[str]:
    return [e.fstype for e in mountinfo() if e.mount_point.startswith(str(volumes.root))]


@pytest.mark.root
def test_a_device_is_mounted_for_its_users(volumes: VolumeStore) -> None:
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,nosuid,uid=5"}
    made = volumes.create("memory", options=options)
    assert made.options == options
    assert volumes.size("memory") == -1
    assert not volumes.is_empty("memory")
    try:
        assert volumes.mount("memory") == made.mountpoint
        volumes.mount("memory")
        assert mounted(volumes) == ["tmpfs"]
        assert os.stat(made.mountpoint).st_uid == 5
        assert os.statvfs(made.mountpoint).f_flag & os.ST_NOSUID
        assert volumes.is_empty("memory")
        volumes.unmount("memory")
        assert mounted(volumes) == ["tmpfs"]
    finally:
        volumes.unmount("memory")
    assert mounted(volumes) == []


@pytest.mark.root
def test_a_volume_that_is_a_directory_elsewhere(volumes: VolumeStore, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "f").write_bytes(b"1")
    options = {"type": "none", "device": str(tmp_path / "there"), "o": "bind,ro"}
    volumes.create("bound", options=options)
    path = volumes.mount("bound")
    try:
        assert os.listdir(path) == ["f"]
        with pytest.raises(OSError, match="Read-only"):
            Path(path, "g").write_bytes(b"")
    finally:
        volumes.unmount("bound")
    volumes.remove("bound")
    assert (tmp_path / "there" / "f").exists()


@pytest.mark.root
def test_a_device_that_is_not_there(volumes: VolumeStore) -> None:
    volumes.create("bad", options={"type": "none", "device": "/nosuch", "o": "bind"})
    with pytest.raises(
        LadingError, match=r"failed to mount local volume: mount /nosuch:.*no such file"
    ):
        volumes.mount("bad")
    volumes.remove("bad")
