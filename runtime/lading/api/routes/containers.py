"""Containers: create, list, inspect, and all that changes their state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
from msgspec import field

from lading.api.call import Call
from lading.api.responses import empty, json_response, open_stream
from lading.api.versions import Version
from lading.engine.model import ContainerConfig, HostConfig, NetworkingConfig, UpdateConfig
from lading.errors import InvalidParameter

if TYPE_CHECKING:
    from aiohttp.web_response import StreamResponse

    from lading.api.connection import Connection
    from lading.engine.containers import WaitResult

IMAGE_MOUNTS_SINCE = Version(1, 48)


class CreateRequest(ContainerConfig):
    """The body of ContainerCreate: a ContainerConfig with two more members."""

    host_config: HostConfig | None = None
    networking_config: NetworkingConfig | None = None


_NOTHING = (b"{}", b"null")


async def container_create(call: Call) -> StreamResponse:
    """ContainerCreate."""
    if (await call.request.read()).strip() in _NOTHING:
        call.check_json()
        raise InvalidParameter("config cannot be empty in order to create a container")
    request = await call.json(CreateRequest)
    _check_mounts(request.host_config, call.version)
    created = await call.engine.containers.create(
        call.text("name") or None,
        request,
        request.host_config,
        request.networking_config,
        platform=call.text("platform"),
    )
    return json_response({"Id": created.id, "Warnings": created.warnings}, 201)


def _check_mounts(host: HostConfig | None, version: Version) -> None:
    mounts = (host.mounts or ()) if host is not None else ()
    if version < IMAGE_MOUNTS_SINCE and any(mount.type == "image" for mount in mounts):
        raise InvalidParameter('Mount type "Image" needs API v1.48 or newer')


async def container_list(call: Call) -> StreamResponse:
    """ContainerList."""
    from lading.api.render import containers as render

    found = call.engine.containers.list(
        all=call.flag("all"), limit=call.integer("limit") or 0, filters=call.filters()
    )
    with_sizes = call.flag("size")
    summaries = []
    for container in found:
        sizes = await call.engine.containers.sizes(container.id) if with_sizes else None
        summaries.append(render.summary(call.engine, container, sizes, call.version))
    return json_response(summaries)


async def container_inspect(call: Call) -> StreamResponse:
    """ContainerInspect."""
    from lading.api.render import containers as render

    container = call.engine.containers.get(call.name)
    sizes = await call.engine.containers.sizes(container.id) if call.flag("size") else None
    return json_response(render.details(call.engine, container, sizes, call.version))


async def container_start(call: Call) -> StreamResponse:
    """ContainerStart."""
    if call.request.body_exists and await call.request.read() not in (b"", b"{}", b"null"):
        raise InvalidParameter(
            "starting container with non-empty request body was deprecated since API v1.22 "
            "and removed in v1.24"
        )
    await call.engine.containers.start(call.name)
    return empty()


async def container_stop(call: Call) -> StreamResponse:
    """ContainerStop."""
    await call.engine.containers.stop(
        call.name, seconds=call.integer("t"), signal=call.text("signal")
    )
    return empty()


async def container_restart(call: Call) -> StreamResponse:
    """ContainerRestart."""
    await call.engine.containers.restart(
        call.name, seconds=call.integer("t"), signal=call.text("signal")
    )
    return empty()


async def container_kill(call: Call) -> StreamResponse:
    """ContainerKill."""
    await call.engine.containers.kill(call.name, call.text("signal"))
    return empty()


async def container_pause(call: Call) -> StreamResponse:
    """ContainerPause."""
    await call.engine.containers.pause(call.name)
    return empty()


async def container_unpause(call: Call) -> StreamResponse:
    """ContainerUnpause."""
    await call.engine.containers.unpause(call.name)
    return empty()


async def container_rename(call: Call) -> StreamResponse:
    """ContainerRename."""
    await call.engine.containers.rename(call.name, call.text("name"))
    return empty()


async def container_update(call: Call) -> StreamResponse:
    """ContainerUpdate."""
    update = await call.json(UpdateConfig)
    warnings = await call.engine.containers.update(call.name, update)
    return json_response({"Warnings": warnings or None})


async def container_delete(call: Call) -> StreamResponse:
    """ContainerDelete."""
    await call.engine.containers.remove(
        call.name, force=call.flag("force"), volumes=call.flag("v"), link=call.flag("link")
    )
    return empty()


async def container_prune(call: Call) -> StreamResponse:
    """ContainerPrune."""
    pruned = await call.engine.containers.prune(call.filters())
    return json_response({"ContainersDeleted": pruned.ids or None, "SpaceReclaimed": pruned.space})


async def container_top(call: Call) -> StreamResponse:
    """ContainerTop."""
    processes = await call.engine.containers.top(call.name, call.text("ps_args"))
    return json_response({"Processes": processes.rows, "Titles": processes.titles})


async def container_changes(call: Call) -> StreamResponse:
    """ContainerChanges."""
    changes = await call.engine.containers.changes(call.name)
    shown = [{"Path": change.path, "Kind": int(change.kind)} for change in changes]
    return json_response(shown or None)


class WaitError(msgspec.Struct, rename="pascal"):
    """Why a wait could not end as it should."""

    message: str


class WaitResponse(msgspec.Struct, rename="pascal", omit_defaults=True):
    """The answer to ContainerWait."""

    status_code: int = field(name="StatusCode")
    error: WaitError | None = None


WAIT_CONDITIONS_SINCE = Version(1, 30)


async def container_wait(call: Call) -> StreamResponse:
    """ContainerWait: the head is sent as soon as the wait is registered, the body at its end."""
    if call.version < WAIT_CONDITIONS_SINCE:
        ended = await call.engine.containers.wait(call.name)
        return json_response(_wait_response(ended))
    waiting = asyncio.ensure_future(call.engine.containers.wait(call.name, call.text("condition")))
    try:
        response = await open_stream(call.request, "application/json")
        connection: Connection = call.request.protocol  # type: ignore[assignment]
        gone = connection.gone()
        await asyncio.wait((waiting, gone), return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise ConnectionResetError("the client did not wait")
        body = msgspec.json.encode(_wait_response(waiting.result())) + b"\n"
        await response.write_eof(body)
    finally:
        waiting.cancel()
    return response


def _wait_response(ended: WaitResult) -> WaitResponse:
    return WaitResponse(ended.status_code, WaitError(ended.error) if ended.error else None)


async def container_steps(call: Call) -> StreamResponse:
    """LadingContainerSteps: what the container's last start did, step by step; `[]` before one."""
    container = call.engine.containers.get(call.name)
    settings = call.engine.settings
    for directory in (settings.bundles, settings.containers):
        try:
            steps = (directory / container.id / "steps.json").read_bytes()
        except FileNotFoundError:
            continue
        return json_response(msgspec.Raw(steps))
    return json_response([])


HANDLERS = {
    "ContainerChanges": container_changes,
    "ContainerCreate": container_create,
    "ContainerDelete": container_delete,
    "ContainerInspect": container_inspect,
    "ContainerKill": container_kill,
    "ContainerList": container_list,
    "ContainerPause": container_pause,
    "ContainerPrune": container_prune,
    "ContainerRename": container_rename,
    "ContainerRestart": container_restart,
    "ContainerStart": container_start,
    "ContainerStop": container_stop,
    "ContainerTop": container_top,
    "ContainerUnpause": container_unpause,
    "ContainerUpdate": container_update,
    "ContainerWait": container_wait,
    "LadingContainerSteps": container_steps,
}
