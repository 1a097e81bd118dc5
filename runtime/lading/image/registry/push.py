"""`docker push`: layers that the registry lacks, the config, the manifest.

A layer goes up only when no blob known for it is in the repository and none can be mounted
from another repository of the same registry. It is compressed into a file first: then its
digest is known, and an upload that breaks goes on from where the registry says it is.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlencode

import msgspec

from lading.errors import LadingError, NotFound, Unavailable
from lading.files import explaining
from lading.image.model import DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_MANIFEST
from lading.image.reference import Reference
from lading.image.registry.client import ATTEMPTS, RegistryClient, connect
from lading.image.registry.failures import RegistryFailure, first
from lading.image.registry.manifests import Descriptor, Manifest
from lading.image.registry.progress import Report, Step, Throttle
from lading.image.registry.settings import Credentials, RegistrySettings
from lading.image.registry.sources import LayerSources, Source
from lading.image.store import Image, ImageStore
from lading.storage.digests import DiffId, Digest, digest_of

CONCURRENT_UPLOADS = 5
_CHUNK = 8 * 1024 * 1024
_COMPRESSION = 1
"""isal's level: near zlib's 6 in size, several times as fast."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """A tag that was pushed; `size` is the manifest's, in bytes."""

    tag: str
    digest: Digest
    size: int


class Pusher:
    """Pushes images out of `store`; layer sources and temporary files stand below `root`."""

    def __init__(self, store: ImageStore, root: Path, settings: RegistrySettings) -> None:
        self._store = store
        self._settings = settings
        self._temporary = root / "partial"
        self._temporary.mkdir(parents=True, exist_ok=True)
        self._sources = LayerSources(root / "distribution")

    async def push(
        self, reference: Reference, image: Image, credentials: Credentials, report: Report
    ) -> Pushed:
        """Push `image` as `reference`, which has a tag.

        Raises Unauthorized, Forbidden, Unavailable, LadingError when the registry refuses.
        """
        client = await connect(reference, credentials, self._settings, pull=False)
        async with client:
            layers = await self._layers(client, reference, image, report)
            config = self._store.blobs.read(image.id)
            await self._config(client, config)
            manifest = Manifest(
                config=Descriptor(media_type=DOCKER_CONFIG, size=len(config), digest=image.id),
                layers=layers,
            )
            data = msgspec.json.format(msgspec.json.encode(manifest), indent=3)
            digest = await client.put_manifest(reference.tag, data, DOCKER_MANIFEST)
        self._store.tag(image.id, Reference(reference.domain, reference.path, digest=digest))
        report(Step(f"{reference.tag}: digest: {digest} size: {len(data)}"))
        return Pushed(reference.tag, digest, len(data))

    async def _config(self, client: RegistryClient, config: bytes) -> None:
        digest = digest_of(config)
        if await client.blob_size(digest) is not None:
            return
        with explaining("send a config"), tempfile.TemporaryFile(dir=self._temporary) as file:
            file.write(config)
            await upload(client, file, digest, len(config), lambda _sent: None)

    async def _layers(
        self, client: RegistryClient, reference: Reference, image: Image, report: Report
    ) -> list[Descriptor]:
        distinct = list(dict.fromkeys(image.diff_ids))
        for diff_id in distinct:
            report(Step("Preparing", diff_id[7:19]))
        slots = asyncio.Semaphore(CONCURRENT_UPLOADS)

        async def one(diff_id: DiffId) -> Descriptor:
            async with slots:
                return await self._layer(client, reference, diff_id, report)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = {diff_id: group.create_task(one(diff_id)) for diff_id in distinct}
        except ExceptionGroup as errors:
            # Not except*: Python 3.11.2, Debian 12's, wraps what is raised in there once more.
            ours = errors.subgroup(LadingError)
            if ours is None:
                raise
            raise first(ours) from None
        return [tasks[diff_id].result() for diff_id in image.diff_ids]

    async def _layer(
        self, client: RegistryClient, reference: Reference, diff_id: DiffId, report: Report
    ) -> Descriptor:
        repository = f"{reference.domain}/{reference.path}"
        layer = diff_id[7:19]
        # The manifest says gzip of every layer, as Docker's does.
        known = [one for one in self._sources.of(diff_id) if one.media_type.endswith("gzip")]
        for source in known:
            there = await client.blob_size(source.digest)
            if there is not None:
                report(Step("Layer already exists", layer))
                return self._note(diff_id, repository, source.digest, there, source.media_type)
        for source in known:
            domain, _, path = source.repository.partition("/")
            if domain == reference.domain and await mount(client, source.digest, path):
                report(Step(f"Mounted from {path}", layer))
                return self._note(
                    diff_id, repository, source.digest, source.size, source.media_type
                )
        with explaining("pack a layer"), tempfile.TemporaryFile(dir=self._temporary) as file:
            chunks = self._store.layers.assemble(diff_id)
            digest, size = await asyncio.to_thread(compress, chunks, file)
            if await client.blob_size(digest) is None:
                progress = Throttle(report, "Pushing", layer, size)
                await upload(client, file, digest, size, progress)
                report(Step("Pushed", layer))
            else:
                report(Step("Layer already exists", layer))
        return self._note(diff_id, repository, digest, size, DOCKER_LAYER_GZIP)

    def _note(
        self, diff_id: DiffId, repository: str, digest: Digest, size: int, media_type: str
    ) -> Descriptor:
        self._sources.record(diff_id, Source(repository, digest, size, media_type))
        return Descriptor(media_type=DOCKER_LAYER_GZIP, size=size, digest=digest)


