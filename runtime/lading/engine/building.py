"""What the engine does for the builder: containers for RUN, layers of what they wrote."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
from dataclasses import dataclass

from lading.build.contracts import BuildFailed, BuildOptions, Command, Report
from lading.build.executor import Executor
from lading.engine.containers import Containers
from lading.engine.create import check_platform
from lading.engine.images import Images
from lading.engine.model import AttachOptions, ContainerConfig, HostConfig
from lading.engine.model.config import Healthcheck
from lading.image import reference
from lading.image.store import Image
from lading.kernel.errors import KernelError
from lading.kernel.paths import Resolve, openat2
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

    async def build(self, dockerfile: str, options: BuildOptions, report: Report) -> Image:
        """Build a Dockerfile's text; see `lading.build.executor.Executor.build`."""
        return await Executor(self.images.store, self, options, report).build(dockerfile)

    def find_image(self, ref: str, platform: str) -> Image:
        """Find the image of a FROM; raises NotFound."""
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

    def make_directory(self, image: Image | None, path: str, lease: Lease) -> DiffId | None:
        """Give the layer that a directory makes, None when the image has it."""
        rw = self.layers.create_rw(secrets.token_hex(32), image.diff_ids if image else ())
        try:
            with self.layers.view(rw, writable=True) as root:
                _make_directories(root, path)
            return self._layer(rw, lease)
        finally:
            self.layers.remove_rw(rw.container_id)

    def _layer(self, rw: RwLayer, lease: Lease) -> DiffId | None:
        """Store what a read-write layer holds as a layer; None when it holds nothing."""
        if not any(rw.upper.iterdir()):
            return None
        source = ChunkReader(self.layers.diff_tar(rw))
        return self.layers.unpack_stream(source, lease=lease).layer.diff_id


def _pass_on(buffer: bytearray, report: Report) -> None:
    """Report the whole frames at the beginning of `buffer` and take them out of it."""
    while len(buffer) >= _HEAD:
        end = _HEAD + int.from_bytes(buffer[4:_HEAD], "big")
        if len(buffer) < end:
            return
        text = buffer[_HEAD:end].decode(errors="replace")
        report({"stream": f"{_RED}{text}{_PLAIN}" if buffer[0] == _STDERR else text})
        del buffer[:end]


def _make_directories(root: int, path: str) -> None:
    """Make `path` and what is missing above it; links are followed within `root`."""
    parent = os.dup(root)
    try:
        walked = ""
        for name in filter(None, path.split("/")):
            walked += f"/{name}"
            try:
                child = openat2(root, walked, os.O_RDONLY | os.O_DIRECTORY, resolve=Resolve.IN_ROOT)
            except KernelError as error:
                if error.errno != errno.ENOENT:
                    raise
                os.mkdir(name, 0o755, dir_fd=parent)
                child = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
            os.close(parent)
            parent = child
    finally:
        os.close(parent)
