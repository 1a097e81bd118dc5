from __future__ import annotations

import io
import os
import stat
import subprocess
from pathlib import Path

import pytest

from lading.errors import Conflict, InvalidParameter, NotFound
from lading.storage.changes import ChangeKind
from lading.storage.layers import Bind, LayerStore, RwLayer
from lading.storage.trees import open_root

from .tars import CHAR, Item, directory, link, reader, tar

pytestmark = pytest.mark.root

ID = "ab" * 32
LOWER = tar(
    [
        directory("etc", mode=0o750, uid=3, gid=4, pax={"SCHILY.xattr.user.e": "1"}),
        Item("etc/hosts", b"image's own"),
        Item("etc/passwd", b"root", mtime=1_600_000_000),
        directory("usr"),
        directory("usr/bin"),
        Item("usr/bin/tool", b"tool" * 100, mtime=1_600_000_000),
        Item("usr/bin/other", b"other"),
        directory("proc", mode=0o555),
        directory("dev"),
        Item("dev/console", kind=CHAR, device=(5, 1)),
    ]
)
UPPER = tar([directory("usr"), Item("usr/.wh.bin"), Item("added", b"123")])


@pytest.fixture
def chain(layers: LayerStore) -> list[str]:
    return [layers.unpack(io.BytesIO(data)).diff_id for data in (LOWER, UPPER)]


def content(layers: LayerStore, rw: RwLayer) -> dict[str, bytes]:
    found = {}
    source = reader(b"".join(layers.export(rw)))
    for entry in source:
        found[entry.name.decode()] = b"".join(bytes(p) for p in source.content())
    return found


def test_mount_options_are_short_and_relative(layers: LayerStore, chain: list[str]) -> None:
    rw = layers.create_rw(ID, chain)
    lower, upper, work, *features, chdir = layers.mount_options(rw)
    links = lower.removeprefix("lowerdir=").split(":")
    assert len(links) == 3
    assert all(len(link) == 28 for link in links)
    assert [os.path.realpath(layers.root / link) for link in links[1:]] == [
        str(layers.get(diff_id).directory / "diff") for diff_id in reversed(chain)
    ]
    assert (upper, work) == (f"upperdir={ID}/diff", f"workdir={ID}/work")
    assert features == ["index=off", "redirect_dir=off", "metacopy=off"]
    assert chdir == f"x-lading.chdir={layers.root}"


def test_a_chain_longer_than_a_page_is_refused_in_one_sentence(layers: LayerStore) -> None:
    chain = [layers.unpack(io.BytesIO(tar([Item(f"f{n}")]))).diff_id for n in range(130)]
    rw = layers.create_rw(ID, chain[:125])
    assert len(",".join(layers.mount_options(rw))) < 4096
    with layers.view(rw) as root:
        assert "f124" in os.listdir(root)
    layers.remove_rw(ID)
    with pytest.raises(InvalidParameter, match="130 layers, more than"):
        layers.mount_options(layers.create_rw(ID, chain))


def test_one_layer_for_one_container(layers: LayerStore, chain: list[str]) -> None:
    rw = layers.create_rw(ID, chain)
    with pytest.raises(Conflict):
        layers.create_rw(ID, chain)
    assert layers.rw(ID) == rw
    assert list(LayerStore(layers.root).rw_layers()) == [rw]
    with pytest.raises(NotFound):
        layers.create_rw("cd" * 32, ["sha256:" + "0" * 64])
    with pytest.raises(NotFound):
        layers.rw("cd" * 32)
    for bad in ("../x", "l", "short"):
        with pytest.raises(InvalidParameter, match="invalid container ID"):
            layers.remove_rw(bad)


def test_layers_that_went_cannot_be_built_on(layers: LayerStore, chain: list[str]) -> None:
    layers.create_rw(ID, chain)
    layers.remove_rw(ID)
    layers.discard(layers.retire_unused(chain, keep=set()))
    with pytest.raises(NotFound, match="does not exist"):
        layers.create_rw(ID, chain)
    assert layers.rw_chains() == []


def test_the_merged_view(layers: LayerStore, chain: list[str]) -> None:
    rw = layers.create_rw(ID, chain)
    found = content(layers, rw)
    assert found["etc/passwd"] == b"root"
    assert found["added"] == b"123"
    assert "usr/bin/tool" not in found
    assert found["etc/hosts"] == b""
    assert {".dockerenv", "dev/pts/", "dev/shm/", "sys/", "etc/resolv.conf"} <= found.keys()
    assert rw.upper.stat().st_mode == stat.S_IFDIR | 0o755


