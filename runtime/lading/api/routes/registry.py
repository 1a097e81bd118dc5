"""Registries: pushing, signing in, and what a registry says of an image."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from lading.api import platforms, progress, registryauth
from lading.api.call import Call
from lading.api.responses import json_response
from lading.image import reference
from lading.image.registry.progress import Step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp.web_response import StreamResponse

    from lading.image.reference import Reference
    from lading.image.registry.settings import Credentials


def step_message(step: Step) -> dict[str, Any]:
    """Return a step of a transfer as Docker's progress stream has it."""
    if step.current is not None:
        shown = progress.layer_progress(step.status, step.id, step.current, step.total or 0)
        return shown if step.id else {k: v for k, v in shown.items() if k != "id"}
    shown = {"status": step.status}
    if step.id and not step.status.startswith("Pulling from"):
        shown["progressDetail"] = {}
    if step.id:
        shown["id"] = step.id
    return shown


async def steps_of(
    transfer: Callable[[Callable[[Step], None]], Awaitable[Any]], last: Callable[[Any], list[Any]]
) -> AsyncIterator[dict[str, Any]]:
    """Run a transfer and give its steps as messages, then those that `last` makes of its outcome.

    A transfer whose client leaves is given up.
    """
    steps: asyncio.Queue[Step | None] = asyncio.Queue()
    running = asyncio.ensure_future(transfer(steps.put_nowait))
    running.add_done_callback(lambda _: steps.put_nowait(None))
    try:
        while (step := await steps.get()) is not None:
            yield step_message(step)
        for message in last(await running):
            yield message
    finally:
        running.cancel()


async def image_push(call: Call) -> StreamResponse:
    """ImagePush: a tag, or without one all that the repository has here."""
    credentials = registryauth.from_header(call.request.headers.get(registryauth.HEADER, ""))
    named = reference.parse(call.name)
    platform = platforms.one_asked_for(call, platforms.PUSH_SINCE)
    if platform is not None:
        call.engine.images.get(_pushed_name(call), platform)
    return await progress.stream_messages(call.request, _push(call, named, credentials))


def _pushed_name(call: Call) -> str:
    tag = call.text("tag")
    return f"{call.name}:{tag}" if tag else call.name


async def _push(
    call: Call, named: Reference, credentials: Credentials
) -> AsyncIterator[dict[str, Any]]:
    yield {"status": f"The push refers to repository [{named.name}]"}
    for ref in call.engine.transfers.to_push(call.name, call.text("tag")):

        def push(report: Callable[[Step], None], ref: Reference = ref) -> Awaitable[Any]:
            return call.engine.transfers.push(ref, credentials, report)

        async for message in steps_of(push, lambda pushed: [_pushed(pushed)]):
            yield message


def _pushed(pushed: Any) -> dict[str, Any]:
    aux = {"Tag": pushed.tag, "Digest": pushed.digest, "Size": pushed.size}
    return {"progressDetail": {}, "aux": aux}


async def system_auth(call: Call) -> StreamResponse:
    """SystemAuth: whether a registry takes a login."""
    config = await call.json(registryauth.AuthConfig)
    await call.engine.transfers.check_login(config.host(), config.credentials())
    return json_response({"IdentityToken": "", "Status": "Login Succeeded"})


async def distribution_inspect(call: Call) -> StreamResponse:
    """DistributionInspect: an image's descriptor and platforms, asked of its registry."""
    credentials = registryauth.from_header(call.request.headers.get(registryauth.HEADER, ""))
    raw, platforms = await call.engine.transfers.inspect(call.name, credentials)
    descriptor = {"mediaType": raw.media_type, "digest": raw.digest, "size": len(raw.data)}
    return json_response({"Descriptor": descriptor, "Platforms": platforms})


async def image_search(call: Call) -> StreamResponse:
    """ImageSearch: repositories that an index finds."""
    from lading.image.registry.search import LIMIT_DEFAULT

    credentials = registryauth.from_header(call.request.headers.get(registryauth.HEADER, ""))
    limit = call.integer("limit") or LIMIT_DEFAULT
    found = await call.engine.transfers.search(
        call.text("term"), limit, call.filters(), credentials
    )
    return json_response(found)


HANDLERS = {
    "DistributionInspect": distribution_inspect,
    "ImagePush": image_push,
    "ImageSearch": image_search,
    "SystemAuth": system_auth,
}
