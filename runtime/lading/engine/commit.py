"""`docker commit`: a container's layer and configuration become an image."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from lading import __version__
from lading.build.configure import apply_changes
from lading.engine import times
from lading.engine.announce import announce
from lading.engine.control import Control
from lading.engine.events import EventBus, EventType
from lading.engine.imageconfig import merge
from lading.engine.model import Container, ContainerConfig
from lading.engine.registry import Entry
from lading.errors import LadingError
from lading.image import reference
from lading.image.model import (
    Config,
    History,
    ImageFile,
    RootFs,
    architecture,
    encode_image,
)
from lading.image.reference import Reference
from lading.image.store import Image, ImageStore
from lading.storage.layers import LayerStore
from lading.storage.streams import ChunkReader


@dataclass(frozen=True, slots=True)
class CommitOptions:
    """What a commit is asked for (API operation ImageCommit)."""

    repository: str = ""
    tag: str = ""
    comment: str = ""
    author: str = ""
    pause: bool = True
    changes: Sequence[str] = ()
    config: ContainerConfig | None = None


@dataclass(slots=True)
class Commits:
    """Makes images of containers."""

    images: ImageStore
    layers: LayerStore
    events: EventBus
    control: Control

    async def commit(self, entry: Entry, options: CommitOptions) -> Image:
        """Make an image of a container, which is frozen meanwhile if it runs.

        Raises InvalidParameter for a bad name or change instruction.
        """
        name = (
            reference.parse_tagged(options.repository, options.tag) if options.repository else None
        )
        record = entry.record
        config = apply_changes(_config(record, options.config), options.changes)
        freeze = options.pause and record.running and not record.state.paused
        if freeze:
            await self.control.pause(entry)
        try:
            image = await asyncio.to_thread(self._make, record, config, options)
        finally:
            if freeze:
                await self.control.unpause(entry)
        if name is not None:
            await self._name(image, name)
            self.events.publish(EventType.IMAGE, "tag", image.id, {"name": name.familiar})
        announce(
            self.events, record, "commit", comment=options.comment, imageID=image.id,
            imageRef=name.familiar if name else "",
        )  # fmt: skip
        return self.images.get(image.id)

    async def _name(self, image: Image, name: Reference) -> None:
        """Give a new image its name; without, nobody would miss it, and so it goes."""
        try:
            self.images.tag(image.id, name)
        except LadingError:
            await asyncio.to_thread(
                self.images.remove, image.id, prune=False, users=lambda _image: ()
            )
            raise

    def _make(self, record: Container, config: Config, options: CommitOptions) -> Image:
        """Store the layer and the image's config."""
        parent = self.images.file(record.image_id) if record.image_id else ImageFile()
        rw = self.layers.rw(record.id)
        with self.images.lease() as lease:
            changed = any(rw.upper.iterdir())
            diff_ids = list(parent.rootfs.diff_ids)
            if changed:
                source = ChunkReader(self.layers.diff_tar(rw))
                diff_ids.append(self.layers.unpack_stream(source, lease=lease).layer.diff_id)
            created = times.now()
            made_by = History(
                created=created,
                created_by=" ".join([record.path, *record.args]),
                author=options.author,
                comment=options.comment,
                empty_layer=not changed,
            )
            file = ImageFile(
                architecture=parent.architecture or architecture(),
                variant=parent.variant,
                os=parent.os or "linux",
                author=options.author,
                comment=options.comment,
                config=config,
                container=record.id,
                container_config=_plain(record.config),
                created=created,
                docker_version=__version__,
                history=[*(parent.history or ()), made_by],
                rootfs=RootFs(diff_ids=diff_ids),
            )
            return self.images.create(encode_image(file), parent=record.image_id)


def _config(record: Container, given: ContainerConfig | None) -> Config:
    """Give the image's configuration: what the request says, completed by the container's."""
    if given is None:
        return _plain(record.config)
    return _plain(merge(ContainerConfig.of(given), _plain(record.config)))


def _plain(config: ContainerConfig) -> Config:
    """Give a container's configuration as an image's."""
    return msgspec.convert(config, Config, from_attributes=True)
