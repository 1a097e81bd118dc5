"""`docker import URL`: an image of a root file system that is fetched while it is unpacked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from lading.image.download import download
from lading.image.reference import parse_tagged
from lading.image.registry.progress import Report, Step, Throttle

if TYPE_CHECKING:
    from lading.engine.images import Images
    from lading.image.store import Image


async def import_from(
    images: Images, url: str, report: Report, *, repository: str = "", tag: str = "", **wanted: Any
) -> Image:
    """Import what an address names; the rest is as for `Images.import_image`.

    Raises InvalidParameter, and LadingError when the server does not give all of it.
    """
    if repository:
        parse_tagged(repository, tag)  # a bad name is told before anything is fetched
    loop = asyncio.get_running_loop()
    async with download(url) as fetched:
        report(Step(f"Downloading from {fetched.url}"))
        importing = Throttle(report, "Importing", "", fetched.size or 0)

        def imported(consumed: int) -> None:
            loop.call_soon_threadsafe(importing, consumed)

        return await images.import_image(
            fetched.content,
            repository=repository,
            tag=tag,
            origin=fetched.url,
            progress=imported,
            **wanted,
        )
