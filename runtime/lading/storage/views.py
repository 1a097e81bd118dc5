"""A stopped container's file system as the container would see it, without a mount on the host.

A short-lived thread takes a mount namespace of its own, mounts there and opens the root. What keeps
the mounts alive afterwards are two descriptors, the root's and the namespace's; when they are
closed, the kernel takes the mounts down. Nothing ever shows in the host's mount table.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lading.errors import LadingError
from lading.kernel.mounts import (
    MountFlag,
    Propagation,
    bind,
    current_flags,
    mount,
    move_mount,
    remount_bind,
    set_propagation,
)
from lading.kernel.namespaces import CloneFlag, unshare
from lading.oci.overlays import overlay_tree
from lading.oci.rootfs import through
from lading.storage.trees import Tree

_OPEN_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Bind:
    """A mount to be seen in a view: `source` on the host, `destination` in the container.

    With `overlay` it is the `subpath` of a read-only overlay with those options instead, which are
    relative to the view's directory; `source` says nothing then.
    """

    source: str
    destination: str
    read_only: bool = False
    overlay: str = ""
    subpath: str = ""


@contextlib.contextmanager
def overlay_view(
    directory: Path, target: Path, options: str, *, read_only: bool, binds: Sequence[Bind] = ()
) -> Iterator[int]:
    """Mount an overlay with `options`, relative to `directory`, and give a descriptor of its root.

    `target` is any existing directory; it is covered in the private namespace only.
    """
    opened: list[int] = []
    failure: list[Exception] = []

    def work() -> None:
        try:
            _mount(directory, target, options, read_only, binds)
            opened.append(os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            opened.append(os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
        except Exception as error:  # noqa: BLE001 - it is raised in the caller's thread
            failure.append(error)

    thread = threading.Thread(target=work, name="lading-view")
    thread.start()
    thread.join()
    try:
        if failure:
            raise LadingError(
                f"cannot mount the container's file system: {failure[0]}"
            ) from failure[0]
        yield opened[0]
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _mount(
    directory: Path, target: Path, options: str, read_only: bool, binds: Sequence[Bind]
) -> None:
    unshare(CloneFlag.FS | CloneFlag.NEWNS)
    set_propagation("/", Propagation.RPRIVATE)
    os.chdir(directory)
    with contextlib.ExitStack() as opened:
        # The target may be a layer of these overlays, so they come before it is covered.
        trees = {
            one.destination: _kept(opened, overlay_tree(str(directory), one.overlay, one.subpath))
            for one in binds
            if one.overlay
        }
        mount("overlay", target, "overlay", MountFlag.RDONLY if read_only else 0, options)
        root = _kept(opened, os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for one in sorted(binds, key=lambda one: one.destination.count("/")):
            if one.overlay:
                _move(root, one, trees[one.destination])
            else:
                _bind(root, one)


def _kept(opened: contextlib.ExitStack, descriptor: int) -> int:
    opened.callback(os.close, descriptor)
    return descriptor


def _bind(root: int, one: Bind) -> None:
    """Bind one source into the view; its destination is made when it is missing.

    What an earlier bind put there is found, too: the walk crosses mounts.
    """
    path = _relative(one.destination)
    is_directory = stat.S_ISDIR(os.stat(one.source).st_mode)
    with _opened(root, path, is_directory) as place:
        bind(one.source, through(place), recursive=True)
    if one.read_only:
        # A descriptor from before the bind means what is under it; the path now leads to the bind.
        with _opened(root, path, is_directory) as place:
            remount_bind(through(place), current_flags(through(place)) | MountFlag.RDONLY)


def _move(root: int, one: Bind, tree: int) -> None:
    """Attach a detached mount."""
    is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
    with _opened(root, _relative(one.destination), is_directory) as place:
        move_mount(tree, place)


def _relative(destination: str) -> bytes:
    return os.fsencode(os.path.normpath("/" + destination)).strip(b"/")


@contextlib.contextmanager
def _opened(root: int, path: bytes, is_directory: bool) -> Iterator[int]:
    """Open a place in the view; no link can turn it into one outside of it."""
    front, _, name = path.rpartition(b"/")
    with Tree(root, clamp=True) as tree:
        if is_directory:
            descriptor = os.dup(tree.directory(path, create=True)[0])
        else:
            parent, _ = tree.directory(front, create=True)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o755, dir_fd=parent))
            descriptor = os.open(name, _OPEN_PATH, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
