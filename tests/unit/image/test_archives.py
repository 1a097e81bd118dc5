from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard

from lab.registry import copy
from lading.errors import InvalidParameter, LadingError, NotFound
from lading.image.archives import LayerProgress, Loaded, import_, load, save
from lading.image.model import Config, architecture
from lading.image.reference import parse
from lading.image.registry.platforms import Platform, host
from lading.image.store import ImageStore

from .conftest import Opener
from .makers import add, config, digest, tar

SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""How tarfile extracts, where it can be told: Debian 12's Python 3.11.2 can not."""

pytestmark = pytest.mark.root

ONE, TWO = tar({"one": b"1" * 10}), tar({"two": b"2" * 10})
OCI = "application/vnd.oci.image."


def blobs(*contents: bytes) -> dict[str, bytes]:
    return {"blobs/sha256/" + digest(data)[7:]: data for data in contents}


def described(data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(data), "size": len(data), **more}


def manifest(layers: Mapping[bytes, str], **more: Any) -> tuple[bytes, bytes]:
    """Return a config and an OCI manifest for layers given as compressed bytes and plain digest."""
    image = config([], rootfs={"type": "layers", "diff_ids": list(layers.values())})
    body = {
        "schemaVersion": 2,
        "mediaType": OCI + "manifest.v1+json",
        "config": described(image, OCI + "config.v1+json"),
        "layers": [described(layer, OCI + "layer.v1.tar+gzip") for layer in layers],
    }
    return image, json.dumps(body | more).encode()


def layout(manifests: list[dict[str, Any]], **files: bytes) -> dict[str, bytes]:
    index = {"schemaVersion": 2, "manifests": manifests}
    return {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps(index).encode(),
    }


def old_archive(tags: list[str] | None = None) -> dict[str, bytes]:
    """An archive as Docker 1.10 to 24 wrote it."""
    image = config([ONE, TWO])
    name = digest(image)[7:] + ".json"
    listing = [
        {"Config": name, "RepoTags": tags, "Layers": ["a" * 64 + "/layer.tar", "b/layer.tar"]}
    ]
    return {
        "a" * 64 + "/layer.tar": ONE,
        "a" * 64 + "/json": b"{}",
        "a" * 64 + "/VERSION": b"1.0",
        "b/layer.tar": TWO,
        name: image,
        "manifest.json": json.dumps(listing).encode(),
        "repositories": b"{}",
    }


def loaded(store: ImageStore, data: bytes) -> list[Loaded]:
    return load(store, io.BytesIO(data))


def empty(store: ImageStore) -> bool:
    return not store.list() and not list(store.layers.walk()) and not list(store.blobs.walk())


def test_an_archive_of_old_docker(store: ImageStore) -> None:
    events: list[object] = []
    result = load(store, io.BytesIO(tar(old_archive(["app:1", "app:2"]))), events.append)
    assert [item.reference for item in result] == ["app:1", "app:2"]
    assert store.get("app:1").diff_ids == (digest(ONE), digest(TWO))
    assert [event for event in events if isinstance(event, Loaded)] == result
    progress = [event for event in events if isinstance(event, LayerProgress)]
    assert progress[-1] == LayerProgress("b/layer.tar", len(TWO), len(TWO))


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, lambda data: data])
def test_a_compressed_archive_without_names(store: ImageStore, pack: Any) -> None:
    (item,) = loaded(store, pack(tar(old_archive())))
    assert (item.reference, item.image.tags) == ("", ())
    assert store.get(item.image.id).size == 20


def test_layers_that_are_links_to_others(store: ImageStore) -> None:
    files = old_archive(["app:1"])
    image = config([ONE, ONE])
    listing = json.loads(files["manifest.json"])
    listing[0]["Config"] = "c.json"
    files |= {"c.json": image, "manifest.json": json.dumps(listing).encode()}
    del files["b/layer.tar"]
    (item,) = loaded(store, tar(files, {"b/layer.tar": "../" + "a" * 64 + "/layer.tar"}))
    assert item.image.diff_ids == (digest(ONE), digest(ONE))
    assert len(list(store.layers.walk())) == 1


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, lambda data: data])
def test_an_oci_layout(store: ImageStore, pack: Any) -> None:
    layers = {pack(ONE): digest(ONE), pack(TWO): digest(TWO)}
    image, body = manifest(layers)
    name = {"org.opencontainers.image.ref.name": "example.org/app:x"}
    found = layout([described(body, OCI + "manifest.v1+json", annotations=name)])
    (item,) = loaded(store, tar(found | blobs(image, body, *layers)))
    assert item.reference == "example.org/app:x"
    assert item.image.id == digest(image)
    assert store.get("example.org/app:x").size == 20


