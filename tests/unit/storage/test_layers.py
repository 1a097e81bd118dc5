from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.errors import InvalidParameter, LadingError, NotFound
from lading.storage.layers import LayerStore

from .smalldisk import on_a_small_disk
from .tars import Drip, Item, directory, hard, link, tar

pytestmark = pytest.mark.root

BASE = tar([directory("etc"), Item("etc/passwd", b"root"), Item("bin", b"x" * 3000)])


def diff_id(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def incomplete(store: LayerStore) -> list[str]:
    return [name for name in os.listdir(store.root) if name.startswith(".tmp-")]


def test_a_layer_is_stored_by_its_diff_id(layers: LayerStore) -> None:
    layer = layers.unpack(Drip(gzip.compress(BASE)), diff_id(BASE))
    assert layer.diff_id == diff_id(BASE)
    assert layer.size == 3004
    assert layer.tar_size == len(BASE)
    assert (layer.directory / "diff/etc/passwd").read_bytes() == b"root"
    assert layers.exists(layer.diff_id)
    assert LayerStore(layers.root).get(layer.diff_id) == layer
    assert [found.diff_id for found in layers.walk()] == [layer.diff_id]


def test_a_layer_that_is_there_is_not_read_again(layers: LayerStore) -> None:
    layer = layers.unpack(io.BytesIO(BASE))
    assert layers.unpack(io.BytesIO(b"never read"), layer.diff_id) == layer


STREAMS = {
    "tarfile": BASE + bytes(10240),
    "rubbish behind the end": BASE + b"rubbish" * 100,
    "without an end": BASE.rstrip(b"\0") + bytes(-len(BASE.rstrip(b"\0")) % 512),
    "long names": tar([directory("d" * 120), Item("d" * 120 + "/" + "f" * 200, b"1")]),
    "links": tar([link("lib", "usr"), directory("usr"), Item("lib/a", b"2"), hard("b", "usr/a")]),
    "whiteouts with a payload": tar([Item(".wh.x", b"why not"), Item("y", b"3")]),
    "attributes": tar([Item("f", b"1", pax={"SCHILY.xattr.user.a": "b", "comment": "hello"})]),
    "nothing": b"",
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_a_layer_comes_out_to_the_byte(layers: LayerStore, stream: bytes) -> None:
    layer = layers.unpack(io.BytesIO(stream))
    assert layer.diff_id == diff_id(stream)
    assert b"".join(layers.assemble(layer.diff_id)) == stream


@pytest.mark.parametrize("how", ["gnu", "pax", "ustar", "v7"])
def test_gnu_tars_archives_come_out_to_the_byte(
    layers: LayerStore, tmp_path: Path, how: str
) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub/file").write_bytes(os.urandom(200_000))
    (source / "sub/empty").write_bytes(b"")
    os.link(source / "sub/file", source / "hard")
    (source / "soft").symlink_to("sub/file")
    with (source / "holes").open("wb") as file:
        file.truncate(5_000_000)
        file.seek(4_000_000)
        file.write(b"x" * 5000)
    sparse = ["--sparse"] if how in {"gnu", "pax"} else []
    command = ["tar", "-C", str(source), f"--format={how}", *sparse, "-cf", "-", "."]
    stream = subprocess.run(command, check=True, capture_output=True).stdout
    layer = layers.unpack(io.BytesIO(stream))
    assert b"".join(layers.assemble(layer.diff_id)) == stream


@given(
    files=st.dictionaries(
        st.text("abc/.é", min_size=1, max_size=12)
        .map(lambda name: "/".join(part for part in name.split("/") if part.strip(".")))
        .filter(bool),
        st.binary(max_size=2000),
        max_size=6,
    )
)
@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_layer_comes_out_to_the_byte(layers: LayerStore, files: dict[str, bytes]) -> None:
    stream = tar([Item(name, data) for name, data in files.items()])
    try:
        layer = layers.unpack(io.BytesIO(stream))
    except InvalidParameter:
        return  # one name is the parent of another, or the same by another spelling
    assert b"".join(layers.assemble(layer.diff_id)) == stream


def test_a_changed_layer_is_not_passed_on(layers: LayerStore) -> None:
    layer = layers.unpack(io.BytesIO(BASE))
    (layer.directory / "diff/etc/passwd").write_bytes(b"evil")
    with pytest.raises(LadingError, match="was changed on disk"):
        b"".join(layers.assemble(layer.diff_id))
    (layer.directory / "diff/etc/passwd").unlink()
    with pytest.raises(LadingError, match="was changed on disk"):
        b"".join(layers.assemble(layer.diff_id))


BAD = {
    "another digest": (BASE, diff_id(b"other"), "does not match its digest"),
    "cut off": (BASE[:2000], None, "unexpected EOF"),
    "hostile": (tar([Item("ok", b"1"), Item("../evil", b"2")]), None, "invalid entry name"),
    "damaged gzip": (gzip.compress(BASE)[:-30], None, "damaged"),
    "no digest": (BASE, "sha256:../../x", "invalid digest"),
}


@pytest.mark.parametrize(("stream", "expected", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_layer_leaves_nothing(
    layers: LayerStore, stream: bytes, expected: str | None, message: str
) -> None:
    with pytest.raises(InvalidParameter, match=message):
        layers.unpack(io.BytesIO(stream), expected)
    assert incomplete(layers) == []
    assert list(layers.walk()) == []


def test_a_wrong_raw_digest_is_refused(layers: LayerStore) -> None:
    with pytest.raises(InvalidParameter, match="does not match its digest"):
        layers.unpack_stream(io.BytesIO(gzip.compress(BASE)), digest=diff_id(b""))
    assert incomplete(layers) == []


def test_a_failing_source_leaves_nothing(layers: LayerStore) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 2000:
                raise ConnectionResetError("the client is gone")
            return super().read(700)

    with pytest.raises(LadingError, match="cannot read the archive: the client is gone"):
        layers.unpack(Broken(BASE))
    assert incomplete(layers) == []


def test_two_threads_unpack_the_same_layer(layers: LayerStore) -> None:
    found: list[str] = []

    def work() -> None:
        found.append(layers.unpack(Drip(BASE)).diff_id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [diff_id(BASE)] * 4
    assert incomplete(layers) == []
    assert len(list(layers.walk())) == 1


def test_opening_clears_what_a_crash_left(layers: LayerStore) -> None:
    layer = layers.unpack(io.BytesIO(BASE))
    half = layers.root / ".tmp-half"
    (half / "diff/deep").mkdir(parents=True)
    os.symlink("../gone/diff", layers.root / "l" / "DANGLING")
    again = LayerStore(layers.root)
    again.open()
    assert not half.exists()
    assert len(os.listdir(layers.root / "l")) == 1
    assert again.get(layer.diff_id) == layer


def test_a_record_that_a_power_failure_cut_off(layers: LayerStore) -> None:
    layer = layers.unpack(io.BytesIO(BASE))
    (layer.directory / "layer.json").write_bytes(b"")
    again = LayerStore(layers.root)
    again.open()
    assert not layer.directory.exists()
    assert again.unpack(io.BytesIO(BASE)) == layer


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    def work(place: Path) -> None:
        store = LayerStore(place / "overlay2")
        store.open()
        data = tar([Item("a", b"1" * 500_000), Item("b", b"2" * 900_000)])
        with pytest.raises(LadingError, match='cannot write "b": no space left on device') as told:
            store.unpack(io.BytesIO(data))
        assert told.value.status == 500
        assert not incomplete(store)

    on_a_small_disk(tmp_path, "1m", work)


def test_layers_go_when_nothing_uses_them(layers: LayerStore) -> None:
    one = layers.unpack(io.BytesIO(BASE)).diff_id
    two = layers.unpack(io.BytesIO(STREAMS["links"])).diff_id
    three = layers.unpack(io.BytesIO(STREAMS["nothing"])).diff_id
    layers.create_rw("c" * 64, [one])
    with layers.lease() as lease:
        lease.hold(two)
        retired = layers.retire_unused([one, two, three], keep=set())
        assert [item.layer.diff_id for item in retired] == [three]
        layers.discard(retired)
    assert layers.retire_unused([two], keep={two}) == []
    layers.discard(layers.retire_unused([two], keep=set()))
    layers.remove_rw("c" * 64)
    layers.discard(layers.retire_unused([one, "sha256:" + "0" * 64], keep=set()))
    assert list(layers.walk()) == []
    assert incomplete(layers) == []
    with pytest.raises(NotFound):
        layers.get(one)


def test_a_lease_holds_a_layer_from_its_first_moment(layers: LayerStore) -> None:
    with layers.lease() as lease:
        layer = layers.unpack_stream(io.BytesIO(BASE), lease=lease).layer
        assert layers.retire_unused([layer.diff_id], keep=set()) == []
        with pytest.raises(NotFound):
            lease.hold(diff_id(b"missing"))
    layers.settle()
    layers.settle()


def test_digests_do_not_name_other_files(layers: LayerStore) -> None:
    for bad in ("sha256:..", "../x", "md5:" + "0" * 64, "sha256:" + "A" * 64):
        with pytest.raises(InvalidParameter, match="invalid digest"):
            layers.get(bad)
