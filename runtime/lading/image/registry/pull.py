"""`docker pull`: manifest → config → layers, several at a time, unpacked while they come in.

An image appears in the store only when all of it is there: its layers are held by a lease
until then, and a pull that was cut off goes on from the partial files it left.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lading.errors import (
    Forbidden,
    InvalidParameter,
    LadingError,
    NotFound,
    Unauthorized,
    Unavailable,
)
from lading.image.model import CONFIG_MAX, RootFs
from lading.image.reference import Reference
from lading.image.registry.client import (
    ATTEMPTS,
    Interrupted,
    RawManifest,
    RegistryClient,
    connect,
)
from lading.image.registry.failures import first, manifest_unknown, pull_denied
from lading.image.registry.manifests import Descriptor, Index, Manifest, decode
from lading.image.registry.platforms import Platform, choose
from lading.image.registry.progress import Report, Step, Throttle
from lading.image.registry.settings import Credentials, Endpoint, RegistrySettings
from lading.image.registry.sources import LayerSources, Source
from lading.image.registry.spool import CutOff, Spool, drop, drop_old, is_full
from lading.image.store import Image, ImageStore, Lease
from lading.storage.digests import DiffId, Digest

CONCURRENT_DOWNLOADS = 3
_CHUNK = 256 * 1024


class _ImageConfig(msgspec.Struct):
    rootfs: RootFs


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer to get: what the registry calls it, and what it is once unpacked."""

    blob: Descriptor
    diff_id: DiffId

    @property
    def id(self) -> str:
        return self.blob.digest[7:19]


@dataclass(frozen=True, slots=True)
class Pulled:
    """A pull's outcome; `digest` is the one that the reference named, of an index or a manifest."""

    image: Image
    digest: Digest
    newer: bool

    @property
    def verdict(self) -> str:
        """The beginning of Docker's last line of a pull, before the reference."""
        return "Downloaded newer image for" if self.newer else "Image is up to date for"


