"""`--cache-from`: images whose steps need not be done again, known by their history.

An image that was pulled or loaded has no images of its steps beside it. But its history lists what
the steps were and its layers what they wrote, so that the image a step left can be made anew: the
source's own beginning. A step is the same when all below it is (history and layers, whole) and its
words are. Source: the Docker command line's reference, "Specifying external cache sources".
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from lading import __version__
from lading.errors import InvalidParameter, NotFound
from lading.image.model import Config, ImageFile, RootFs, encode_image
from lading.image.store import Image, ImageStore
from lading.storage.digests import Digest


class CacheSources:
    """The images of `names` that are here; its methods block."""

    def __init__(self, images: ImageStore, names: Iterable[str]) -> None:
        self._images = images
        self._sources: list[Digest] = []
        for name in names:
            # One that is not here is no source, as a first build has none.
            with suppress(NotFound, InvalidParameter):
                self._sources.append(images.get(name).id)

    def have(self, image_id: Digest) -> bool:
        """Tell whether an image is a source, or one that a source was made from."""
        return any(image_id in self._line(source) for source in self._sources)

    def _line(self, image_id: Digest) -> list[Digest]:
        found = [image_id]
        with suppress(KeyError):  # one may be removed meanwhile
            while parent := self._images.parent(found[-1]):
                found.append(parent)
        return found

    def find(
        self, parent: Digest, created_by: str, config: Config, container_config: Config
    ) -> Image | None:
        """Find what the step `created_by` on `parent` ("" for scratch) left in a source.

        A source that ends with the step is given itself; of another one the image is made that the
        step must have left, with these configurations.
        """
        below = self._images.file(parent) if parent else ImageFile()
        for source in self._sources:
            try:
                file = self._images.file(source)
            except NotFound:
                continue
            if not _continues(file, below, created_by):
                continue
            if len(file.history or ()) == len(below.history or ()) + 1:
                self._images.set_parent(source, parent)
                return self._images.get(source)
            made = _beginning(file, below, config, container_config)
            return self._images.create(encode_image(made), parent=parent)
        return None


def _continues(file: ImageFile, below: ImageFile, created_by: str) -> bool:
    """Tell whether an image was made from `below` by the step `created_by` and maybe more."""
    steps, done = file.history or [], below.history or []
    layers = below.diff_ids
    return (
        len(steps) > len(done)
        and steps[: len(done)] == done
        and steps[len(done)].created_by == created_by
        and file.diff_ids[: len(layers)] == layers
        and sum(not step.empty_layer for step in steps) == len(file.diff_ids)
        and sum(not step.empty_layer for step in done) == len(layers)
    )


def _beginning(
    file: ImageFile, below: ImageFile, config: Config, container_config: Config
) -> ImageFile:
    """Make the image that a source was one step above `below`."""
    steps = (file.history or [])[: len(below.history or ()) + 1]
    layers = sum(not step.empty_layer for step in steps)
    return ImageFile(
        architecture=file.architecture,
        variant=file.variant,
        os=file.os,
        author=steps[-1].author,
        config=config,
        container_config=container_config,
        created=steps[-1].created,
        docker_version=file.docker_version or __version__,
        history=steps,
        rootfs=RootFs(diff_ids=list(file.diff_ids[:layers])),
    )
