"""Images: list, inspect, history, tag, remove, prune."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lading.api import platforms
from lading.api.call import Call
from lading.api.render.images import details, history, summary
from lading.api.responses import empty, json_response
from lading.image.store import Removal

if TYPE_CHECKING:
    from aiohttp.web_response import StreamResponse


async def image_list(call: Call) -> StreamResponse:
    """ImageList."""
    found = call.engine.images.list(all=call.flag("all"), filters=call.filters())
    with_shared = call.flag("shared-size")
    return json_response(
        [
            summary(call.engine, listed, with_shared=with_shared, version=call.version)
            for listed in found
        ]
    )


async def image_inspect(call: Call) -> StreamResponse:
    """ImageInspect."""
    platform = platforms.one_asked_for(call, platforms.INSPECT_SINCE)
    image = call.engine.images.get(call.name, platform)
    return json_response(details(call.engine, image, call.version))


async def image_history(call: Call) -> StreamResponse:
    """ImageHistory."""
    platform = platforms.one_asked_for(call, platforms.ARCHIVES_SINCE)
    steps = call.engine.images.history(call.name, platform)
    return json_response([history(item) for item in steps])


async def image_tag(call: Call) -> StreamResponse:
    """ImageTag."""
    call.engine.images.tag(call.name, call.text("repo"), call.text("tag"))
    return empty(201)


async def image_delete(call: Call) -> StreamResponse:
    """ImageDelete."""
    removals = await call.engine.images.remove(
        call.name,
        force=call.flag("force"),
        prune=not call.flag("noprune"),
        platforms=platforms.asked_for(call, platforms.DELETE_SINCE, "platforms"),
    )
    return json_response(_shown(removals))


async def image_prune(call: Call) -> StreamResponse:
    """ImagePrune."""
    pruned = await call.engine.images.prune(call.filters())
    return json_response(
        {"ImagesDeleted": _shown(pruned.removals) or None, "SpaceReclaimed": pruned.space}
    )


def _shown(removals: Sequence[Removal]) -> list[dict[str, str]]:
    return [
        {"Untagged": removal.untagged} if removal.untagged else {"Deleted": removal.deleted}
        for removal in removals
    ]


HANDLERS = {
    "ImageDelete": image_delete,
    "ImageHistory": image_history,
    "ImageInspect": image_inspect,
    "ImageList": image_list,
    "ImagePrune": image_prune,
    "ImageTag": image_tag,
}
