"""Builds: `docker build` and its cache."""

from __future__ import annotations

import asyncio
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import IO, TYPE_CHECKING, Any, cast

from lading.api import buildquery, progress
from lading.api.bodies import BodyReader
from lading.api.call import Call
from lading.api.responses import json_response
from lading.api.streaming import while_connected
from lading.build.contracts import BuildFailed, BuildOptions
from lading.errors import InvalidParameter, LadingError, NotImplementedYet

if TYPE_CHECKING:
    from aiohttp.web_response import StreamResponse

    from lading.engine.buildhost import BuildSettings


async def image_build(call: Call) -> StreamResponse:
    """ImageBuild: the context is read for its Dockerfile; COPY and ADD are answered with 501."""
    if call.text("remote"):
        raise NotImplementedYet("Lading's builder does not know the parameter remote yet")
    options, settings = buildquery.options_of(call), buildquery.settings_of(call)
    name = call.text("dockerfile") or "Dockerfile"
    text = await asyncio.to_thread(_dockerfile, BodyReader(call.request), name)
    messages = while_connected(call.request, _build(call, text, options, settings))
    return await progress.stream_messages(call.request, messages)


async def _build(
    call: Call, text: str, options: BuildOptions, settings: BuildSettings
) -> AsyncIterator[dict[str, Any]]:
    """Build, and tell of it until its end; the build ends with this iterator.

    A quiet build tells the image's ID alone; one that fails, all that it would have told.
    """
    quiet = call.flag("q")
    said: list[dict[str, Any]] = []
    reports: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    build = call.engine.building.build(text, options, settings, reports.put_nowait)
    task = asyncio.create_task(build)
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


def _dockerfile(body: BodyReader, name: str) -> str:
    """Read the Dockerfile out of a context, all of which is consumed."""
    wanted = name.removeprefix("./").lstrip("/")
    text: str | None = None
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", body), mode="r|*") as archive:
            for member in archive:
                if member.name.removeprefix("./") == wanted and member.isfile():
                    file = archive.extractfile(member)
                    text = file.read().decode() if file else None
    except (tarfile.TarError, UnicodeDecodeError, EOFError) as error:
        raise InvalidParameter(f"cannot read the build context: {error}") from None
    if text is None:
        raise InvalidParameter(f"Cannot locate specified Dockerfile: {name}")
    if not text:
        raise InvalidParameter(f"the Dockerfile ({name}) cannot be empty")
    return text


async def build_prune(call: Call) -> StreamResponse:
    """BuildPrune: the cache is the images themselves, as in Docker's classic builder."""
    call.filters()
    return json_response({"CachesDeleted": None, "SpaceReclaimed": 0})


HANDLERS: dict[str, Callable[[Call], Awaitable[StreamResponse]]] = {
    "BuildPrune": build_prune,
    "ImageBuild": image_build,
}