class Puller:
    """Pulls images into `store`; partial files and layer sources stand below `root`."""

    def __init__(self, store: ImageStore, root: Path, settings: RegistrySettings) -> None:
        self._store = store
        self._settings = settings
        self._partial = root / "partial"
        self._partial.mkdir(parents=True, exist_ok=True)
        drop_old(self._partial)
        self._sources = LayerSources(root / "distribution")
        self._sources.prune(store.layers.exists)
        self._threads = ThreadPoolExecutor(CONCURRENT_DOWNLOADS, "lading-unpack")

    async def pull(
        self,
        reference: Reference,
        credentials: Credentials,
        report: Report,
        platform: Platform | None = None,
    ) -> Pulled:
        """Get the image that `reference` (with a tag or a digest) names, and tag it so.

        Raises NotFound, Unauthorized, Unavailable, and InvalidParameter for content that is not
        what its digest or manifest says.
        """
        client, raw = await self._reach(reference, credentials)
        async with client:
            report(Step(f"Pulling from {reference.path}", reference.digest or reference.tag))
            manifest = await self._for_platform(client, reference, raw, platform)
            config, layers = await self._config(client, manifest)
            # Of an image that is here already, Docker shows no layers either.
            here = self._stored(manifest.config.digest) is not None
            with self._store.lease() as lease:
                await self._layers(client, layers, lease, _silence if here else report)
                image = await asyncio.to_thread(self._store.create, config)
                newer = self._name(reference, raw.digest, image)
        repository = f"{reference.domain}/{reference.path}"
        for layer in layers:
            blob = layer.blob
            source = Source(repository, blob.digest, blob.size, blob.media_type)
            self._sources.record(layer.diff_id, source)
        report(Step(f"Digest: {raw.digest}"))
        return Pulled(self._store.get(image.id), raw.digest, newer)

    async def tags(self, reference: Reference, credentials: Credentials) -> list[str]:
        """The tags of a repository; raises NotFound in Docker's words when there are none."""
        async with await connect(reference, credentials, self._settings, pull=True) as client:
            try:
                found = await client.tags()
            except (NotFound, Forbidden, Unauthorized):
                raise pull_denied(reference.familiar_name) from None
        if not found:
            raise NotFound(f"the repository {reference.familiar_name} has no tags")
        return found

    async def _reach(
        self, reference: Reference, credentials: Credentials
    ) -> tuple[RegistryClient, RawManifest]:
        """The manifest, and the endpoint that has it: a mirror may lack what its origin has."""
        lacking: list[Endpoint] = []
        while True:
            client = await connect(
                reference, credentials, self._settings, pull=True, without=lacking
            )
            try:
                return client, await self._manifest(client, reference)
            except BaseException as error:
                await client.close()
                if not client.endpoint.mirror or not isinstance(error, LadingError):
                    raise
            lacking.append(client.endpoint)

    async def _manifest(self, client: RegistryClient, reference: Reference) -> RawManifest:
        try:
            return await client.manifest(reference.digest or reference.tag)
        except NotFound as error:
            if "name unknown" in error.message or "name invalid" in error.message:
                raise pull_denied(reference.familiar_name) from None
            raise manifest_unknown(reference.familiar) from None
        except (Forbidden, Unauthorized):
            raise pull_denied(reference.familiar_name) from None

    async def _for_platform(
        self,
        client: RegistryClient,
        reference: Reference,
        raw: RawManifest,
        platform: Platform | None,
    ) -> Manifest:
        parsed = decode(raw.data, raw.media_type)
        # An index may list indexes; a few levels are plenty, more is a trap.
        for _ in range(3):
            if isinstance(parsed, Manifest):
                return parsed
            entry = choose(parsed.manifests, platform, reference.familiar)
            inner = await client.manifest(entry.digest)
            parsed = decode(inner.data, inner.media_type)
        if isinstance(parsed, Index):
            raise InvalidParameter(f"{reference.familiar} is an index of indexes without an image")
        return parsed

    async def _config(
        self, client: RegistryClient, manifest: Manifest
    ) -> tuple[bytes, list[_Layer]]:
        wanted = manifest.config
        if wanted.size > CONFIG_MAX:
            raise InvalidParameter(f"the image's config is larger than {CONFIG_MAX} bytes")
        data = self._stored(wanted.digest)
        if data is None:
            data = await client.document(wanted.digest, CONFIG_MAX)
        try:
            diff_ids = msgspec.json.decode(data, type=_ImageConfig).rootfs.diff_ids
        except msgspec.MsgspecError as error:
            raise InvalidParameter(f"the image's config cannot be read: {error}") from None
        if len(diff_ids) != len(manifest.layers):
            raise InvalidParameter(
                f"the image's config lists {len(diff_ids)} layers, its manifest "
                f"{len(manifest.layers)}"
            )
        pairs = zip(manifest.layers, diff_ids, strict=True)
        return data, [_Layer(blob, diff_id) for blob, diff_id in pairs]

    def _stored(self, image_id: Digest) -> bytes | None:
        """Read the config of an image that is here; None when it is not."""
        try:
            self._store.file(image_id)
            return self._store.blobs.read(image_id)
        except NotFound:
            return None

    async def _layers(
        self, client: RegistryClient, layers: list[_Layer], lease: Lease, report: Report
    ) -> None:
        distinct = list({layer.diff_id: layer for layer in layers}.values())
        missing: list[_Layer] = []
        for layer in distinct:
            try:
                lease.hold(layer.diff_id)
                report(Step("Already exists", layer.id))
            except NotFound:
                missing.append(layer)
                report(Step("Pulling fs layer", layer.id))
        slots = asyncio.Semaphore(CONCURRENT_DOWNLOADS)

        async def one(layer: _Layer) -> None:
            async with slots:
                await self._layer(client, layer, lease, report)

        try:
            async with asyncio.TaskGroup() as group:
                for layer in missing:
                    group.create_task(one(layer))
        except ExceptionGroup as errors:
            # Not except*: Python 3.11.2, Debian 12's, wraps what is raised in there once more.
            ours = errors.subgroup(LadingError)
            if ours is None:
                raise
            error = first(ours)
            if is_full(error):
                for layer in missing:
                    drop(self._partial, layer.blob)
            raise error from error.__cause__

    async def _layer(
        self, client: RegistryClient, layer: _Layer, lease: Lease, report: Report
    ) -> None:
        """Download and unpack one layer, both at once."""
        loop = asyncio.get_running_loop()
        with Spool(self._partial, layer.blob) as spool:
            extracting = Throttle(report, "Extracting", layer.id, layer.blob.size)

            def extracted(consumed: int) -> None:
                loop.call_soon_threadsafe(extracting, consumed)

            def unpack() -> None:
                self._store.layers.unpack_stream(spool, layer.diff_id, extracted, lease=lease)

            unpacking = loop.run_in_executor(self._threads, unpack)
            fetching = asyncio.create_task(fetch(client, layer.blob, spool, report))
            # What cannot be unpacked is not worth the rest of its download.
            unpacking.add_done_callback(lambda done: done.exception() and fetching.cancel())
            try:
                await fetching
                report(Step("Download complete", layer.id))
                await asyncio.shield(unpacking)
            except BaseException as error:
                fetching.cancel()
                spool.fail(error)
                # The thread must have let go of the file before the spool closes it.
                await asyncio.wait([unpacking])
                cause = _cause(error, unpacking.exception())
                if cause is error:
                    raise
                raise cause from cause.__cause__
        report(Step("Pull complete", layer.id))

    def _name(self, reference: Reference, digest: Digest, image: Image) -> bool:
        """Point the tag and the digest at the image; whether the tag pointed elsewhere before."""
        bare = Reference(reference.domain, reference.path)
        self._store.tag(image.id, Reference(bare.domain, bare.path, digest=digest))
        if reference.digest:
            return True
        return self._store.tag(image.id, reference) != image.id


async def fetch(client: RegistryClient, blob: Descriptor, spool: Spool, report: Report) -> None:
    """Bring the rest of `blob` into the spool, going on where a broken connection ended.

    Raises Unavailable once `ATTEMPTS` connections in a row brought nothing.
    """
    progress = Throttle(report, "Downloading", blob.digest[7:19], blob.size)
    fruitless = 0
    while not spool.complete:
        before = spool.offset
        try:
            async with client.blob(blob.digest, before) as response:
                skip = before if response.status == 200 else 0
                async for chunk in response.content.iter_chunked(_CHUNK):
                    kept = chunk[skip:] if skip else chunk
                    skip = max(skip - len(chunk), 0)
                    if kept:
                        spool.write(kept)
                        progress(spool.offset)
        except Interrupted as error:
            reason = error.message
        else:
            reason = "the blob ended early"
        fruitless = 0 if spool.offset > before else fruitless + 1
        if not spool.complete and fruitless >= ATTEMPTS:
            raise Unavailable(
                f"the registry sent {spool.offset} of {blob.size} bytes of {blob.digest}: {reason}"
            )


def _silence(step: Step) -> None:
    del step


def _cause(transfer: BaseException, unpacking: BaseException | None) -> BaseException:
    """Which of two failures came first: the unpacking's own, unless it only saw the cut."""
    if unpacking is None or isinstance(unpacking, CutOff):
        return transfer
    return unpacking
