"""`docker rmi`: what is untagged, what is deleted with it, and what is in the way.

The rules were found on Docker 28.5: a name is removed first; the image goes with its last name; a
container or a child image keeps it, the one in a way that `force` overrules, the other not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from lading.errors import Conflict
from lading.image.model import chain_ids
from lading.image.reference import Reference
from lading.storage.digests import Digest
from lading.storage.layers import Retired

if TYPE_CHECKING:
    from lading.image.store import ImageStore


@dataclass(frozen=True, slots=True)
class ImageUser:
    """A container that was made from an image."""

    container_id: str
    running: bool


ImageUsers: TypeAlias = Callable[[Digest], Sequence[ImageUser]]
"""Asks the engine which containers use an image."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One item of `DELETE /images/{name}`'s answer: exactly one of the two texts is not empty.

    `deleted` is an image's ID, or with `is_layer` the chain ID of a layer that went with it;
    an image's `freed` is how many bytes of layers went with it that nothing else has.
    """

    untagged: str = ""
    deleted: str = ""
    is_layer: bool = False
    freed: int = 0


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """Why an image cannot be deleted; `used` when a container is why, `hard` against `force`."""

    why: str
    hard: bool = False
    used: bool = False


class Deletion:
    """One `rmi`, with the store's lock held; `removals` and `retired` tell what was done."""

    def __init__(self, store: ImageStore, users: ImageUsers, *, force: bool, prune: bool) -> None:
        self.removals: list[Removal] = []
        self.retired: list[Retired] = []
        self._store = store
        self._users = users
        self._force = force
        self._prune = prune

    def run(self, ref: str) -> None:
        """Untag or delete what `ref` names; Conflict in Docker's words when that cannot be."""
        image_id, name = self._store.resolve(ref)
        if name is None:
            if self._is_within_one_repository(image_id):
                # All names are going, so their number is no obstacle; what else is, is found first.
                self._refuse(image_id, self._obstacle(image_id, force=self._force, names=False))
                self._untag(*self._store.names.of(image_id))
            self._delete(image_id, force=self._force, prune=self._prune, quiet=False)
            return
        self._check_last_name(ref, image_id)
        self._untag(name)
        if not name.digest:
            self._untag_digests_of(name, image_id)
        if not self._store.names.of(image_id):
            self._delete(image_id, force=self._force, prune=self._prune, quiet=True)

    def _check_last_name(self, ref: str, image_id: Digest) -> None:
        """Refuse to take the last name of an image that a container uses."""
        users = self._users(image_id)
        if self._force or not users or not self._is_within_one_repository(image_id):
            return
        raise Conflict(
            f'conflict: unable to remove repository reference "{ref}" (must force) - container'
            f" {_short(users[0].container_id)} is using its referenced image {_short(image_id)}"
        )

    def _untag(self, *names: Reference) -> None:
        if names:
            self._store.names.remove(*names)
            self.removals += [Removal(untagged=name.familiar) for name in names]

    def _untag_digests_of(self, name: Reference, image_id: Digest) -> None:
        """Remove the digests of a repository with its last tag: they came with it."""
        same = [other for other in self._store.names.of(image_id) if other.name == name.name]
        if all(other.digest for other in same):
            self._untag(*same)

    def _delete(self, image_id: Digest, *, force: bool, prune: bool, quiet: bool) -> None:
        obstacle = self._obstacle(image_id, force=force)
        if obstacle is not None:
            dangling = not self._store.names.of(image_id) and not self._store.children(image_id)
            if quiet and (obstacle.used or not dangling):
                return
            self._refuse(image_id, obstacle)
        parent = self._store.parent(image_id)
        self._untag(*self._store.names.of(image_id))
        self._free(image_id, self._store.forget(image_id).diff_ids)
        if prune and parent:
            self._delete(parent, force=False, prune=True, quiet=True)

    def _free(self, image_id: Digest, diff_ids: tuple[Digest, ...]) -> None:
        """Free the layers that nothing uses any more; report them from the top, as chain IDs."""
        retired = self._store.layers.retire_unused(diff_ids, self._store.used_layers())
        self.retired += retired
        freed = sum(one.layer.size for one in retired)
        self.removals.append(Removal(deleted=image_id, freed=freed))
        used = self._store.used_chains()
        self.removals += [
            Removal(deleted=chain_id, is_layer=True)
            for chain_id in reversed(chain_ids(diff_ids))
            if chain_id not in used
        ]

    def _obstacle(self, image_id: Digest, *, force: bool, names: bool = True) -> _Obstacle | None:
        """Find the first reason not to delete; `force` passes over the soft ones."""
        if self._store.children(image_id):
            return _Obstacle("image has dependent child images", hard=True)
        users = self._users(image_id)
        for user in users:
            if user.running:
                why = f"image is being used by running container {_short(user.container_id)}"
                return _Obstacle(why, hard=True, used=True)
        if force:
            return None
        if names and self._store.names.of(image_id):
            return _Obstacle("image is referenced in multiple repositories")
        if users:
            why = f"image is being used by stopped container {_short(users[0].container_id)}"
            return _Obstacle(why, used=True)
        return None

    def _refuse(self, image_id: Digest, obstacle: _Obstacle | None) -> None:
        if obstacle is None:
            return
        how = "cannot be forced" if obstacle.hard else "must be forced"
        raise Conflict(f"conflict: unable to delete {_short(image_id)} ({how}) - {obstacle.why}")

    def _is_within_one_repository(self, image_id: Digest) -> bool:
        """Tell whether the image has at most one tag, and all names are of one repository."""
        names = self._store.names.of(image_id)
        tags = [name for name in names if not name.digest]
        return bool(names) and len(tags) <= 1 and len({name.name for name in names}) == 1


def _short(identifier: str) -> str:
    return identifier.removeprefix("sha256:")[:12]
