from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from lading.errors import Conflict, InvalidParameter, LadingError, NotFound
from lading.image.model import chain_ids
from lading.image.reference import parse
from lading.image.store import ImageStore, ImageUser, Removal, now, seconds
from lading.storage.digests import digest_of, hex_of

from .conftest import Opener
from .makers import add, digest, imported, tar

pytestmark = pytest.mark.root

ONE, TWO, THREE = (tar({name: name.encode() * 10}) for name in ("one", "two", "three"))
ID = "c" * 64


def nobody(image_id: str) -> Sequence[ImageUser]:
    return []


def container(image_id: str, *, running: bool = False) -> object:
    def users(asked: str) -> Sequence[ImageUser]:
        return [ImageUser(ID, running)] if asked == image_id else []

    return users


def layer_ids(store: ImageStore) -> set[str]:
    return {layer.diff_id for layer in store.layers.walk()}


def test_an_image_is_what_its_config_says(store: ImageStore, reopen: Opener) -> None:
    image = add(store, ONE, TWO, tag="app:1", author="me", comment="hi", docker_version="9")
    assert image.diff_ids == (digest(ONE), digest(TWO))
    assert (image.size, image.author, image.comment) == (60, "me", "hi")
    assert (image.tags, image.digests, image.parent) == (("app:1",), (), "")
    assert image.config.cmd == ["/bin/sh"]
    assert image.last_tagged.endswith("Z")
    assert reopen().get("app:1") == image


def test_images_are_found_by_all_their_names(store: ImageStore) -> None:
    image = add(store, ONE, tag="app")
    digest_name = parse("app@sha256:" + "d" * 64)
    store.tag(image.id, digest_name)
    hexadecimal = image.id[7:]
    for ref in ("app", "app:latest", "docker.io/library/app", digest_name.familiar, image.id):
        assert store.get(ref).id == image.id
    for ref in (hexadecimal, hexadecimal[:12], hexadecimal[:3], "sha256:" + hexadecimal[:6]):
        assert store.get(ref).id == image.id
    assert store.get("app:other@sha256:" + "d" * 64).id == image.id
    assert store.get("app").digests == (digest_name.familiar,)


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("nosuch", "No such image: nosuch:latest"),
        ("nosuch:x", "No such image: nosuch:x"),
        ("sha256:1234", "No such image: sha256:1234"),
        ("sha256:", "No such image: sha256:"),
        ("f" * 64, "No such image: " + "f" * 64),
    ],
)
def test_unknown_images(store: ImageStore, ref: str, message: str) -> None:
    with pytest.raises(NotFound) as raised:
        store.get(ref)
    assert raised.value.message == message
    with pytest.raises(InvalidParameter, match="must be lowercase"):
        store.get("Foo")


def test_an_ambiguous_short_id_is_no_image(store: ImageStore) -> None:
    images = [add(store, ONE, comment=str(n)) for n in range(17)]
    firsts = [image.id[7] for image in images]
    shared = next(first for first in firsts if firsts.count(first) > 1)
    with pytest.raises(NotFound, match=f"No such image: {shared}:latest"):
        store.get(shared)


def test_a_tag_moves(store: ImageStore, reopen: Opener) -> None:
    one, two = add(store, ONE, tag="app"), add(store, TWO)
    assert store.tag(two.id, parse("app")) == one.id
    assert store.tag(two.id, parse("app")) == two.id
    assert store.get("app").id == two.id
    assert store.get(one.id).tags == ()
    assert store.untag(parse("app")) == two.id
    with pytest.raises(NotFound):
        store.untag(parse("app"))
    with pytest.raises(NotFound):
        store.tag(digest(b"missing"), parse("app"))
    assert [image.tags for image in reopen().list()] == [(), ()]


def test_the_same_image_twice_is_one(store: ImageStore) -> None:
    assert add(store, ONE) == add(store, ONE)
    assert len(store.list()) == 1


def test_an_image_needs_its_layers(store: ImageStore) -> None:
    from .makers import config

    with pytest.raises(NotFound, match=r"layer .* does not exist"):
        store.create(config([ONE]))
    with pytest.raises(InvalidParameter, match="invalid image config"):
        store.create(b"{}x")
    assert store.list() == []