def test_an_index_is_searched_for_this_machine(store: ImageStore) -> None:
    mine, other = {ONE: digest(ONE)}, {TWO: digest(TWO)}
    (my_image, my_body), (_, other_body) = manifest(mine), manifest(other)
    note = json.dumps(
        {"schemaVersion": 2, "config": described(b"{}", "application/x"), "layers": []}
    ).encode()
    kind = OCI + "manifest.v1+json"
    inner = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI + "index.v1+json",
            "manifests": [
                described(other_body, kind, platform={"os": "linux", "architecture": "vax"}),
                described(my_body, kind, platform={"os": "linux", "architecture": architecture()}),
                described(note, kind, platform={"os": "unknown", "architecture": "unknown"}),
            ],
        }
    ).encode()
    top = described(
        inner,
        OCI + "index.v1+json",
        annotations={"io.containerd.image.name": "docker.io/library/a"},
    )
    files = layout([top]) | blobs(my_image, my_body, inner, ONE, note, b"{}")
    (item,) = loaded(store, tar(files))
    assert (item.image.id, item.reference) == (digest(my_image), "a:latest")
    lonely = layout(
        [described(inner.replace(architecture().encode(), b"pdp"), OCI + "index.v1+json")]
    )
    replaced = inner.replace(architecture().encode(), b"pdp")
    with pytest.raises(InvalidParameter, match=f"no image for {host()}"):
        loaded(store, tar(lonely | blobs(replaced)))


def test_a_tag_that_moves_is_told(store: ImageStore) -> None:
    before = add(store, TWO, tag="app:1")
    (item,) = loaded(store, tar(old_archive(["app:1"])))
    assert item.renamed == before.id
    assert store.get(before.id).tags == ()


def changed(**replaced: bytes | None) -> bytes:
    files: dict[str, bytes | None] = {**old_archive(["app:1"])}
    for name, data in replaced.items():
        files[{"listing": "manifest.json", "layer": "b/layer.tar"}[name]] = data
    return tar({name: data for name, data in files.items() if data is not None})


def listing(**members: Any) -> bytes:
    base = {"Config": digest(config([ONE, TWO]))[7:] + ".json", "RepoTags": ["app:1"]}
    layers = {"Layers": ["a" * 64 + "/layer.tar", "b/layer.tar"]}
    return json.dumps([base | layers | members]).encode()


BAD = {
    "no image archive": (tar({"f": b"1"}), "neither a manifest.json nor an index.json"),
    "no archive": (b"hello world" * 100, "invalid tar archive"),
    "nothing": (b"", "neither a manifest.json nor an index.json"),
    "cut off": (tar(old_archive())[:2500], "unexpected EOF"),
    "no layer": (changed(layer=None), 'refers to layer "b/layer.tar" but does not have it'),
    "another layer": (changed(layer=tar({"x": b"evil"})), "invalid diffID for layer 1: expected"),
    "a hostile layer": (changed(layer=tar({"../x": b"evil"})), r'invalid entry name "\.\./x"'),
    "a layer that is text": (changed(layer=b"{}"), "does not have it"),
    "too few layers": (changed(listing=listing(Layers=[])), "layers length mismatch"),
    "no config": (changed(listing=listing(Config="x.json")), 'refers to config "x.json"'),
    "a config outside": (changed(listing=listing(Config="../../etc/passwd")), "does not have it"),
    "a layer outside": (changed(listing=listing(Layers=["/etc/passwd"])), "does not have it"),
    "a bad tag": (changed(listing=listing(RepoTags=["A:1"])), "must be lowercase"),
    "a tag without a tag": (changed(listing=listing(RepoTags=["a"])), 'invalid tag "a"'),
    "a malformed list": (changed(listing=b"[{}]"), "invalid manifest.json"),
    "no list": (changed(listing=b"{"), "invalid manifest.json"),
}


