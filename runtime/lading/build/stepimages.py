"""The image that each step leaves: found again, which is the cache, or made.

An image is what a step left before when its parent is the same and its `ContainerConfig`, which
has the step's words in `Cmd`, equals what would be made now. With `cache_from` only the steps of
these images count; what their history tells of does, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from lading import __version__
from lading.build.cachefrom import CacheSources
from lading.build.configure import DEFAULT_SHELL, Configurator
from lading.build.words import expand_word
from lading.image.model import Config, History, ImageFile, RootFs, architecture, encode_image
from lading.image.store import Image, ImageStore, now
from lading.storage.digests import DiffId, Digest


@dataclass(slots=True)
class State:
    """A stage on its way: the image so far (None on scratch), and the arguments it declared."""

    image: Image | None
    configurator: Configurator
    escape: str
    args: dict[str, str] = field(default_factory=dict)

    @property
    def parent(self) -> Digest:
        """The ID of the image so far, "" for none."""
        return self.image.id if self.image else ""

    @property
    def config(self) -> Config:
        """The configuration so far."""
        return self.configurator.config

    @property
    def workdir(self) -> str:
        """Where relative paths begin."""
        return self.config.working_dir or "/"

    def scope(self) -> dict[str, str]:
        """All variables: ENV goes before ARG."""
        return self.args | self.configurator.variables()

    def expand(self, text: str, line: int) -> str:
        """Replace the variables in a word; raises DockerfileError."""
        return expand_word(text, self.scope(), self.escape, line)

    def shell(self) -> list[str]:
        """What runs the shell form of commands."""
        return list(self.config.shell or DEFAULT_SHELL)


@dataclass(frozen=True, slots=True)
class Words:
    """What stands for a step: `shown` in the history, and with `hidden` in the cache.

    `hidden` is what the outcome depends on beside what Docker's history has a place for. A step
    that `runs` does without the image's ENTRYPOINT.
    """

    shown: list[str]
    hidden: str = ""
    runs: bool = False

    @property
    def key(self) -> list[str]:
        """What `ContainerConfig.Cmd` holds."""
        return [*self.shown, self.hidden] if self.hidden else list(self.shown)

    @property
    def created_by(self) -> str:
        """What the history has."""
        return " ".join(self.shown)


class StepImages:
    """The images of one build's steps, in an image store; its methods block."""

    def __init__(
        self, images: ImageStore, *, cached: bool, cache_from: Iterable[str] | None = None
    ) -> None:
        self._images = images
        self.cached = cached
        self._sources = None if cache_from is None else CacheSources(images, cache_from)

    def find(self, state: State, words: Words) -> Image | None:
        """Find the image that the same step left on the same parent; the latest, if several."""
        if not self.cached:
            return None
        config, wanted = _config(state), _probe(state, words)
        for image_id in reversed(self._images.children(state.parent)):
            file = self._images.file(image_id)
            if not _same(file.container_config, wanted) or not _same(file.config, config):
                continue
            if self._sources is None or self._sources.have(image_id):
                return self._images.get(image_id)
        if self._sources is None or words.hidden:
            return None
        return self._sources.find(state.parent, words.created_by, config, wanted)

    def make(self, state: State, words: Words, layer: DiffId | None, *, writes: bool) -> Image:
        """Make the step's image; a step that could write (`writes`) may have no layer either."""
        below = self._images.file(state.parent) if state.image else ImageFile()
        created = now()
        author = state.configurator.author
        history = History(
            created=created,
            created_by=words.created_by,
            author=author,
            empty_layer=not writes or layer is None,
        )
        file = ImageFile(
            architecture=below.architecture or architecture(),
            variant=below.variant,
            os=below.os or "linux",
            author=author,
            config=_config(state),
            container_config=_probe(state, words),
            created=created,
            docker_version=__version__,
            history=[*(below.history or ()), history],
            rootfs=RootFs(diff_ids=[*below.diff_ids, *([layer] if layer else [])]),
        )
        return self._images.create(encode_image(file), parent=state.parent)


def _config(state: State) -> Config:
    config = Configurator(state.config).config
    config.image = state.parent
    return config


def _probe(state: State, words: Words) -> Config:
    probe = _config(state)
    probe.cmd = words.key
    if words.runs:
        probe.entrypoint = None
    return probe


def _same(one: Config | None, other: Config) -> bool:
    """Compare configurations but for the image that each began with.

    An image that was loaded and found its parent again (`--cache-from`) names another one.
    """
    return one is not None and replace(one, image=other.image) == other