def test_list_and_history(store: ImageStore) -> None:
    history = [
        {"created": "2024-01-01T00:00:00Z", "created_by": "ADD", "comment": "c"},
        {"created_by": "ENV", "empty_layer": True},
        {"created": "2024-01-01T00:00:01+01:00", "created_by": "RUN"},
    ]
    base = add(store, ONE, tag="base", created="2020-01-01T00:00:00Z")
    image = add(store, ONE, TWO, tag="app", parent=base.id, history=history)
    assert [found.id for found in store.list()] == [image.id, base.id]
    assert image.parent == base.id
    assert list(store.children(base.id)) == [image.id]
    items = store.history(image)
    assert [(i.created_by, i.size, i.created) for i in items] == [
        ("RUN", 30, 1704063601),
        ("ENV", 0, 0),
        ("ADD", 30, 1704067200),
    ]
    assert [(i.id, i.tags) for i in items] == [
        (image.id, ("app:latest",)),
        (base.id, ("base:latest",)),
        ("<missing>", ()),
    ]
    assert store.shared_size(image) == 30
    assert store.shared_size(add(store, THREE)) == 0


def test_a_history_that_does_not_fit(store: ImageStore) -> None:
    image = add(store, ONE, history=[{"created_by": "1"}, {"created_by": "2"}])
    with pytest.raises(InvalidParameter, match="too many non-empty layers in History section"):
        store.history(image)


# Deletion


def test_the_last_name_takes_the_image_with_it(store: ImageStore, reopen: Opener) -> None:
    image = add(store, ONE, TWO, tag="app:1")
    store.tag(image.id, parse("app:2"))
    assert store.remove("app:2", users=nobody) == [Removal(untagged="app:2")]
    removed = store.remove("app:1", users=nobody)
    top, bottom = reversed(chain_ids(image.diff_ids))
    assert removed == [
        Removal(untagged="app:1"),
        Removal(deleted=image.id, freed=image.size),
        Removal(deleted=top, is_layer=True),
        Removal(deleted=bottom, is_layer=True),
    ]
    assert layer_ids(store) == set()
    assert list(store.blobs.walk()) == []
    assert reopen().list() == []


def test_layers_go_only_when_nothing_uses_them(store: ImageStore) -> None:
    add(store, ONE, TWO, tag="two")
    add(store, ONE, THREE, tag="three")
    store.remove("two", users=nobody)
    assert layer_ids(store) == {digest(ONE), digest(THREE)}
    store.layers.create_rw(ID, [digest(ONE)])
    store.remove("three", users=nobody, force=True)
    assert layer_ids(store) == {digest(ONE)}
    assert store.collect() == 0
    store.layers.remove_rw(ID)
    assert layer_ids(store) == set()
    assert store.collect() == 0


def test_the_same_layer_in_another_place_stays(store: ImageStore) -> None:
    one = add(store, ONE, TWO, tag="one")
    add(store, TWO, tag="two")
    removed = store.remove("one", users=nobody)
    assert [item.deleted for item in removed if item.is_layer] == chain_ids(one.diff_ids)[::-1]
    assert layer_ids(store) == {digest(TWO)}


def test_names_of_several_repositories(store: ImageStore) -> None:
    image = add(store, ONE, tag="a")
    store.tag(image.id, parse("b"))
    short = image.id[7:19]
    with pytest.raises(Conflict) as raised:
        store.remove(image.id, users=nobody)
    assert raised.value.message == (
        f"conflict: unable to delete {short} (must be forced)"
        " - image is referenced in multiple repositories"
    )
    removed = store.remove(short, users=nobody, force=True)
    assert [item.untagged for item in removed[:2]] == ["a:latest", "b:latest"]
    assert store.list() == []


def test_a_digest_goes_with_its_tag(store: ImageStore) -> None:
    image = add(store, ONE, tag="app")
    store.tag(image.id, parse("app@" + digest(b"manifest")))
    removed = store.remove("app", users=nobody)
    assert [item.untagged for item in removed[:2]] == [
        "app:latest",
        "app@" + digest(b"manifest"),
    ]
    assert removed[2].deleted == image.id


def test_one_tag_and_its_digest_go_by_id(store: ImageStore) -> None:
    image = add(store, ONE, tag="app")
    store.tag(image.id, parse("app@" + digest(b"manifest")))
    assert len(store.remove(image.id, users=nobody)) == 4
    assert store.list() == []


