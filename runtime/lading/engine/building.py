"""What the engine does for the builder: containers for RUN, layers of what they wrote."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from lading.build.caches import Caches
from lading.build.contracts import BuildFailed, BuildOptions, Command, Report
from lading.build.executor import Executor
from lading.engine.containers import Containers
from lading.engine.create import check_platform
from lading.engine.images import Images
from lading.engine.model import AttachOptions, ContainerConfig, HostConfig
from lading.engine.model.config import Healthcheck
from lading.engine.settings import Settings
from lading.files import explaining
from lading.image import reference
from lading.image.store import Image
from lading.storage import trees
from lading.storage.digests import DiffId, Digest
from lading.storage.layers import LayerStore, Lease
from lading.storage.rwlayers import RwLayer
from lading.storage.streams import ChunkReader

_HEAD = 8
_STDERR = 2
_RED, _PLAIN = "\x1b[91m", "\x1b[0m"
"""Docker's classic builder shows what a command says on stderr in red."""


@dataclass(slots=True)
class Building:
    """Builds images in this engine; it is the builder's `Host`."""

    containers: Containers
    images: Images
    layers: LayerStore
    caches: Caches
    files: Path
    memory: Path

    @classmethod
    def at(
        cls, settings: Settings, containers: Containers, images: Images, layers: LayerStore
    ) -> Building:
        """Give the builder its directories below the engine's."""
        root = settings.root / "buildcache"
        caches = Caches(root / "mounts")
        return cls(containers, images, layers, caches, root / "tmp", settings.run / "builds")

    def open(self) -> None:
        """Make the directories, and remove what a crash left of builds."""
        for place in (self.files, self.memory):
            with explaining(f"prepare {place} for builds"):
                place.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
                trees.remove_at(place)
                place.mkdir(mode=0o711)
        self.caches.sweep()

    async def build(self, dockerfile: str, options: BuildOptions, report: Report) -> Image:
        """Build a Dockerfile's text; see `lading.build.executor.Executor.build`."""
        return await Executor(self.images.store, self, options, report).build(dockerfile)

    async def find_image(self, ref: str, platform: str, report: Report) -> Image:  # noqa: ARG002 - none is pulled
        """Find the image that FROM or a `from` names; raises NotFound."""
        image = self.images.get(ref)
        if platform:
            check_platform(ref, image, platform)
        return image

    def tag(self, image: Digest, name: str) -> str:
        """Name an image; gives the name in familiar form."""
        parsed = reference.parse(name).with_default_tag()
        self.images.tag(image, parsed.familiar_name, parsed.tag)
        return parsed.familiar

    async def run(self, command: Command, lease: Lease, report: Report) -> DiffId | None:
        """Run a command in a container of its own; see `lading.build.contracts.Host.run`."""
        config = ContainerConfig(
            image=command.image,
            entrypoint=command.argv[:1],
            cmd=command.argv[1:],
            env=command.env,
            user=command.config.user,
            working_dir=command.config.working_dir,
            healthcheck=Healthcheck(test=["NONE"]),
        )
        host = HostConfig(network_mode=command.network)
        made = await self.containers.create(None, config, host)
        try:
            report({"stream": f" ---> Running in {made.id[:12]}\n"})
            code = await self._finish(made.id, report)
            if code:
                words = " ".join(command.argv)
                raise BuildFailed(f"The command '{words}' returned a non-zero code: {code}", code)
            rw = self.layers.rw(made.id)
            layer = await asyncio.to_thread(self._layer, rw, lease)
        finally:
            await self.containers.remove(made.id, force=True, volumes=True)
        report({"stream": f" ---> Removed intermediate container {made.id[:12]}\n"})
        return layer

    async def _finish(self, container: str, report: Report) -> int:
        """Start a container, pass on what it says, and give its exit code."""
        session = await self.containers.attach(
            container, AttachOptions(stream=True, stdout=True, stderr=True)
        )
        try:
            ended = self.containers.wait(container, "next-exit")
            await self.containers.start(container)
            buffer = bytearray()
            while data := await session.read():
                buffer += data
                _pass_on(buffer, report)
            return (await ended).status_code
        finally:
            session.close()

    def view(self, image: Image) -> AbstractContextManager[int]:
        """Give a read-only directory descriptor at the root of an image's file system."""
        return self.layers.image_view(image.diff_ids)

    def store(self, layer: Iterator[bytes], lease: Lease) -> DiffId:
        """Store a layer that comes as an archive in pieces, held by the lease."""
        return self.layers.unpack_stream(ChunkReader(layer), lease=lease).layer.diff_id

    def _layer(self, rw: RwLayer, lease: Lease) -> DiffId | None:
        """Store what a read-write layer holds as a layer; None when it holds nothing."""
        if not any(rw.upper.iterdir()):
            return None
        return self.store(self.layers.diff_tar(rw), lease)


def _pass_on(buffer: bytearray, report: Report) -> None:
    """Report the whole frames at the beginning of `buffer` and take them out of it."""
    while len(buffer) >= _HEAD:
        end = _HEAD + int.from_bytes(buffer[4:_HEAD], "big")
        if len(buffer) < end:
            return
        text = buffer[_HEAD:end].decode(errors="replace")
        report({"stream": f"{_RED}{text}{_PLAIN}" if buffer[0] == _STDERR else text})
        del buffer[:end]