def test_the_init_layer_keeps_the_images_attributes(layers: LayerStore, chain: list[str]) -> None:
    with layers.view(layers.create_rw(ID, chain)) as root:
        etc = os.stat("etc", dir_fd=root)
        assert (stat.S_IMODE(etc.st_mode), etc.st_uid, etc.st_gid) == (0o750, 3, 4)
        assert stat.S_IMODE(os.stat("proc", dir_fd=root).st_mode) == 0o555
        assert stat.S_ISREG(os.stat("dev/console", dir_fd=root).st_mode)
        assert os.readlink("etc/mtab", dir_fd=root) == "/proc/mounts"
        etc_fd = os.open("etc", os.O_RDONLY, dir_fd=root)
        assert os.getxattr(etc_fd, "user.e") == b"1"
        os.close(etc_fd)
    assert layers.changes(layers.rw(ID)) == []


def test_an_image_without_anything_can_be_run(layers: LayerStore) -> None:
    rw = layers.create_rw(ID, [])
    assert {"proc/", "dev/", "etc/", "sys/"} <= content(layers, rw).keys()
    assert (layers.size(rw), layers.root_size(rw)) == (0, 0)


def test_the_same_layer_twice_in_a_chain(layers: LayerStore, chain: list[str]) -> None:
    rw = layers.create_rw(ID, [chain[1], chain[0], chain[1]])
    assert content(layers, rw)["added"] == b"123"


def test_changes_are_told_as_docker_tells_them(layers: LayerStore, chain: list[str]) -> None:
    rw = layers.create_rw(ID, chain[:1])
    with layers.view(rw, writable=True) as root:
        os.unlink("etc/passwd", dir_fd=root)
        os.chmod("usr/bin/tool", 0o755, dir_fd=root)
        touched = os.open("usr/bin/other", os.O_WRONLY, dir_fd=root)
        os.close(touched)
        os.mkdir("new", dir_fd=root)
        os.mkdir("new/sub", dir_fd=root)
        os.unlink("etc/mtab", dir_fd=root)
        os.mkdir("etc/mtab", dir_fd=root)
    kinds = {change.path: change.kind for change in layers.changes(rw)}
    assert kinds == {
        "/etc": ChangeKind.MODIFIED,
        "/etc/mtab": ChangeKind.MODIFIED,
        "/etc/passwd": ChangeKind.DELETED,
        "/new": ChangeKind.ADDED,
        "/new/sub": ChangeKind.ADDED,
        "/usr": ChangeKind.MODIFIED,
        "/usr/bin": ChangeKind.MODIFIED,
        "/usr/bin/tool": ChangeKind.MODIFIED,
    }


def test_a_directory_made_anew_hides_what_was_in_it(layers: LayerStore, chain: list[str]) -> None:
    rw = layers.create_rw(ID, chain[:1])
    with layers.view(rw, writable=True) as root:
        for name in ("tool", "other"):
            os.unlink(f"usr/bin/{name}", dir_fd=root)
        os.rmdir("usr/bin", dir_fd=root)
        os.mkdir("usr/bin", 0o755, dir_fd=root)
        os.close(os.open("usr/bin/mine", os.O_WRONLY | os.O_CREAT, dir_fd=root))
    changed = [(change.path, change.kind.name) for change in layers.changes(rw)]
    assert changed == [
        ("/usr", "MODIFIED"),
        ("/usr/bin", "MODIFIED"),
        ("/usr/bin/mine", "ADDED"),
        ("/usr/bin/other", "DELETED"),
        ("/usr/bin/tool", "DELETED"),
    ]
    packed = [entry.name for entry in reader(b"".join(layers.diff_tar(rw)))]
    assert packed == [b"usr/", b"usr/bin/", b"usr/bin/.wh..wh..opq", b"usr/bin/mine"]


def test_a_diff_on_its_base_is_the_container(layers: LayerStore, chain: list[str]) -> None:
    rw = layers.create_rw(ID, chain[:1])
    with layers.view(rw, writable=True) as root:
        os.unlink("usr/bin/tool", dir_fd=root)
        os.mkdir("data", dir_fd=root)
        for name in ("data/a", "data/b"):
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT, 0o4600, dir_fd=root)
            os.write(descriptor, name.encode())
            os.close(descriptor)
        os.link("data/a", "data/hard", src_dir_fd=root, dst_dir_fd=root)
    committed = layers.unpack(io.BytesIO(b"".join(layers.diff_tar(rw)))).diff_id
    other = layers.create_rw("cd" * 32, [chain[0], committed])
    assert content(layers, other) == content(layers, rw)
    assert layers.size(rw) == len("data/a") + len("data/b")
    assert layers.root_size(rw) == layers.size(rw) + layers.get(chain[0]).size


