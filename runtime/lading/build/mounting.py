"""Makes what `RUN --mount` asks for, as host paths that a container's mounts can name.

Everything but caches is below two directories that go away when the RUN is done: what is copied for
a bind on disk, and so writes to it are discarded; secrets and sockets in memory.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import msgspec

from lading.build.caches import Caches
from lading.build.destination import View
from lading.build.layertree import LayerTree, Placed, put
from lading.build.lookup import find, walk
from lading.build.runmounts import (
    BindMount,
    CacheMount,
    Mount,
    SecretMount,
    SshMount,
    TmpfsMount,
)
from lading.build.sources import Source, StoredTree
from lading.errors import InvalidParameter, LadingError, NotFound
from lading.storage import trees
from lading.storage.archive.extract import Extractor
from lading.storage.archive.reader import TarReader
from lading.threads import in_thread

SECRETS_HEADER = "X-Lading-Secrets"
"""Request header of POST /build: the token whose members of the archive are secrets."""

AGENTS_HEADER = "X-Lading-Ssh"
"""Request header of POST /build: SSH agents' sockets on this host by id, a JSON object."""

SourceOf: TypeAlias = Callable[[str], Source]
"""Gives the source that a `from` names, the context's for ""."""

_READ = 1 << 16


@dataclass(frozen=True, slots=True)
class HostMount:
    """A mount for the container: `source` on the host, or a tmpfs of `size` bytes without one."""

    target: str
    source: str = ""
    read_only: bool = False
    size: int = 0


@dataclass(slots=True)
class Mounted:
    """What a RUN's container gets: mounts, in order, and `NAME=value` variables."""

    mounts: list[HostMount] = field(default_factory=list)
    env: list[str] = field(default_factory=list)


def agents_of(header: str) -> dict[str, str]:
    """Read the request header that names SSH agents; raises InvalidParameter."""
    try:
        agents = msgspec.json.decode(header or "{}", type=dict[str, str])
    except msgspec.DecodeError:
        raise InvalidParameter(f"{AGENTS_HEADER} must be a JSON object of socket paths") from None
    for name, path in agents.items():
        if not path.startswith("/"):
            raise InvalidParameter(f"SSH agent {name}: {path!r} is no absolute path of a socket")
    return agents


