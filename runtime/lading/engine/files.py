"""Files of containers, running or not: `docker cp`, `diff`, `export`, and their sizes."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from lading.engine.accounts import AccountBook
from lading.engine.imagemounts import layer_of
from lading.engine.images import in_batches
from lading.engine.model import Container, MountRecord
from lading.engine.store import ContainerStore
from lading.errors import InvalidParameter, NotFound
from lading.storage import copying
from lading.storage.changes import Change
from lading.storage.copying import PathStat
from lading.storage.layers import LayerStore
from lading.storage.streams import Readable
from lading.storage.views import Bind


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of a container's own layer, and of it with all image layers below."""

    rw: int
    root: int


@dataclass(slots=True)
class Files:
    """Reads and writes the file systems of containers, in threads."""

    layers: LayerStore
    store: ContainerStore
    accounts: AccountBook

    async def sizes(self, record: Container) -> Sizes:
        """Measure a container's file system."""
        rw = self.layers.rw(record.id)
        return await asyncio.to_thread(
            lambda: Sizes(self.layers.size(rw), self.layers.root_size(rw))
        )

    async def changes(self, record: Container) -> list[Change]:
        """Tell which paths differ from the image."""
        return await asyncio.to_thread(self.layers.changes, self.layers.rw(record.id))

    async def stat_path(self, record: Container, path: str) -> PathStat:
        """Describe a path; raises NotFound in Docker's words."""

        def work() -> PathStat:
            with self._root(record) as root, _naming(record, path):
                return copying.stat_path(root, path)

        return await asyncio.to_thread(work)

    async def get_archive(
        self, record: Container, path: str
    ) -> tuple[PathStat, AsyncIterator[bytes]]:
        """Give a tar of a path; the file system is let go when the tar ends or is closed."""
        _check_path(path)

        def open_archive() -> tuple[PathStat, Iterator[bytes]]:
            with contextlib.ExitStack() as opened:
                root = opened.enter_context(self._root(record))
                with _naming(record, path):
                    stat, chunks = copying.read_archive(root, path)
                return stat, _closing(chunks, opened.pop_all())

        stat, chunks = await asyncio.to_thread(open_archive)
        return stat, in_batches(chunks)

    async def put_archive(
        self,
        record: Container,
        path: str,
        source: Readable,
        *,
        no_overwrite_dir_non_dir: bool,
        copy_uid_gid: bool,
    ) -> None:
        """Extract a tar into a directory.

        Raises InvalidParameter where the container may not write.
        """
        _check_path(path)
        self._check_writable(record, path)

        def work() -> None:
            with self._root(record, writable=True) as root, _naming(record, path):
                copying.write_archive(
                    root,
                    path,
                    source,
                    no_overwrite_dir_non_dir=no_overwrite_dir_non_dir,
                    owner=self._user(record) if copy_uid_gid else None,
                )

        await asyncio.to_thread(work)

    def export(self, record: Container) -> AsyncIterator[bytes]:
        """Give the whole file system, without volumes, as a tar."""
        return in_batches(self.layers.export(self.layers.rw(record.id)))

    def graph_driver(self, record: Container) -> dict[str, str]:
        """Give the overlay's directories, as inspect shows them."""
        rw = self.layers.rw(record.id)
        return {"ID": record.id, **self.layers.driver_data(rw.chain, rw)}

    def _user(self, record: Container) -> tuple[int, int] | None:
        """Give the ids of the container's user, None when its configuration names none."""
        if not record.config.user:
            return None
        pid = record.state.pid
        accounts = self.accounts.of_running(pid) if pid else self.accounts.of_stopped(record.id)
        identity = accounts.resolve(record.config.user)
        return identity.uid, identity.gid

    def _check_writable(self, record: Container, path: str) -> None:
        """Refuse to write to a read-only root or mount, which the container could not either."""
        target = os.path.normpath("/" + path.lstrip("/"))
        covering = [
            mount
            for mount in record.mounts
            if (target + "/").startswith(mount.point.destination.rstrip("/") + "/")
        ]
        if covering:
            deepest = max(covering, key=lambda mount: len(mount.point.destination))
            if not deepest.point.rw:
                raise InvalidParameter("mounted volume is marked read-only")
        elif record.host_config.readonly_rootfs:
            raise InvalidParameter("container rootfs is marked read-only")

    @contextlib.contextmanager
    def _root(self, record: Container, *, writable: bool = False) -> Iterator[int]:
        """Open a container's root as it sees it, or would see it, with its volumes."""
        pid = record.state.pid
        if pid:
            root = os.open(f"/proc/{pid}/root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                yield root
            finally:
                os.close(root)
            return
        binds = [
            self._bind(mount)
            for mount in record.mounts
            if mount.point.type == "image"
            or (mount.point.source and os.path.exists(mount.point.source))
        ]
        rw = self.layers.rw(record.id)
        with self.layers.view(rw, writable=writable, binds=binds) as root:
            yield root

    def _bind(self, mount: MountRecord) -> Bind:
        point = mount.point
        overlay = ""
        if point.type == "image":
            overlay = self.layers.image_overlay(self.layers.rw(layer_of(mount)))
        return Bind(
            point.source,
            point.destination,
            read_only=not point.rw,
            overlay=overlay,
            subpath=mount.detail.subpath,
        )


def _check_path(path: str) -> None:
    if not path:
        raise InvalidParameter("bad parameter: path cannot be empty")


@contextlib.contextmanager
def _naming(record: Container, path: str) -> Iterator[None]:
    """Say of which container it is that a path is missing in."""
    try:
        yield
    except NotFound:
        raise NotFound(f"Could not find the file {path} in container {record.id}") from None


def _closing(chunks: Iterator[bytes], opened: contextlib.ExitStack) -> Iterator[bytes]:
    """Give the chunks and then close what they were read from, also when the reader leaves."""
    with opened:
        yield from chunks
