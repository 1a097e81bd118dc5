"""Binds, mounts and volumes as requests write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.engine.inherited import inherited_mounts
from lading.engine.model import (
    BindOptions,
    ContainerConfig,
    HostConfig,
    ImageOptions,
    Mount,
    MountPoint,
    MountRecord,
    TmpfsOptions,
    VolumeOptions,
)
from lading.engine.mountspecs import parse_bind, parse_mount, tmpfs_words, wanted_mounts
from lading.errors import InvalidParameter, LadingError

from .fakes import record


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ("/tmp:/y", ("bind", "/tmp", "/y", "", True, "rprivate")),
        ("/tmp:/y:ro", ("bind", "/tmp", "/y", "ro", False, "rprivate")),
        ("/tmp:/y:rw,rshared", ("bind", "/tmp", "/y", "rw,rshared", True, "rshared")),
        ("/tmp/../tmp:/y/", ("bind", "/tmp", "/y", "", True, "rprivate")),
        ("/tmp:/y:", ("bind", "/tmp", "/y", "", True, "rprivate")),
        ("foo:/y", ("volume", "foo", "/y", "z", True, "")),
        ("foo:/y:ro", ("volume", "foo", "/y", "ro", False, "")),
        ("/y", ("volume", "", "/y", "z", True, "")),
    ],
)
def test_binds(spec: str, shown: tuple[object, ...]) -> None:
    point = parse_bind(spec).point
    source = point.name if point.type == "volume" else point.source
    found = (point.type, source, point.destination, point.mode, point.rw, point.propagation)
    assert found == shown


def test_binds_tell_what_their_sources_are() -> None:
    assert parse_bind("/tmp:/y").detail.create_source
    assert parse_bind("/y").detail.anonymous
    assert not parse_bind("foo:/y:nocopy").copy
    assert parse_bind("foo:/y").copy


@pytest.mark.parametrize(
    ("spec", "status", "words"),
    [
        (":/y", 500, "invalid volume specification: ':/y'"),
        ("/tmp:", 500, "invalid volume specification: '/tmp:'"),
        ("/a:/b:ro:x", 500, "invalid volume specification: '/a:/b:ro:x'"),
        ("/a:/b:xx", 500, "invalid mode: xx"),
        ("/tmp:/y:ro,rw", 500, "invalid mode: ro,rw"),
        (
            "foo:bar",
            500,
            (
                "invalid volume specification: 'foo:bar': invalid mount config for type "
                "\"volume\": invalid mount path: 'bar' mount path must be absolute"
            ),
        ),
        (
            "/x:/",
            500,
            (
                "invalid volume specification: '/x:/': invalid mount config for type \"bind\": "
                "invalid specification: destination can't be '/'"
            ),
        ),
        (
            "a/b:/x",
            400,
            (
                'create a/b: "a/b" includes invalid characters for a local volume name, only '
                '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host '
                "directory, use absolute path"
            ),
        ),
        (
            "x:/y",
            400,
            (
                "create x: volume name is too short, names should be at least two alphanumeric "
                "characters"
            ),
        ),
        (
            "/tmp:/y:nocopy",
            500,
            (
                "invalid volume specification: '/tmp:/y:nocopy': invalid mount config for type "
                '"bind": field VolumeOptions must not be specified'
            ),
        ),
    ],
)
def test_binds_refused(spec: str, status: int, words: str) -> None:
    with pytest.raises(LadingError) as raised:
        parse_bind(spec)
    assert (raised.value.status, raised.value.message) == (status, words)


@given(st.text(alphabet="/ab:ro,wz.", max_size=20))
def test_binds_read_or_refuse_anything(spec: str) -> None:
    try:
        point = parse_bind(spec).point
    except LadingError:
        return
    assert point.destination.startswith("/")
    assert point.destination != "/"
    assert ".." not in point.destination.split("/")


def test_mounts(tmp_path: Path) -> None:
    bind = parse_mount(
        Mount(
            type="bind",
            source=str(tmp_path),
            target="/x",
            read_only=True,
            bind_options=BindOptions(propagation="rslave", non_recursive=True),
        )
    )
    assert (bind.point.rw, bind.point.propagation) == (False, "rslave")
    assert bind.detail.non_recursive
    assert not bind.detail.create_source
    volume = parse_mount(
        Mount(
            type="volume",
            source="foo",
            target="/x",
            volume_options=VolumeOptions(no_copy=True, labels={"a": "b"}, subpath="d/e"),
        )
    )
    assert (volume.point.name, volume.point.mode, volume.copy) == ("foo", "z", False)
    assert (volume.volume_labels, volume.detail.subpath) == ({"a": "b"}, "d/e")
    assert parse_mount(Mount(type="volume", target="/x")).detail.anonymous
    tmpfs = parse_mount(
        Mount(
            type="tmpfs",
            target="/x",
            tmpfs_options=TmpfsOptions(size_bytes=1000, mode=0o755, options=[["exec"]]),
        )
    )
    assert tmpfs.detail.options == ["nosuid", "nodev", "size=1000", "mode=755", "exec"]
    image = parse_mount(
        Mount(type="image", source="box", target="/x", image_options=ImageOptions("a/../b"))
    )
    assert (image.point.name, image.point.rw, image.point.mode) == ("box", False, "")
    assert image.detail.subpath == "a/../b"


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        (
            {"type": "foo", "target": "/x"},
            'invalid mount config for type "foo": mount type unknown',
        ),
        ({"type": "bind", "target": "/x"}, "field Source must not be empty"),
        ({"type": "bind", "source": "/nosuch-x", "target": "/x"}, "does not exist: /nosuch-x"),
        ({"type": "bind", "source": "rel", "target": "/x"}, "mount path must be absolute"),
        ({"type": "bind", "source": "/tmp", "target": "x"}, "'x' mount path must be absolute"),
        ({"type": "bind", "source": "/tmp", "target": ""}, "field Target must not be empty"),
        (
            {
                "type": "bind",
                "source": "/tmp",
                "target": "/x",
                "bind_options": BindOptions(propagation="foo"),
            },
            "invalid propagation mode: foo",
        ),
        (
            {"type": "bind", "source": "/tmp", "target": "/x", "volume_options": VolumeOptions()},
            '^VolumeOptions must not be specified on mount type "bind"$',
        ),
        ({"type": "tmpfs", "source": "x", "target": "/x"}, "field Source must not be specified"),
        (
            {
                "type": "tmpfs",
                "target": "/x",
                "tmpfs_options": TmpfsOptions(options=[["size", "5k"]]),
            },
            "invalid option: size",
        ),
        (
            {
                "type": "volume",
                "source": "foo",
                "target": "/x",
                "volume_options": VolumeOptions(subpath="../x"),
            },
            "subpath must be a relative path within the volume",
        ),
        ({"type": "image", "target": "/x"}, "field Source must not be empty"),
        (
            {
                "type": "image",
                "source": "box",
                "target": "/x",
                "image_options": ImageOptions(subpath="/bin"),
            },
            "subpath must be a relative path within the volume",
        ),
        ({"type": "volume", "source": "a/b", "target": "/x"}, "^create a/b: "),
        ({"type": "volume", "source": "foo", "target": "/"}, "destination can't be '/'"),
    ],
)
def test_mounts_refused(mount: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        parse_mount(Mount(**mount))


def test_tmpfs_options_replace_their_opposites() -> None:
    assert tmpfs_words("") == ["noexec", "nosuid", "nodev"]
    assert tmpfs_words("rw,exec,size=64k,size=128k") == [
        "nosuid", "nodev", "rw", "exec", "size=128k",
    ]  # fmt: skip
    with pytest.raises(LadingError, match='invalid tmpfs option "foo"'):
        tmpfs_words("foo")


def test_a_destination_is_taken_once() -> None:
    with pytest.raises(InvalidParameter, match=r"^Duplicate mount point: /y$"):
        wanted_mounts(ContainerConfig(), HostConfig(binds=["/tmp:/y", "foo:/y/"]))
    with pytest.raises(InvalidParameter, match=r"^Duplicate mount point: /y$"):
        wanted_mounts(ContainerConfig(), HostConfig(binds=["/tmp:/y"], tmpfs={"/y": ""}))


def test_volumes_of_the_image_fill_what_is_free() -> None:
    config = ContainerConfig(volumes={"/data": {}, "/y": {}, "/t": {}})
    found = wanted_mounts(config, HostConfig(binds=["/tmp:/y"], tmpfs={"/t": ""}))
    assert [each.point.destination for each in found] == ["/y", "/data"]
    assert found[1].detail.anonymous
    assert found[1].from_image


def test_volumes_from_another_container() -> None:
    donor = record("donor")
    donor.mounts = [
        MountRecord(point=MountPoint(type="volume", name="data", destination="/data")),
        MountRecord(point=MountPoint(type="bind", source="/etc", destination="/y", rw=False)),
    ]
    own = [parse_bind("/tmp:/y")]
    found = inherited_mounts(["donor:ro"], lambda _: donor, own)
    assert [(each.point.name, each.point.rw) for each in found] == [("data", False)]
    assert donor.mounts[0].point.rw
    with pytest.raises(InvalidParameter, match=r"^invalid mode: xx$"):
        inherited_mounts(["donor:xx"], lambda _: donor, [])
