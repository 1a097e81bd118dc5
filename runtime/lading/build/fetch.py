"""What a build takes from the network: files for ADD, and contexts, by HTTP or with git."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lading.build.context import (
    Context,
    index,
    is_archive,
    only_dockerfile,
    receive,
    take_dockerfile,
)
from lading.build.copying import Item
from lading.build.sources import StoredTree
from lading.errors import InvalidParameter, LadingError, Unavailable
from lading.files import temporary_name
from lading.kernel.paths import Resolve, openat2
from lading.storage.archive.pack import pack_tree
from lading.storage.streams import ChunkReader
from lading.threads import in_thread

if TYPE_CHECKING:
    import aiohttp

_CHUNK = 1 << 18
_GIT_PREFIXES = ("git://", "git@", "ssh://", "github.com/")
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "http:https:git:ssh"}


@dataclass(frozen=True, slots=True)
class GitAddress:
    """A repository, and what of it: `URL#ref:directory`."""

    repository: str
    ref: str = "HEAD"
    directory: str = ""

    @classmethod
    def parse(cls, url: str) -> GitAddress | None:
        """Read an address; None when it is not one of a git repository.

        Raises InvalidParameter for a part that git would take for an option.
        """
        repository, _, fragment = url.partition("#")
        by_http = repository.startswith(("http://", "https://")) and repository.endswith(".git")
        if not by_http and not repository.startswith(_GIT_PREFIXES):
            return None
        if repository.startswith("github.com/"):
            repository = f"https://{repository}"
        ref, _, directory = fragment.partition(":")
        if ref.startswith("-"):
            raise InvalidParameter(f"invalid git reference {ref!r}: it begins with a hyphen")
        return cls(repository, ref or "HEAD", directory)


async def fetch(url: str, directory: Path, *, checksum: str = "", keep_git: bool = False) -> Item:
    """Get what `ADD URL` names: a file of mode 0600, or a git repository's files.

    The contents are kept in `directory`, in a file without a name, until the item's source is
    closed. A file's time is that of Last-Modified, else 0. Raises LadingError in Docker's words.
    """
    try:
        address = GitAddress.parse(url)
        if address is not None:
            tree = await _cloned(address, directory, keep_git)
            return Item(tree, tree.root, b"")
        return await _download(url, directory, checksum)
    except LadingError as error:
        raise type(error)(f"ADD failed: {error.message}") from error


async def remote_context(
    url: str, directory: Path, dockerfile: str = "", secrets: Mapping[str, bytes] | None = None
) -> Context:
    """Get the context that the parameter `remote` names: an archive, a Dockerfile, a repository.

    Raises LadingError in Docker's words.
    """
    address = GitAddress.parse(url)
    if address is not None:
        tree = await _cloned(address, directory, keep_git=False)
        try:
            context = Context(tree, take_dockerfile(tree, dockerfile))
        except BaseException:
            tree.close()
            raise
    else:
        try:
            item = await _download(url, directory, "")
        except LadingError as error:
            message = f"error downloading remote context {url}: {error.message}"
            raise type(error)(message) from error
        context = await in_thread(_as_context, item, directory, dockerfile)
    context.secrets.update(secrets or {})
    return context


def _as_context(item: Item, directory: Path, dockerfile: str) -> Context:
    assert isinstance(item.source, StoredTree)
    with item.source as source:
        if is_archive(source, item.node):
            return receive(source.reader(item.node), directory, dockerfile)
        return only_dockerfile(source.read(item.node), directory)


async def _download(url: str, directory: Path, checksum: str) -> Item:
    from lading.image.download import opened

    name = os.fsencode(unquote(urlsplit(url).path).rpartition("/")[2])
    tree = StoredTree(directory)
    try:
        async with opened(url) as response:
            item = await _keep(tree, name, response)
    except BaseException:
        tree.close()
        raise
    found = f"sha256:{item.node.digest.hex()}"
    if checksum and checksum != found:
        tree.close()
        raise InvalidParameter(f"digest mismatch of {url}: expected {checksum}, got {found}")
    return item


async def _keep(tree: StoredTree, name: bytes, response: aiohttp.ClientResponse) -> Item:
    total, size = sha256(), 0
    async for piece in response.content.iter_chunked(_CHUNK):
        await in_thread(total.update, piece)
        await in_thread(tree.spool.append, piece)
        size += len(piece)
    mtime = 0
    with suppress(TypeError, ValueError):
        modified = parsedate_to_datetime(response.headers.get("Last-Modified", ""))
        mtime = int(modified.timestamp()) * 1_000_000_000
    await in_thread(tree.spool.flush)
    node = tree.name(name, size, total.digest(), mode=0o600, mtime=mtime)
    return Item(tree, node, name)


async def _cloned(address: GitAddress, directory: Path, keep_git: bool) -> StoredTree:
    """Check a repository out, take its files in, and remove it again."""
    place = directory / temporary_name()
    place.mkdir(mode=0o700)
    try:
        await _git(place, "init", "--quiet")
        await _git(place, "remote", "add", "origin", address.repository)
        shallow = ["--depth=1"]
        try:
            await _git(place, "fetch", "--quiet", *shallow, "origin", address.ref)
        except InvalidParameter as error:
            if "shallow" not in error.message:
                raise
            # Files behind a plain HTTP server are no repository that can count.
            shallow = []
            await _git(place, "fetch", "--quiet", "origin", address.ref)
        await _git(place, "checkout", "--quiet", "FETCH_HEAD")
        await _git(place, "submodule", "--quiet", "update", "--init", "--recursive", *shallow)
        return await in_thread(_take_in, place, address.directory, directory, keep_git)
    finally:
        await in_thread(shutil.rmtree, place, True)


async def _git(place: Path, *words: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            "git",
            "-C",
            place,
            *words,
            env={**os.environ, **_ENVIRONMENT},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        raise Unavailable(
            "git repositories need the program git on the daemon's PATH, which is not there"
        ) from None
    try:
        _, said = await process.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode:
        text = said.decode("utf-8", "replace").strip().replace("\n", "; ")
        raise InvalidParameter(f"git {words[0]} failed: {text}")


def _take_in(place: Path, below: str, directory: Path, keep_git: bool) -> StoredTree:
    root = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    tree = StoredTree(directory)
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY
        chosen = openat2(root, below or ".", flags, resolve=Resolve.IN_ROOT)
        try:
            index(ChunkReader(pack_tree(chosen)), tree)
        finally:
            os.close(chosen)
    except BaseException as error:
        tree.close()
        if isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise InvalidParameter(f"the repository has no directory {below}") from None
        raise
    finally:
        os.close(root)
    if not keep_git:
        tree.children(tree.root).pop(b".git", None)
    return tree
