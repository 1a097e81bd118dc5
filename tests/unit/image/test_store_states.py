"""Images, names, containers and pulls in any order: each layer is there while something has it."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lading.errors import Conflict
from lading.image.reference import parse
from lading.image.store import ImageStore, ImageUser, Lease
from tests.unit.image.makers import config, digest, opened, tar

POOL = [tar({"file": b"%d" % number}) for number in range(4)]
DIGESTS = [digest(layer) for layer in POOL]
NAMES = ["a:1", "a:2", "b:1", "c/d:1"]
layers = st.lists(st.integers(0, len(POOL) - 1), min_size=1, max_size=3)


@dataclass(frozen=True)
class Container:
    """A container: what it was made from, and its chain."""

    id: str
    image: str
    chain: tuple[str, ...]


def has_images(machine: Images) -> bool:
    return bool(machine.known)


def has_containers(machine: Images) -> bool:
    return bool(machine.used)


class Images(RuleBasedStateMachine):
    """A store beside what a user knows of it."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="lading-test-states-", dir="/dev/shm"))
        self.leases = contextlib.ExitStack()
        self.held: dict[Lease, set[str]] = {}
        self.known: dict[str, tuple[str, ...]] = {}
        self.parents: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.used: dict[Container, bool] = {}
        self.made = 0
        self.store = self.begun()

    def begun(self) -> ImageStore:
        """Open the store as a daemon does that starts."""
        store = opened(self.root)
        store.collect()
        return store

    def teardown(self) -> None:
        """Remove all."""
        self.leases.close()
        shutil.rmtree(self.root)

    def users(self, image_id: str) -> Sequence[ImageUser]:
        """Tell which containers use an image."""
        return [
            ImageUser(container.id, running)
            for container, running in self.used.items()
            if container.image == image_id
        ]

    def some_image(self, data: st.DataObject) -> str:
        """Choose an image that is there."""
        return data.draw(st.sampled_from(sorted(self.known)))

    def some_container(self, data: st.DataObject) -> Container:
        """Choose a container that is there."""
        return data.draw(st.sampled_from(sorted(self.used, key=lambda one: one.id)))

    @initialize()
    def begin(self) -> None:
        """Begin with two images that share a layer, and a container of one."""
        for chosen in ([0, 1], [0, 2]):
            self.create(chosen, "begin", "")
        self.add(next(iter(self.known)), running=False)

    @rule(chosen=layers, author=st.sampled_from("xy"))
    def make(self, chosen: list[int], author: str) -> None:
        """Load an image."""
        self.create(chosen, author, "")

    @precondition(has_images)
    @rule(data=st.data(), more=layers)
    def derive(self, data: st.DataObject, more: list[int]) -> None:
        """Make an image from another, as commit does."""
        base = self.some_image(data)
        chain = [DIGESTS.index(diff_id) for diff_id in self.known[base]]
        self.create([*chain, *more][:6], base, base)

    def create(self, chosen: list[int], author: str, parent: str) -> None:
        """Put an image of these layers into the store."""
        with self.store.lease() as lease:
            for number in chosen:
                self.store.layers.unpack_stream(io.BytesIO(POOL[number]), lease=lease)
            text = config([POOL[number] for number in chosen], author=author)
            image = self.store.create(text, parent=parent)
        self.parents.setdefault(image.id, parent)
        self.known[image.id] = tuple(DIGESTS[number] for number in chosen)

    @precondition(has_images)
    @rule(data=st.data(), name=st.sampled_from(NAMES))
    def tag(self, data: st.DataObject, name: str) -> None:
        """Name an image; the name may be another's until now."""
        image = self.some_image(data)
        self.store.tag(image, parse(name))
        self.names[name] = image

    @precondition(has_images)
    @rule(data=st.data(), running=st.booleans())
    def run(self, data: st.DataObject, running: bool) -> None:
        """Make a container of an image."""
        self.add(self.some_image(data), running=running)

    def add(self, image: str, *, running: bool) -> None:
        """Make a container."""
        self.made += 1
        container = Container(f"{self.made:064x}", image, self.known[image])
        self.store.layers.create_rw(container.id, container.chain)
        self.used[container] = running

    @precondition(has_containers)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        """Let a container end."""
        self.used[self.some_container(data)] = False

    @precondition(has_containers)
    @rule(data=st.data())
    def remove_container(self, data: st.DataObject) -> None:
        """Remove a container; the layers of an image that went by force go with it."""
        container = self.some_container(data)
        self.store.layers.remove_rw(container.id)
        del self.used[container]

    @rule(chosen=layers)
    def begin_pull(self, chosen: list[int]) -> None:
        """Unpack layers of an image that is still coming in."""
        lease = self.leases.enter_context(self.store.lease())
        for number in chosen:
            self.store.layers.unpack_stream(io.BytesIO(POOL[number]), lease=lease)
        self.held[lease] = {DIGESTS[number] for number in chosen}

    @rule()
    def give_pulls_up(self) -> None:
        """End all pulls that are going on."""
        self.leases.close()
        self.held.clear()

    @precondition(has_images)
    @rule(data=st.data(), force=st.booleans(), prune=st.booleans())
    def remove(self, data: st.DataObject, force: bool, prune: bool) -> None:
        """Remove an image by its ID."""
        image = self.some_image(data)
        self.delete(image, image, force=force, prune=prune)

    @precondition(lambda self: bool(self.names))
    @rule(data=st.data(), force=st.booleans(), prune=st.booleans())
    def remove_name(self, data: st.DataObject, force: bool, prune: bool) -> None:
        """Remove a name, and perhaps its image."""
        name = data.draw(st.sampled_from(sorted(self.names)))
        self.delete(name, self.names[name], force=force, prune=prune)

    def delete(self, ref: str, image: str, *, force: bool, prune: bool) -> None:
        """Remove, and learn what went; nothing may go that something is in the way of."""
        try:
            removals = self.store.remove(ref, force=force, prune=prune, users=self.users)
        except Conflict:
            return
        for removal in removals:
            if removal.untagged:
                assert self.names.pop(removal.untagged) == image
        gone = [one for one in removals if one.deleted and not one.is_layer]
        for removal in gone:
            self.forget(removal.deleted, image, force=force, prune=prune)
        assert sum(one.freed for one in gone) <= sum(len(layer) for layer in POOL)

    def forget(self, gone: str, image: str, *, force: bool, prune: bool) -> None:
        """Check that an image might go, and forget it."""
        assert gone not in self.names.values()
        assert not any(user.running for user in self.users(gone))
        assert not self.users(gone) or (force and gone == image)
        assert gone == image or (prune and gone in self.ancestors(image))
        del self.known[gone]
        children = [one for one in self.known if self.parents[one] == gone]
        assert not children

    def ancestors(self, image: str) -> list[str]:
        """The images that one was made from, the nearest first."""
        found = []
        while image := self.parents.get(image, ""):
            found.append(image)
        return found

    @rule()
    def restart(self) -> None:
        """Begin anew with what is on the disk."""
        self.give_pulls_up()
        self.store = self.begun()

    @invariant()
    def exactly_what_something_has_is_there(self) -> None:
        """Compare the store with what is known of it."""
        assert {image.id: image.diff_ids for image in self.store.list()} == self.known
        assert {blob.digest for blob in self.store.blobs.walk()} == set(self.known)
        names = {name: image.id for image in self.store.list() for name in image.tags}
        assert names == self.names
        needed = set().union(*self.known.values(), *self.held.values())
        needed.update(diff_id for container in self.used for diff_id in container.chain)
        found = {layer.diff_id: layer.directory for layer in self.store.layers.walk()}
        assert set(found) == needed
        for directory in found.values():
            assert (directory / "diff/file").exists()
        assert list(self.root.rglob(".tmp-*")) == []


TestImages = Images.TestCase
TestImages.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestImages.pytestmark = [pytest.mark.root]  # type: ignore[attr-defined]
