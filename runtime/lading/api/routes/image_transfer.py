"""Images in and out: load, save, import, pull, and commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from lading.api import platforms, progress
from lading.api.bodies import BodyReader, stream_body
from lading.api.call import Call
from lading.api.responses import json_response
from lading.engine.commit import CommitOptions
from lading.engine.model import ContainerConfig
from lading.errors import InvalidParameter
from lading.image.archives import LayerProgress, Loaded, LoadEvent

if TYPE_CHECKING:
    from aiohttp.web_response import StreamResponse

    from lading.image.registry.platforms import Platform
    from lading.image.registry.pull import Pulled

TAR = "application/x-tar"


async def image_get(call: Call) -> StreamResponse:
    """ImageGet: an archive of one image."""
    return await _archive(call, [call.name])


async def image_get_all(call: Call) -> StreamResponse:
    """ImageGetAll: an archive of several images."""
    names = call.values("names")
    if not names:
        raise InvalidParameter("no image is named: give at least one in the parameter names")
    return await _archive(call, names)


async def _archive(call: Call, names: list[str]) -> StreamResponse:
    platform = platforms.one_asked_for(call, platforms.ARCHIVES_SINCE)
    return await stream_body(call.request, TAR, call.engine.images.save(names, platform))


async def image_load(call: Call) -> StreamResponse:
    """ImageLoad."""
    platform = platforms.one_asked_for(call, platforms.ARCHIVES_SINCE)
    messages = _load(call, platform, quiet=call.flag("quiet", default=True))
    return await progress.stream_messages(call.request, messages, at_once=True)


async def _load(
    call: Call, platform: Platform | None, *, quiet: bool
) -> AsyncIterator[dict[str, Any]]:
    """Load an archive and tell of its layers (unless `quiet`) and images."""
    reports: asyncio.Queue[LoadEvent | None] = asyncio.Queue()
    loading = asyncio.create_task(
        call.engine.images.load(BodyReader(call.request), reports.put_nowait, platform)
    )
    loading.add_done_callback(lambda _: reports.put_nowait(None))
    try:
        while (report := await reports.get()) is not None:
            if isinstance(report, Loaded):
                for line in _loaded_lines(report):
                    yield {"stream": line}
            elif not quiet:
                yield _layer_progress(report)
        await loading
    finally:
        loading.cancel()


def _layer_progress(report: LayerProgress) -> dict[str, Any]:
    return progress.layer_progress("Loading layer", report.id, report.current, report.total)


def _loaded_lines(loaded: Loaded) -> list[str]:
    lines = []
    if loaded.renamed:
        lines.append(
            f"The image {loaded.reference} already exists, renaming the old one with ID "
            f"{loaded.renamed} to empty string\n"
        )
    if loaded.reference:
        lines.append(f"Loaded image: {loaded.reference}\n")
    else:
        lines.append(f"Loaded image ID: {loaded.image.id}\n")
    return lines


async def image_create(call: Call) -> StreamResponse:
    """ImageCreate: import a root file system (`fromSrc`), or pull an image (`fromImage`)."""
    if call.text("fromImage"):
        return await progress.stream_messages(call.request, _pull(call))
    source = call.text("fromSrc")
    messages = _import(call) if source == "-" else _import_from(call, source)
    return await progress.stream_messages(call.request, messages)


def _pull(call: Call) -> AsyncIterator[dict[str, Any]]:
    """Pull what `fromImage` and `tag`, which may be a digest, name."""
    from lading.api import registryauth
    from lading.api.routes.registry import steps_of
    from lading.image import reference
    from lading.image.registry.platforms import Platform, mismatch

    name, tag = call.text("fromImage"), call.text("tag")
    separator = "@" if ":" in tag else ":"
    ref = reference.parse(f"{name}{separator}{tag}" if tag else name)
    credentials = registryauth.from_header(call.request.headers.get(registryauth.HEADER, ""))
    platform = call.text("platform")

    def last(pulled: Pulled) -> list[dict[str, Any]]:
        messages = [{"status": f"Status: {pulled.verdict} {ref.familiar}"}]
        if platform and (no := mismatch(ref.familiar, pulled.image, Platform.parse(platform))):
            messages.append({"status": f"WARNING: {no}"})
        return messages

    return steps_of(
        lambda report: call.engine.transfers.pull(ref, credentials, report, platform), last
    )


async def _import(call: Call) -> AsyncIterator[dict[str, Any]]:
    image = await call.engine.images.import_image(BodyReader(call.request), **_imported(call))
    yield {"status": image.id}


def _import_from(call: Call, source: str) -> AsyncIterator[dict[str, Any]]:
    """Import what an address names, while it comes in."""
    from lading.api.routes.registry import steps_of
    from lading.engine.images_fetched import import_from

    wanted = _imported(call)
    return steps_of(
        lambda report: import_from(call.engine.images, source, report, **wanted),
        lambda image: [{"status": image.id}],
    )


def _imported(call: Call) -> dict[str, Any]:
    """Say what is to be made of what is imported."""
    return {
        "repository": call.text("repo"),
        "tag": call.text("tag"),
        "message": call.text("message"),
        "changes": _changes(call),
        "platform": call.text("platform"),
    }


async def image_commit(call: Call) -> StreamResponse:
    """ImageCommit: make an image of a container."""
    ref = call.text("container")
    if not ref:
        raise InvalidParameter('invalid name or ID supplied: ""')
    options = CommitOptions(
        repository=call.text("repo"),
        tag=call.text("tag"),
        comment=call.text("comment"),
        author=call.text("author"),
        pause=call.flag("pause", default=True),
        changes=_changes(call),
        config=await call.json_or(ContainerConfig, None),
    )
    image = await call.engine.containers.commit(ref, options)
    return json_response({"Id": image.id}, 201)


def _changes(call: Call) -> list[str]:
    """Give the Dockerfile instructions of a request: one or more in each parameter."""
    return [line for text in call.values("changes") for line in text.splitlines() if line.strip()]


HANDLERS = {
    "ImageCommit": image_commit,
    "ImageCreate": image_create,
    "ImageGet": image_get,
    "ImageGetAll": image_get_all,
    "ImageLoad": image_load,
}