def compress(chunks: Iterator[bytes], target: IO[bytes]) -> tuple[Digest, int]:
    """Gzip a tar stream into `target`; give the digest and the size of what was written."""
    from isal import isal_zlib

    packer = isal_zlib.compressobj(_COMPRESSION, wbits=31)
    hasher = hashlib.sha256()

    def put(data: bytes) -> None:
        hasher.update(data)
        target.write(data)

    for chunk in chunks:
        put(packer.compress(chunk))
    put(packer.flush())
    target.flush()
    return f"sha256:{hasher.hexdigest()}", target.tell()


async def mount(client: RegistryClient, digest: Digest, from_path: str) -> bool:
    """Ask the registry to take a blob over from another of its repositories; whether it did."""
    query = urlencode({"mount": digest, "from": from_path})
    url = client.url("blobs/uploads/") + "?" + query
    try:
        async with client.request("POST", url, push=True) as response:
            if response.status == 201:
                return True
            location = response.headers.get("Location", "")
    except (NotFound, Unavailable):
        return False
    if location:
        # The registry opened an upload instead; it is not wanted.
        try:
            async with client.request("DELETE", client.absolute(location), push=True):
                pass
        except LadingError:
            pass
    return False


async def upload(
    client: RegistryClient,
    file: IO[bytes],
    digest: Digest,
    size: int,
    progress: Callable[[int], None],
) -> None:
    """Send `file` as the blob `digest`, in pieces; a broken one is sent again from where it broke.

    Raises Unavailable once `ATTEMPTS` tries in a row brought nothing.
    """
    async with client.request("POST", client.url("blobs/uploads/"), push=True) as response:
        location = client.absolute(response.headers.get("Location", ""))
    offset, fruitless = 0, 0
    while offset < size:
        file.seek(offset)
        piece = file.read(_CHUNK)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{offset}-{offset + len(piece) - 1}",
        }
        try:
            async with client.request(
                "PATCH", location, headers=headers, data=piece, push=True, attempts=1
            ) as response:
                location = client.absolute(response.headers.get("Location", location))
            offset, fruitless = offset + len(piece), 0
        except LadingError as error:
            fruitless += 1
            if fruitless >= ATTEMPTS or not _passes(error):
                raise
            offset = await _uploaded(client, location)
        progress(offset)
    separator = "&" if "?" in location else "?"
    closing = f"{location}{separator}{urlencode({'digest': digest})}"
    async with client.request("PUT", closing, data=b"", push=True):
        pass


def _passes(error: LadingError) -> bool:
    """Whether a piece may well arrive when it is sent again, from where the registry says."""
    if isinstance(error, RegistryFailure):
        return error.http_status >= 500 or error.http_status == 416
    return isinstance(error, Unavailable)


async def _uploaded(client: RegistryClient, location: str) -> int:
    """How many bytes of an upload the registry has (`Range: 0-<last>`)."""
    async with client.request("GET", location, push=True) as response:
        last = response.headers.get("Range", "").rpartition("-")[2]
        return int(last) + 1 if last.isdigit() and last != "0" else 0
