"""The containers' read-write layers: made, mounted, measured, compared, packed, removed."""

from __future__ import annotations

import base64
import contextlib
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lading.errors import Conflict, InvalidParameter, LadingError, NotFound
from lading.files import explaining, temporary_name
from lading.storage import initlayer, trees
from lading.storage.archive.pack import pack_layer, pack_tree
from lading.storage.changes import Change, changes
from lading.storage.digests import DiffId
from lading.storage.views import Bind, overlay_view

_OPTIONS_MAX = 4000
"""Bytes of mount options that fit a page with what the mount step adds."""

_FEATURES_OFF = "index=off,redirect_dir=off,metacopy=off"
"""These put into a layer what a tar cannot tell; some kernels have them on by default."""


@dataclass(frozen=True, slots=True)
class RwLayer:
    """A container's read-write layer; `chain` lists the diff IDs under it, base first."""

    container_id: str
    chain: tuple[DiffId, ...]
    directory: Path

    @property
    def upper(self) -> Path:
        """The directory that holds what the container wrote."""
        return self.directory / "diff"


class RwLayers(ABC):
    """The part of the layer store that is about containers; `root` is ROOT/overlay2."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.RLock()
        self._chains: dict[str, tuple[DiffId, ...]] = {}
        self._init_keys: dict[tuple[DiffId, ...], str] = {}
        self.released: Callable[[Sequence[DiffId]], None] = lambda _chain: None
        """Called with the chain of a container that was removed: perhaps nobody else has it."""

    @abstractmethod
    def _layer_path(self, diff_id: DiffId) -> Path:
        """Return a read-only layer's content directory; NotFound when there is none."""

    @abstractmethod
    def layer_size(self, diff_id: DiffId) -> int:
        """Return a read-only layer's size."""

    def create_rw(self, container_id: str, chain: Sequence[DiffId]) -> RwLayer:
        """Make a container's read-write layer over `chain` (base first, empty for no image).

        Raises NotFound when a layer is missing, Conflict when the container has one already.
        """
        _check_id(container_id)
        layers = tuple(chain)
        with self._lock:
            if container_id in self._chains:
                raise Conflict(f"container {container_id} has a layer already")
            self.paths(layers)  # missing ones are told now; from here on they cannot go
            self._chains[container_id] = layers
        try:
            self._init_key(layers)
            return self._make(container_id, layers)
        except BaseException:
            self._chains.pop(container_id, None)
            raise

    def _make(self, container_id: str, layers: tuple[DiffId, ...]) -> RwLayer:
        temporary = self.root / temporary_name()
        with explaining("create a container's layer"):
            try:
                os.mkdir(temporary, 0o710)
                os.mkdir(temporary / "diff", 0o755)
                os.chmod(temporary / "diff", 0o755)
                os.mkdir(temporary / "work", 0o700)
                (temporary / "chain.json").write_bytes(msgspec.json.encode(layers))
                temporary.rename(self.root / container_id)
            except OSError:
                self._discard(temporary)
                raise
        return RwLayer(container_id, layers, self.root / container_id)

    def rw(self, container_id: str) -> RwLayer:
        """Return a container's read-write layer; NotFound when there is none."""
        _check_id(container_id)
        directory = self.root / container_id
        try:
            chain = msgspec.json.decode(
                (directory / "chain.json").read_bytes(), type=tuple[str, ...]
            )
        except FileNotFoundError:
            raise NotFound(f"container {container_id} has no layer") from None
        except msgspec.DecodeError as error:
            raise LadingError(
                f"the layer of container {container_id} is damaged: {error}"
            ) from None
        return RwLayer(container_id, chain, directory)

    def rw_layers(self) -> Iterator[RwLayer]:
        """Yield every container's read-write layer."""
        for name in os.listdir(self.root):
            if _is_id(name) and (self.root / name / "chain.json").exists():
                with contextlib.suppress(NotFound, LadingError):
                    yield self.rw(name)

    def rw_chains(self) -> list[tuple[DiffId, ...]]:
        """Return what the containers' layers stand on, from memory."""
        with self._lock:
            return list(self._chains.values())

    def remove_rw(self, container_id: str) -> None:
        """Remove a container's read-write layer whatever is in it; nothing happens without one."""
        _check_id(container_id)
        with explaining(f"remove the layer of container {container_id}"):
            doomed = self._retire(container_id)
            chain = self._chains.pop(container_id, ())
            if doomed is not None:
                self._discard(doomed)
        if chain:
            self.released(chain)

    def mount_options(self, rw: RwLayer) -> list[str]:
        """Return the options of the overlay mount at "/" (type `overlay`, source `overlay`).

        Paths in them are relative to the directory that `x-lading.chdir=` names.
        """
        return [*self._options(rw).split(","), f"x-lading.chdir={self.root}"]

    def image_mount_options(self, rw: RwLayer) -> list[str]:
        """Return the options of a read-only overlay of what is below `rw`, and of that alone.

        They are relative to the directory that `x-lading.chdir=` names, as in `mount_options`.
        """
        return [*self.image_overlay(rw).split(","), "ro", f"x-lading.chdir={self.root}"]

    def image_overlay(self, rw: RwLayer) -> str:
        """Return the options of that overlay as mount(2) takes them."""
        # overlayfs wants two directories when none of them can be written; an empty one is last.
        lower = [*_links(rw.chain), "view"]
        if not rw.chain:
            lower.append(f"{rw.container_id}/diff")
        return _checked("lowerdir=" + ":".join(lower), rw)

    def size(self, rw: RwLayer) -> int:
        """Return `SizeRw`: the bytes of the files that the container wrote."""
        with _opened(rw.upper) as root:
            return trees.size(root)

    def root_size(self, rw: RwLayer) -> int:
        """Return `SizeRootFs`: `size` and the sizes of the layers below."""
        return self.size(rw) + sum(self.layer_size(diff_id) for diff_id in rw.chain)

    def changes(self, rw: RwLayer) -> list[Change]:
        """Return what `docker diff` shows, sorted by path."""
        init = self.root / "init" / self._init_key(rw.chain) / "diff"
        with explaining(f"compare the layer of container {rw.container_id}"):
            return changes(rw.upper, [init, *self.paths(rw.chain)])

    def diff_tar(self, rw: RwLayer) -> Iterator[bytes]:
        """Yield the read-write layer as a layer tar (with `.wh.` files), in a fixed order."""
        with _opened(rw.upper) as root:
            yield from pack_layer(root)

    def export(self, rw: RwLayer) -> Iterator[bytes]:
        """Yield the container's whole merged file system as a tar, as `docker export` does.

        Volumes and the mounts of a running container are not in it.
        """
        with self.view(rw) as root:
            yield from pack_tree(root)

    def view(
        self, rw: RwLayer, *, writable: bool = False, binds: Sequence[Bind] = ()
    ) -> AbstractContextManager[int]:
        """Give a directory fd at the root of a container's merged file system.

        No mount appears in the host's mount namespace. `writable` (and `binds`, which imply it) are
        for stopped containers only; for a running one open `/proc/<pid>/root`.
        """
        if writable or binds:
            options = self._options(rw)
        else:
            options = "lowerdir=" + ":".join([f"{rw.container_id}/diff", *self._lower(rw.chain)])
        read_only = not writable and not binds
        return overlay_view(
            self.root, self.root / "view", options, read_only=read_only, binds=binds
        )

    def image_view(self, chain: Sequence[DiffId]) -> AbstractContextManager[int]:
        """Give a read-only directory fd at the root of an image's file system, and of it alone."""
        if not chain:
            return _opened(self.root / "view")
        self.paths(chain)  # missing ones are told by name
        # overlayfs wants two directories when none of them can be written: the empty one is last.
        lower = ":".join([*_links(chain), "view"])
        return overlay_view(self.root, self.root / "view", "lowerdir=" + lower, read_only=True)

    def paths(self, chain: Sequence[DiffId]) -> list[Path]:
        """Return the content directories of a chain, top first, each layer once.

        overlayfs refuses a directory that is given twice, and of two equal layers in a chain the
        upper one hides all of the lower one.
        """
        return [self._layer_path(diff_id) for diff_id in _top_first(chain)]

    def driver_data(self, chain: Sequence[DiffId], rw: RwLayer | None = None) -> dict[str, str]:
        """Return what `inspect` shows under GraphDriver.Data, for an image or a container."""
        lower = [str(path) for path in self.paths(chain)]
        if rw is not None:
            lower.insert(0, str(self.root / "init" / self._init_key(rw.chain) / "diff"))
            directory = rw.directory
        else:
            directory = Path(lower.pop(0)).parent if lower else self.root
        data = {"LowerDir": ":".join(lower)} if lower else {}
        for key, name in (("MergedDir", "merged"), ("UpperDir", "diff"), ("WorkDir", "work")):
            data[key] = str(directory / name)
        return data

    def _options(self, rw: RwLayer) -> str:
        name = rw.container_id
        lower = ":".join(self._lower(rw.chain))
        options = f"lowerdir={lower},upperdir={name}/diff,workdir={name}/work,{_FEATURES_OFF}"
        return _checked(options, rw)

    def _lower(self, chain: tuple[DiffId, ...]) -> list[str]:
        """Return the short links of what is below a container, top first."""
        init = "l/" + short_name(self._init_key(chain))
        return [init, *_links(chain)]

    def _init_key(self, chain: tuple[DiffId, ...]) -> str:
        """Return the key of the chain's init layer, which is made when it is new."""
        key = self._init_keys.get(chain)
        if key is None:
            with explaining("prepare a container's mount points"):
                layer = initlayer.plan(self.paths(chain))
                key = layer.key
                self._link(key, f"init/{key}")
                initlayer.build(layer, self.root / "init" / key)
            if len(self._init_keys) > 256:
                self._init_keys.clear()
            self._init_keys[chain] = key
        return key

    def _link(self, name: str, directory: str) -> None:
        """Make the short link of a directory; it may be there from an earlier life."""
        with contextlib.suppress(FileExistsError):
            os.symlink(f"../{directory}/diff", self.root / "l" / short_name(name))

    def _retire(self, name: str) -> Path | None:
        """Take a directory out of use at once, to be removed at leisure; None without one."""
        doomed = self.root / temporary_name()
        try:
            (self.root / name).rename(doomed)
        except FileNotFoundError:
            return None
        return doomed

    def _discard(self, path: Path) -> None:
        with _opened(path.parent) as parent:
            trees.remove(path.name, parent)


def _checked(options: str, rw: RwLayer) -> str:
    if len(options) > _OPTIONS_MAX:
        raise InvalidParameter(
            f"the image has {len(rw.chain)} layers, more than one overlay mount can take"
        )
    return options


def short_name(name: str) -> str:
    """Return the 26 characters that stand for a directory's name in mount options."""
    return base64.b32encode(bytes.fromhex(name)[:16]).decode().rstrip("=")


def _links(chain: Sequence[DiffId]) -> list[str]:
    return ["l/" + short_name(diff_id[7:]) for diff_id in _top_first(chain)]


def _top_first(chain: Sequence[DiffId]) -> list[DiffId]:
    return list(dict.fromkeys(reversed(chain)))


@contextlib.contextmanager
def _opened(path: Path) -> Generator[int, None, None]:
    descriptor = trees.open_root(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_id(text: str) -> bool:
    return len(text) == 64 and all(c in "0123456789abcdef" for c in text)


def _check_id(container_id: str) -> None:
    if not _is_id(container_id):
        raise InvalidParameter(f"invalid container ID {container_id!r}: expected 64 hex digits")