def test_a_stopped_container_is_in_the_way_but_force_passes(store: ImageStore) -> None:
    image = add(store, ONE, tag="app")
    store.layers.create_rw(ID, image.diff_ids)
    users = container(image.id)
    short = image.id[7:19]
    with pytest.raises(Conflict) as raised:
        store.remove("app", users=users)  # type: ignore[arg-type]
    assert raised.value.message == (
        'conflict: unable to remove repository reference "app" (must force) - container'
        f" {ID[:12]} is using its referenced image {short}"
    )
    with pytest.raises(Conflict) as raised:
        store.remove(image.id, users=users)  # type: ignore[arg-type]
    assert raised.value.message == (
        f"conflict: unable to delete {short} (must be forced)"
        f" - image is being used by stopped container {ID[:12]}"
    )
    assert store.get("app") == image
    removed = store.remove(image.id, users=users, force=True)  # type: ignore[arg-type]
    assert removed == [Removal(untagged="app:latest"), Removal(deleted=image.id)]
    assert layer_ids(store) == {digest(ONE)}


def test_a_running_container_is_in_the_way_whatever_is_said(store: ImageStore) -> None:
    image = add(store, ONE, tag="app")
    users = container(image.id, running=True)
    with pytest.raises(Conflict) as raised:
        store.remove(image.id, users=users, force=True)  # type: ignore[arg-type]
    assert raised.value.message == (
        f"conflict: unable to delete {image.id[7:19]} (cannot be forced)"
        f" - image is being used by running container {ID[:12]}"
    )
    assert store.get("app") == image
    removed = store.remove("app", users=users, force=True)  # type: ignore[arg-type]
    assert removed == [Removal(untagged="app:latest")]
    assert store.get(image.id).tags == ()


def test_children_and_parents(store: ImageStore) -> None:
    base = add(store, ONE, tag="base")
    middle = add(store, ONE, TWO, parent=base.id)
    child = add(store, ONE, TWO, THREE, tag="child", parent=middle.id)
    with pytest.raises(Conflict, match=r"\(cannot be forced\) - image has dependent child images"):
        store.remove(middle.id, users=nobody, force=True)
    assert store.remove("base", users=nobody) == [Removal(untagged="base:latest")]
    removed = store.remove("child", users=nobody)
    assert [item.deleted for item in removed if item.deleted and not item.is_layer] == [
        child.id,
        middle.id,
        base.id,
    ]
    assert layer_ids(store) == set()


def test_parents_stay_without_prune_and_with_a_name(store: ImageStore) -> None:
    base = add(store, ONE)
    add(store, ONE, TWO, tag="child", parent=base.id)
    store.remove("child", users=nobody, prune=False)
    assert store.get(base.id) == base
    store.tag(base.id, parse("base"))
    add(store, ONE, THREE, tag="child", parent=base.id)
    store.remove("child", users=nobody)
    assert store.get("base").id == base.id


# Crashes


def test_what_a_crash_leaves_is_repaired(store: ImageStore, reopen: Opener) -> None:
    kept = add(store, ONE, tag="kept")
    lost = add(store, TWO, tag="lost")
    orphan = store.blobs.put(b"a config whose record was never written")
    store.blobs.delete(lost.id)
    (store.root / "images" / ".tmp-crashed").write_bytes(b"half")
    again = reopen()
    assert [image.id for image in again.list()] == [kept.id]
    with pytest.raises(NotFound):
        again.get("lost")
    assert again.collect() == 30
    assert not again.blobs.exists(orphan)
    assert layer_ids(again) == {digest(ONE)}
    assert reopen().get("kept") == kept


def test_an_image_without_a_layer_is_dropped(store: ImageStore, reopen: Opener) -> None:
    image = add(store, ONE, tag="app")
    os.unlink(store.layers.get(digest(ONE)).directory / "layer.json")
    assert reopen().list() == []
    assert not (store.root / "images" / f"{hex_of(image.id)}.json").exists()


def test_a_full_disk_leaves_names_as_they_were(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lading.image import names

    image = add(store, ONE, tag="app")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(names, "write_atomically", full)
    with pytest.raises(LadingError, match="no space left on device"):
        store.tag(image.id, parse("other"))
    with pytest.raises(LadingError):
        store.remove("app", users=nobody)
    monkeypatch.undo()
    assert store.get("app").id == image.id
    with pytest.raises(NotFound):
        store.get("other")


def test_times() -> None:
    assert seconds("") == seconds("yesterday") == 0
    assert seconds("1970-01-01T00:00:10.5Z") == 10.5
    assert seconds(now()) > seconds("2024-01-01T00:00:00.123456789+02:00") > 0


def test_imported_images_are_images(store: ImageStore) -> None:
    image = imported(store, "app", file=b"1")
    assert (image.tags, image.comment, image.os) == (("app:latest",), "Imported from -", "linux")
    assert digest_of(store.blobs.read(image.id)) == image.id
