"""Builds: `docker build` and its cache."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from lading.api import buildquery, progress
from lading.api.bodies import BodyReader
from lading.api.call import Call
from lading.api.responses import json_response
from lading.api.streaming import while_connected
from lading.build.context import Context, only_secrets, receive
from lading.build.contracts import BuildFailed, Report
from lading.build.fetch import remote_context
from lading.build.mounting import AGENTS_HEADER, SECRETS_HEADER, agents_of
from lading.engine import buildcache
from lading.engine.events import EventType
from lading.errors import InvalidParameter, LadingError
from lading.threads import in_thread

if TYPE_CHECKING:
    from aiohttp.web_response import StreamResponse

    from lading.image.store import Image

    Work = Callable[[Report], Coroutine[Any, Any, Image]]


async def image_build(call: Call) -> StreamResponse:
    """ImageBuild: the context is taken in whole, and then the build told of as it goes on."""
    options, settings = buildquery.options_of(call), buildquery.settings_of(call)
    agents = agents_of(call.request.headers.get(AGENTS_HEADER, ""))
    context = await _context(call)
    work = partial(call.engine.building.build, context, agents, options, settings)
    messages = while_connected(call.request, _build(call, context, work))
    return await progress.stream_messages(call.request, messages)


async def _context(call: Call) -> Context:
    """Take in what the client sends, or what `remote` names; all of the body is consumed."""
    files, dockerfile = call.engine.building.files, call.text("dockerfile")
    token = call.request.headers.get(SECRETS_HEADER, "")
    body, remote = BodyReader(call.request), call.text("remote")
    if not remote:
        return await in_thread(receive, body, files, dockerfile, token)
    # A client may send its secrets beside a remote context.
    secrets = await in_thread(only_secrets, body, files, token) if token else {}
    return await remote_context(remote, files, dockerfile, secrets)


async def _build(call: Call, context: Context, work: Work) -> AsyncIterator[dict[str, Any]]:
    """Build, and tell of it until its end; the build ends with this iterator.

    A quiet build tells the image's ID alone; one that fails, all that it would have told.
    """
    quiet = call.flag("q")
    said: list[dict[str, Any]] = []
    reports: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    task = asyncio.create_task(work(reports.put_nowait))
    task.add_done_callback(lambda _: reports.put_nowait(None))
    try:
        while (report := await reports.get()) is not None:
            if quiet:
                said.append(report)
            else:
                yield report
        image = await task
        if quiet:
            yield {"stream": f"{image.id}\n"}
    except LadingError as error:
        if not isinstance(error, BuildFailed) and not said:
            raise
        for report in said:
            yield report
        code = {"code": error.code} if isinstance(error, BuildFailed) else {}
        yield {"errorDetail": {**code, "message": error.message}, "error": error.message}
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        context.close()


async def build_prune(call: Call) -> StreamResponse:
    """BuildPrune: the directories of cache mounts; images of steps go with ImagePrune."""
    allowance = buildcache.Allowance(
        reserved=_bytes(call, "reserved-space") or _bytes(call, "keep-storage"),
        most=_bytes(call, "max-used-space"),
        free=_bytes(call, "min-free-space"),
    )
    try:
        removed = await buildcache.prune(call.engine.building.caches, call.filters(), allowance)
    except InvalidParameter as error:
        raise InvalidParameter(f"failed to prune build cache: {error.message}") from None
    call.engine.events.publish(
        EventType.BUILDER, "prune", "", {"reclaimed": str(sum(cache.size for cache in removed))}
    )
    return json_response(
        {
            "CachesDeleted": [cache.name for cache in removed] or None,
            "SpaceReclaimed": sum(cache.size for cache in removed),
        }
    )


def _bytes(call: Call, name: str) -> int:
    text = call.text(name) or "0"
    try:
        return int(text)
    except ValueError:
        raise InvalidParameter(f"{name} is in bytes and expects an integer, got {text}") from None


HANDLERS: dict[str, Callable[[Call], Awaitable[StreamResponse]]] = {
    "BuildPrune": build_prune,
    "ImageBuild": image_build,
}
