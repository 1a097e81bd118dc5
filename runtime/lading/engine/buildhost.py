"""What the engine does for one build: containers for RUN, layers of what they wrote, images."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading.build.caches import Caches
from lading.build.contracts import BuildFailed, Command, Report
from lading.build.destination import View
from lading.build.mounting import HostMount
from lading.engine.containers import Containers
from lading.engine.images import Images
from lading.engine.model import AttachOptions, ContainerConfig, HostConfig, Mount, TmpfsOptions
from lading.engine.model.config import Healthcheck
from lading.engine.mountstubs import remove_stubs
from lading.engine.transfers import Transfers
from lading.errors import InvalidParameter, LadingError, NotFound
from lading.image import reference
from lading.image.store import Image
from lading.shim.streams import NUMBERS, Demultiplexer
from lading.storage import trees
from lading.storage.digests import DiffId
from lading.storage.layers import LayerStore, Lease
from lading.storage.rwlayers import RwLayer
from lading.storage.streams import ChunkReader
from lading.threads import in_thread

if TYPE_CHECKING:
    from lading.image.registry.progress import Step
    from lading.image.registry.settings import Credentials

_RED, _PLAIN = "\x1b[91m", "\x1b[0m"
"""Docker's classic builder shows what a command says on stderr in red."""


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """How the commands of one build run, and how images are found for it.

    `limits` is what every container of the build gets. With `remove`, the containers of steps that
    succeeded go; with `force_remove`, those of a build that fails go, too. `platform` is that of a
    FROM without one; `pull` gets images that are here already, as well. `login`
    gives that for a registry's host; `shown` makes a message of the build's stream of a step of a
    pull.
    """

    login: Callable[[str], Credentials]
    shown: Callable[[Step], dict[str, Any]]
    limits: HostConfig = field(default_factory=HostConfig)
    remove: bool = True
    force_remove: bool = False
    platform: str = ""
    pull: bool = False


@dataclass(kw_only=True, slots=True)
class BuildParts:
    """What every build in an engine uses: its services, and the builder's own directories."""

    containers: Containers
    images: Images
    layers: LayerStore
    transfers: Transfers
    caches: Caches
    files: Path
    memory: Path


@dataclass(kw_only=True, slots=True)
class BuildHost(BuildParts):
    """One build's `lading.build.contracts.Host`; `kept` are its containers that are still there."""

    settings: BuildSettings
    kept: list[str] = field(default_factory=list)

    async def find_image(self, ref: str, platform: str, report: Report) -> Image:
        """Find the image that FROM or a `from` names, pulled if it is not here.

        An image that is here is taken whatever its platform, as Docker does. Raises NotFound,
        Unauthorized, Unavailable, InvalidParameter.
        """
        if platform:
            _check_platform(platform)
        if not self.settings.pull:
            try:
                return self.images.get(ref)
            except NotFound:
                pass
        return await self._pull(ref, platform or self.settings.platform, report)

    async def _pull(self, ref: str, platform: str, report: Report) -> Image:
        named = reference.parse(ref).with_default_tag()
        login = self.settings.login(named.domain)
        pulled = await self.transfers.pull(
            named, login, lambda step: report(self.settings.shown(step)), platform
        )
        report({"status": f"Status: {pulled.verdict} {named.familiar}"})
        return self.images.get(named.familiar)

    async def tag(self, image: Image, name: str) -> str:
        """Name an image; gives the name in familiar form."""
        parsed = reference.parse(name).with_default_tag()
        await in_thread(self.images.store.tag, image.id, parsed)
        self.images.tagged(image, parsed)
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
        host = copy.deepcopy(self.settings.limits)
        host.network_mode = command.network
        host.mounts = [_mount(one) for one in command.mounts] or None
        made = await self.containers.create(None, config, host)
        self.kept.append(made.id)
        try:
            report({"stream": f" ---> Running in {made.id[:12]}\n"})
            layer = await self._result(made.id, command, lease, report)
        except LadingError:
            raise
        except BaseException:
            await self._remove(made.id)
            raise
        if self.settings.remove:
            await self.remove(made.id, report)
        return layer

    async def _result(
        self, container: str, command: Command, lease: Lease, report: Report
    ) -> DiffId | None:
        """Run a container that was made and give the layer of what it wrote."""
        code = await self._finish(container, report)
        if code:
            words = " ".join(command.argv)
            raise BuildFailed(f"The command '{words}' returned a non-zero code: {code}", code)
        targets = [one.target for one in command.mounts]
        return await in_thread(self._layer, self.layers.rw(container), targets, lease)

    async def remove_kept(self, report: Report) -> None:
        """Remove the containers that are still there."""
        for container in tuple(self.kept):
            await self.remove(container, report)

    async def remove(self, container: str, report: Report) -> None:
        """Remove a container and tell of it."""
        await self._remove(container)
        report({"stream": f" ---> Removed intermediate container {container[:12]}\n"})

    async def _remove(self, container: str) -> None:
        self.kept.remove(container)
        await self.containers.remove(container, force=True, volumes=True)

    async def _finish(self, container: str, report: Report) -> int:
        """Start a container, pass on what it says, and give its exit code."""
        session = await self.containers.attach(
            container, AttachOptions(stream=True, stdout=True, stderr=True)
        )
        try:
            ended = self.containers.wait(container, "next-exit")
            await self.containers.start(container)
            frames = Demultiplexer()
            while data := await session.read():
                for stream, said in frames.feed(data):
                    text = said.decode(errors="replace")
                    is_error = stream == NUMBERS["stderr"]
                    report({"stream": f"{_RED}{text}{_PLAIN}" if is_error else text})
            return (await ended).status_code
        finally:
            session.close()

    def view(self, image: Image) -> AbstractContextManager[int]:
        """Give a read-only directory descriptor at the root of an image's file system."""
        return self.layers.image_view(image.diff_ids)

    def store(self, layer: Iterator[bytes], lease: Lease) -> DiffId:
        """Store a layer that comes as an archive in pieces, held by the lease."""
        return self.layers.unpack_stream(ChunkReader(layer), lease=lease).layer.diff_id

    def _layer(self, rw: RwLayer, mounts: list[str], lease: Lease) -> DiffId | None:
        """Store what a read-write layer holds as a layer; None when it holds nothing."""
        if mounts:
            self._remove_stubs(rw, mounts)
        if not any(rw.upper.iterdir()):
            return None
        return self.store(self.layers.diff_tar(rw), lease)

    def _remove_stubs(self, rw: RwLayer, mounts: list[str]) -> None:
        upper = trees.open_root(rw.upper)
        try:
            with self.layers.view(rw) as merged, self.layers.image_view(rw.chain) as below:
                remove_stubs(upper, View(merged), View(below), mounts)
        finally:
            os.close(upper)


def _check_platform(text: str) -> None:
    """Check the platform that a FROM names; raises InvalidParameter in Docker's words."""
    from lading.image.registry.platforms import Platform

    try:
        Platform.parse(text)
    except InvalidParameter as error:
        raise InvalidParameter(f"failed to parse platform {text}: {error.message}") from None


def _mount(wanted: HostMount) -> Mount:
    if wanted.source:
        return Mount("bind", wanted.source, wanted.target, wanted.read_only)
    return Mount("tmpfs", target=wanted.target, tmpfs_options=TmpfsOptions(wanted.size))