def test_nothing_of_a_container_is_left(
    layers: LayerStore, chain: list[str], tmp_path: Path
) -> None:
    rw = layers.create_rw(ID, chain)
    (tmp_path / "kept").write_bytes(b"1")
    deep = rw.upper
    for _ in range(30):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "link").symlink_to(tmp_path)
    (deep / "frozen").write_bytes(b"1")
    subprocess.run(["chattr", "+i", str(deep / "frozen")], check=True)
    before = set(os.listdir(layers.root))
    layers.remove_rw(ID)
    layers.remove_rw(ID)
    assert before - set(os.listdir(layers.root)) == {ID}
    assert (tmp_path / "kept").exists()


def test_binds_are_seen_in_a_view(layers: LayerStore, chain: list[str], tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "f").write_bytes(b"from the host")
    one = tmp_path / "one"
    one.write_bytes(b"a file")
    binds = [
        Bind(str(one), "/data/one"),
        Bind(str(volume), "/data", read_only=True),
        Bind(str(one), "/etc/motd"),
    ]
    (volume / "one").write_bytes(b"")
    rw = layers.create_rw(ID, chain)
    with layers.view(rw, writable=True, binds=binds) as root:
        for path, expected in (("data/f", b"from the host"), ("data/one", b"a file")):
            descriptor = os.open(path, os.O_RDONLY, dir_fd=root)
            assert os.read(descriptor, 100) == expected
            os.close(descriptor)
        with pytest.raises(OSError, match="Read-only"):
            os.open("data/new", os.O_WRONLY | os.O_CREAT, dir_fd=root)


def test_images_are_seen_in_a_view(layers: LayerStore, chain: list[str]) -> None:
    options = layers.image_overlay(layers.create_rw("ef" * 32, chain))
    empty = layers.image_overlay(layers.create_rw("01" * 32, ()))
    binds = [
        Bind("", "/all", overlay=options),
        Bind("", "/part", overlay=options, subpath="etc"),
        Bind("", "/file", overlay=options, subpath="added"),
        Bind("", "/none", overlay=empty),
    ]
    with layers.view(layers.create_rw(ID, ()), binds=binds) as root:
        found = {path: set(os.listdir(open_under(root, path))) for path in ("all", "part", "none")}
        assert found["all"] >= {"added", "etc"}
        assert ".dockerenv" not in found["all"]
        assert found["part"] == {"hosts", "passwd"}
        assert found["none"] == set()
        assert os.stat("file", dir_fd=root).st_size == 3
        with pytest.raises(OSError, match="Read-only"):
            os.mkdir("all/new", dir_fd=root)


def open_under(root: int, path: str) -> str:
    """Give a path that names a directory below a descriptor."""
    return f"/proc/self/fd/{root}/{path}"


def test_a_bind_does_not_leave_the_root_by_a_link(layers: LayerStore, tmp_path: Path) -> None:
    evil = layers.unpack(
        io.BytesIO(tar([link("data", "../../../.." + str(tmp_path / "host"))]))
    ).diff_id
    (tmp_path / "host").mkdir()
    (tmp_path / "volume").mkdir()
    rw = layers.create_rw(ID, [evil])
    with layers.view(rw, binds=[Bind(str(tmp_path / "volume"), "/data/sub")]) as root:
        inside = os.stat(str(tmp_path / "host" / "sub").lstrip("/"), dir_fd=root)
        assert stat.S_ISDIR(inside.st_mode)
    assert os.listdir(tmp_path / "host") == []


def test_read_only_views_cannot_be_written(layers: LayerStore, chain: list[str]) -> None:
    with (
        layers.view(layers.create_rw(ID, chain)) as root,
        pytest.raises(OSError, match="Read-only"),
    ):
        os.mkdir("x", dir_fd=root)
    with layers.image_view(chain) as root:
        assert "added" in os.listdir(root)
        assert ".dockerenv" not in os.listdir(root)
    with layers.image_view([]) as root:
        assert not os.listdir(root)


def test_inspect_tells_the_directories(layers: LayerStore, chain: list[str]) -> None:
    rw = layers.create_rw(ID, chain)
    data = layers.driver_data(chain, rw)
    assert data["UpperDir"] == str(rw.upper)
    assert data["LowerDir"].count(":") == 2
    image = layers.driver_data(chain)
    assert image["UpperDir"] == str(layers.get(chain[1]).directory / "diff")
    assert image["LowerDir"] == str(layers.get(chain[0]).directory / "diff")


def test_open_root_wants_a_directory(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        open_root(tmp_path / "f")
