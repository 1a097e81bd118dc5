"""`docker import`: the tar of a root file system becomes an image of one layer."""

from __future__ import annotations

from lading import __version__
from lading.errors import InvalidParameter
from lading.image.model import Config, History, ImageFile, RootFs, architecture, encode_image
from lading.image.reference import parse_tagged
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
    progress: Progress | None = None,
) -> Image:
    """Make a one-layer image of a root file system tar, compressed or not.

    `config` is what `--change` made of an empty one. Raises InvalidParameter for a bad name,
    platform or archive; nothing stays then.
    """
    name = parse_tagged(repository, tag) if repository else None
    os, machine, variant = parse_platform(platform)
    with store.lease() as lease:
        layer = store.layers.unpack_stream(source, progress=progress, lease=lease).layer
        created = now()
        comment = message or "Imported from -"
        file = ImageFile(
            architecture=machine,
            variant=variant,
            os=os,
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


def parse_platform(text: str) -> tuple[str, str, str]:
    """Split `os[/architecture[/variant]]`; this machine's where nothing is given."""
    if not text:
        return "linux", architecture(), ""
    parts = text.lower().split("/")
    if len(parts) > 3 or not all(part and part.replace("_", "").isalnum() for part in parts):
        raise InvalidParameter(f'invalid platform "{text}": expected os/architecture/variant')
    os, machine, variant = [*parts, "", ""][:3]
    if os != "linux":
        raise InvalidParameter(f'operating system "{os}" is not supported: images here are linux')
    return os, machine or architecture(), variant