@dataclass(frozen=True, slots=True)
class MountMaker:
    """What one build has for its mounts: caches, secrets and SSH agents by id, and sources."""

    caches: Caches
    source_of: SourceOf
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    agents: Mapping[str, str] = field(default_factory=dict)

    @asynccontextmanager
    async def mounted(
        self, mounts: Sequence[Mount], files: Path, memory: Path
    ) -> AsyncIterator[Mounted]:
        """Make the mounts of one RUN; both are new directories of its own, removed at the end.

        Raises NotFound for a bind's source, a required secret or agent that is not there.
        """
        made = Mounted()
        async with AsyncExitStack() as stack:
            for place in (files, memory):
                await in_thread(place.mkdir, 0o711)
                stack.push_async_callback(in_thread, trees.remove_at, place)
            wanted = [one for one in mounts if isinstance(one, CacheMount)]
            held = await stack.enter_async_context(self.caches.held(wanted, self._seed))
            for number, mount in enumerate(mounts):
                at = memory / str(number)
                if isinstance(mount, CacheMount):
                    made.mounts.append(_mount(mount.target, held[mount], not mount.writable))
                elif isinstance(mount, BindMount):
                    at = files / str(number)
                    await in_thread(self._copy, mount.from_, mount.source, at)
                    made.mounts.append(_mount(mount.target, at, not mount.writable))
                elif isinstance(mount, TmpfsMount):
                    made.mounts.append(HostMount(mount.target, size=mount.size))
                elif isinstance(mount, SecretMount):
                    await in_thread(self._secret, mount, at, made)
                else:
                    await self._agent(mount, at, made, stack)
            yield made

    def _seed(self, mount: CacheMount, place: Path) -> None:
        self._fill(mount.from_, mount.source, place)

    def _copy(self, from_: str, path: str, at: Path) -> None:
        source = self.source_of(from_)
        found = find(source, os.fsencode(path))
        if found is None:
            raise NotFound(f"RUN --mount: stat {path}: file does not exist")
        if found[1].is_directory:
            at.mkdir()
            self._fill(from_, path, at)
            return
        below = at.with_name(at.name + ".d")
        below.mkdir()
        materialize(source, path, below)
        (name,) = os.listdir(below)
        (below / name).rename(at)

    def _fill(self, from_: str, path: str, place: Path) -> None:
        materialize(self.source_of(from_), path, place)

    def _secret(self, mount: SecretMount, at: Path, made: Mounted) -> None:
        content = self.secrets.get(mount.id)
        if content is None:
            if mount.required:
                raise NotFound(f"secret {mount.id}: not found; give it by --secret id={mount.id},…")
            return
        if mount.env:
            made.env.append(f"{mount.env}={content.decode('utf-8', 'surrogateescape')}")
        if mount.target:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(at, flags, 0o600), "wb") as file:
                file.write(content)
                os.fchown(file.fileno(), mount.uid, mount.gid)
                os.fchmod(file.fileno(), mount.mode)
            made.mounts.append(_mount(mount.target, at, read_only=True))

    async def _agent(self, mount: SshMount, at: Path, made: Mounted, stack: AsyncExitStack) -> None:
        agent = self.agents.get(mount.id)
        if agent is None:
            if mount.required:
                raise NotFound(f"SSH agent {mount.id}: not found; give it by --ssh {mount.id}")
            return
        relay = _Relay(agent)
        server = await asyncio.start_unix_server(relay.serve, at)
        stack.push_async_callback(relay.close, server)
        os.chown(at, mount.uid, mount.gid)
        os.chmod(at, mount.mode)
        made.mounts.append(_mount(mount.target, at, read_only=False))
        if not any(one.startswith("SSH_AUTH_SOCK=") for one in made.env):
            made.env.append(f"SSH_AUTH_SOCK={mount.target}")


class _Relay:
    """Passes connections on to an agent's socket, so that the container's is owned as it asks."""

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._closed = False
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self._open.add(writer)
        try:
            with suppress(OSError):
                await self._relay(reader, writer)
        finally:
            writer.close()
            self._open.discard(writer)
            self._serving.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_unix_connection(self._agent)
        self._open.add(to_writer)
        try:
            if not self._closed:
                await asyncio.gather(_pass(reader, to_writer), _pass(to_reader, writer))
        finally:
            to_writer.close()
            self._open.discard(to_writer)

    async def close(self, server: asyncio.Server) -> None:
        """Take no more connections and end those that there are."""
        self._closed = True
        server.close()
        for writer in self._open:
            writer.transport.abort()
        await asyncio.gather(*self._serving, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_READ):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def materialize(source: Source, path: str, place: Path) -> None:
    """Make real files of what is at `path`: a directory's content, or one file, in `place`.

    What comes from a context is root's, as COPY makes it; elsewhere owners are kept. Raises
    NotFound when there is nothing.
    """
    found = find(source, os.fsencode(path))
    if found is None:
        raise NotFound(f"RUN --mount: stat {path}: file does not exist")
    real, node = found
    tree = LayerTree(View(None))
    above = {b"": tree.root}
    listed = walk(source, node, None)
    for inner, one in listed if node.is_directory else [(real.rpartition(b"/")[2], node)]:
        front, _, name = inner.rpartition(b"/")
        owner = (0, 0) if isinstance(source, StoredTree) else (one.uid, one.gid)
        made = Placed(one.mode, *owner, one.mtime, None, one, source, 0, one.xattrs)
        placed = put(above[front], name, made)
        if stat.S_ISDIR(one.mode):
            above[inner] = placed
    pieces = tree.tar()
    root = trees.open_root(place)
    try:
        with Extractor(root) as extractor:
            extractor.extract(TarReader(lambda: next(pieces, b"")))
    except LadingError as error:
        raise LadingError(f"cannot make the files of a mount: {error.message}") from error
    finally:
        os.close(root)


def _mount(target: str, source: Path, read_only: bool) -> HostMount:
    return HostMount(target, str(source), read_only)
