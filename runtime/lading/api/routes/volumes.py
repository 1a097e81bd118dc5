"""Volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.api.call import Call
from lading.api.responses import empty, json_response
from lading.api.versions import Version
from lading.engine.model import Wire
from lading.errors import InvalidParameter, Unavailable

if TYPE_CHECKING:
    from aiohttp.web_response import StreamResponse

ANONYMOUS_ONLY_SINCE = Version(1, 42)
"""Older clients mean every unused volume when they prune."""


class CreateRequest(Wire):
    """The body of VolumeCreate."""

    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None


async def volume_list(call: Call) -> StreamResponse:
    """VolumeList."""
    return json_response({"Volumes": call.engine.volumes.list(call.filters()), "Warnings": None})


async def volume_create(call: Call) -> StreamResponse:
    """VolumeCreate."""
    asked = await call.json(CreateRequest)
    volume = call.engine.volumes.create(
        asked.name, driver=asked.driver, options=asked.driver_opts, labels=asked.labels
    )
    return json_response(volume, 201)


async def volume_inspect(call: Call) -> StreamResponse:
    """VolumeInspect."""
    return json_response(call.engine.volumes.get(call.name))


async def volume_update(call: Call) -> StreamResponse:
    """VolumeUpdate: only cluster volumes can be updated, and there are none without a swarm."""
    if call.integer("version") is None:
        raise InvalidParameter("invalid query parameter: version is required")
    raise Unavailable("volume update only valid for cluster volumes, but swarm is unavailable")


async def volume_delete(call: Call) -> StreamResponse:
    """VolumeDelete."""
    await call.engine.volumes.remove(call.name, force=call.flag("force"))
    return empty()


async def volume_prune(call: Call) -> StreamResponse:
    """VolumePrune."""
    filters = call.filters()
    if call.version < ANONYMOUS_ONLY_SINCE:
        filters["all"] = ["true"]
    pruned = await call.engine.volumes.prune(filters)
    return json_response({"VolumesDeleted": pruned.names or None, "SpaceReclaimed": pruned.space})


HANDLERS = {
    "VolumeCreate": volume_create,
    "VolumeDelete": volume_delete,
    "VolumeInspect": volume_inspect,
    "VolumeList": volume_list,
    "VolumePrune": volume_prune,
    "VolumeUpdate": volume_update,
}