@pytest.mark.parametrize(("data", "message"), BAD.values(), ids=BAD.keys())
def test_bad_archives_leave_nothing(store: ImageStore, data: bytes, message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        loaded(store, data)
    assert empty(store)


def oci_files() -> tuple[dict[str, bytes], bytes, bytes]:
    packed = gzip.compress(ONE)
    image, body = manifest({packed: digest(ONE)})
    files = layout([described(body, OCI + "manifest.v1+json")]) | blobs(image, body, packed)
    return files, image, packed


def test_blobs_must_match_their_names(store: ImageStore) -> None:
    files, image, packed = oci_files()
    name = "blobs/sha256/" + digest(packed)[7:]
    with pytest.raises(InvalidParameter, match=f"blob {name} does not match its digest"):
        loaded(store, tar(files | {name: gzip.compress(ONE, 1) + bytes(10)}))
    name = "blobs/sha256/" + digest(image)[7:]
    with pytest.raises(InvalidParameter, match="does not match its digest"):
        loaded(store, tar(files | {name: image.replace(b"/bin/sh", b"/bin/xx")}))
    del files[name]
    with pytest.raises(InvalidParameter, match=r"refers to blob .* but does not have it"):
        loaded(store, tar(files))
    assert empty(store)


def test_links_in_a_cycle(store: ImageStore) -> None:
    files = old_archive(["app:1"])
    del files["b/layer.tar"]
    with pytest.raises(InvalidParameter, match="a cycle of links"):
        loaded(store, tar(files, {"b/layer.tar": "layer", "b/layer": "layer.tar"}))
    assert empty(store)


def test_a_failed_load_keeps_what_was_there(store: ImageStore) -> None:
    kept = add(store, ONE, tag="kept")
    with pytest.raises(LadingError):
        loaded(store, BAD["another layer"][0])
    assert store.get("kept") == kept
    assert [layer.diff_id for layer in store.layers.walk()] == [digest(ONE)]


def test_what_is_saved_can_be_loaded(store: ImageStore, reopen: Opener) -> None:
    base = add(store, ONE, tag="base:1")
    store.tag(base.id, parse("base:2"))
    child = add(store, ONE, TWO, tag="child", parent=base.id)
    data = b"".join(save(store, ["base", "child:latest", child.id]))
    for ref in ("child", "base:1", "base:2"):
        store.remove(ref, users=lambda _: [])
    assert empty(store)
    assert [item.reference for item in loaded(store, data)] == ["base:1", "base:2", "child:latest"]
    assert store.get("child").parent == base.id
    assert reopen().get("base:1").tags == ("base:1", "base:2")


def test_an_archive_is_laid_out_as_dockers(store: ImageStore) -> None:
    image = add(store, ONE, TWO, tag="app:1")
    data = b"".join(save(store, ["app:1"]))
    assert data == b"".join(save(store, ["app:1"]))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = archive.getnames()
        files = {
            m.name: archive.extractfile(m).read()  # type: ignore[union-attr]
            for m in archive.getmembers()
            if m.isreg()
        }
    assert names == sorted(names)
    assert names[-4:] == ["index.json", "manifest.json", "oci-layout", "repositories"]
    (item,) = json.loads(files["manifest.json"])
    assert item["RepoTags"] == ["app:1"]
    assert [files[name] for name in item["Layers"]] == [ONE, TWO]
    assert digest(files[item["Config"]]) == image.id
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == "docker.io/library/app:1"
    body = json.loads(files["blobs/sha256/" + entry["digest"][7:]])
    assert [layer["digest"] for layer in body["layers"]] == [digest(ONE), digest(TWO)]
    assert json.loads(files["repositories"]) == {"app": {"1": digest(TWO)[7:]}}


def test_an_image_saved_by_its_id_has_no_name(store: ImageStore) -> None:
    image = add(store, ONE, tag="app:1")
    data = b"".join(save(store, [image.id[7:19]]))
    store.remove("app:1", users=lambda _: [])
    (item,) = loaded(store, data)
    assert (item.reference, item.image.id) == ("", image.id)


def test_saving_what_is_not_there(store: ImageStore) -> None:
    for ref in ("nosuch", "sha256:1234"):
        with pytest.raises(NotFound, match=f"^No such image: {ref}$"):
            save(store, [ref])
    with pytest.raises(InvalidParameter):
        save(store, [])


def test_layers_stay_while_they_are_saved(store: ImageStore) -> None:
    add(store, ONE, TWO, tag="app:1")
    chunks = save(store, ["app:1"])
    first = next(chunks)
    store.remove("app:1", users=lambda _: [])
    data = first + b"".join(chunks)
    assert empty(store)
    assert loaded(store, data)[0].reference == "app:1"


def test_import_makes_one_layer(store: ImageStore) -> None:
    image = import_(
        store,
        io.BytesIO(gzip.compress(ONE)),
        repository="team/app",
        tag="x",
        message="hello",
        config=Config(cmd=["/bin/true"], labels={"a": "b"}),
        platform="linux/arm64/v8",
    )
    assert image.tags == ("team/app:x",)
    assert image.diff_ids == (digest(ONE),)
    assert (image.architecture, image.variant, image.comment) == ("arm64", "v8", "hello")
    assert (image.config.cmd, image.config.labels) == (["/bin/true"], {"a": "b"})
    (step,) = store.history(image)
    assert (step.comment, step.size, step.id) == ("hello", 10, image.id)


def test_an_image_that_cannot_be_registered_leaves_nothing(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lading.image import store as module

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_atomically", full)
    with pytest.raises(LadingError, match=r"cannot register image .*: no space left on device"):
        import_(store, io.BytesIO(ONE))
    with pytest.raises(LadingError):
        loaded(store, tar(old_archive(["app:1"])))
    monkeypatch.undo()
    assert empty(store)


@pytest.mark.parametrize(
    ("data", "more", "message"),
    [
        (b"no tar" * 200, {}, "invalid tar archive"),
        (ONE, {"repository": "Foo"}, "must be lowercase"),
        (ONE, {"repository": "foo", "tag": "b@d"}, "invalid tag format"),
        (ONE, {"platform": "plan9/vax"}, "^operating system is not supported: .* not plan9$"),
        (tar({"../evil": b"1"}), {}, "invalid entry name"),
    ],
)
def test_a_bad_import_leaves_nothing(
    store: ImageStore, data: bytes, more: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidParameter, match=message):
        import_(store, io.BytesIO(data), **more)  # type: ignore[arg-type]
    assert empty(store)
    assert os.listdir(store.root / "images") == []


def test_only_images_for_a_platform_are_loaded(store: ImageStore) -> None:
    other = config([TWO], architecture="s390x")
    files = old_archive(["app:1"])
    listing = json.loads(files["manifest.json"])
    listing.append({"Config": "other.json", "RepoTags": ["app:2"], "Layers": ["b/layer.tar"]})
    files |= {"other.json": other, "manifest.json": json.dumps(listing).encode()}
    archive = tar(files)
    with pytest.raises(InvalidParameter, match="no image for linux/riscv64"):
        load(store, io.BytesIO(archive), None, Platform("linux", "riscv64"))
    assert empty(store)
    (item,) = load(store, io.BytesIO(archive), None, Platform("linux", "s390x"))
    assert (item.reference, item.image.id) == ("app:2", digest(other))
    assert len(loaded(store, archive)) == 2


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
@pytest.mark.parametrize("layout", ["docker-archive", "oci-archive", "oci"])
def test_skopeo_and_this_store_read_each_others_archives(
    store: ImageStore, tmp_path: Path, layout: str
) -> None:
    image = add(store, ONE, TWO, tag="lading-test:1")
    ours = tmp_path / "ours.tar"
    ours.write_bytes(b"".join(save(store, ["lading-test:1"])))
    store.remove("lading-test:1", users=lambda _id: ())
    unpacked = tmp_path / "layout"
    with tarfile.open(ours) as archive:
        archive.extractall(unpacked, **SAFELY)
    theirs = tmp_path / "theirs"
    # Between the two formats skopeo would write the config anew, which makes another image.
    source = f"docker-archive:{ours}" if layout == "docker-archive" else f"oci:{unpacked}"
    copy(source, f"{layout}:{theirs}:lading-test:1")
    data = theirs.read_bytes() if theirs.is_file() else _packed(theirs)
    (item,) = loaded(store, data)
    assert item.image.id == image.id
    copy(f"oci:{unpacked}", f"dir:{tmp_path}/read")
    read = json.loads((tmp_path / "read/manifest.json").read_bytes())
    assert read["config"]["digest"] == image.id


def _packed(directory: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.add(directory, ".")
    return out.getvalue()
