"""`docker import`: the tar of a root file system becomes an image of one layer."""

from __future__ import annotations

from lading import __version__
from lading.errors import InvalidParameter
from lading.image.model import Config, History, ImageFile, RootFs, architecture, encode_image
from lading.image.reference import parse_tagged
from lading.image.registry.platforms import Platform
from lading.image.store import Image, ImageStore, now
from lading.storage.streams import Progress, Readable


def import_(
    store: ImageStore,
    source: Readable,
    *,
    repository: str = "",
    tag: str = "",
    message: str = "",
    config: Config | None = None,
    platform: str = "",
    origin: str = "-",
    progress: Progress | None = None,
) -> Image:
    """Make a one-layer image of a root file system tar, compressed or not.

    `config` is what `--change` made of an empty one, `origin` where the tar is from. Raises
    InvalidParameter for a bad name, platform or archive; nothing stays then.
    """
    name = parse_tagged(repository, tag) if repository else None
    made_for = _platform(platform)
    with store.lease() as lease:
        layer = store.layers.unpack_stream(source, progress=progress, lease=lease).layer
        created = now()
        comment = message or f"Imported from {origin}"
        file = ImageFile(
            architecture=made_for.architecture,
            variant=made_for.variant,
            os=made_for.os,
            comment=comment,
            config=config or Config(),
            container_config=Config(),
            created=created,
            docker_version=__version__,
            history=[History(created=created, comment=comment)],
            rootfs=RootFs(diff_ids=[layer.diff_id]),
        )
        image = store.create(encode_image(file))
    if name is not None:
        store.tag(image.id, name)
    return store.get(image.id)


def _platform(text: str) -> Platform:
    """Read what the image is said to be for; this machine's platform where nothing is said."""
    if not text:
        return Platform("linux", architecture())
    platform = Platform.parse(text)
    if platform.os != "linux":
        raise InvalidParameter(
            f"operating system is not supported: images here are linux, not {platform.os}"
        )
    return platform
