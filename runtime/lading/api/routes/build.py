"""Builds: `docker build` and its cache."""

from __future__ import annotations

import asyncio
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import IO, TYPE_CHECKING, Any, cast

import msgspec

from lading.api import progress
from lading.api.bodies import BodyReader
from lading.api.call import Call
from lading.api.responses import json_response
from lading.api.streaming import while_connected
from lading.build.contracts import BuildFailed, BuildOptions
from lading.errors import InvalidParameter, NotImplementedYet

if TYPE_CHECKING:
    from aiohttp.web_response import StreamResponse

_UNSUPPORTED = ("remote", "squash", "outputs", "cachefrom", "memory", "memswap", "cpushares",
                "cpuquota", "cpuperiod", "cpusetcpus", "cpusetmems", "shmsize", "extrahosts",
                "platform", "pull", "cgroupparent", "securityopt", "ulimits")  # fmt: skip
"""Parameters whose effect is missing here; what says nothing (0, false, empty) is let pass."""

_NOTHING = frozenset({"", "0", "false", "null", "[]", "{}", "-1"})


async def image_build(call: Call) -> StreamResponse:
    """ImageBuild: the context is read for its Dockerfile; COPY and ADD are answered with 501."""
    for name in _UNSUPPORTED:
        if call.text(name).lower() not in _NOTHING:
            raise NotImplementedYet(f"Lading's builder does not know the parameter {name} yet")
    options = BuildOptions(
        tags=tuple(name for name in call.values("t") if name),
        target=call.text("target"),
        build_args=_mapping(call, "buildargs"),
        labels=_mapping(call, "labels"),
        no_cache=call.flag("nocache"),
        network=call.text("networkmode"),
    )
    name = call.text("dockerfile") or "Dockerfile"
    text = await asyncio.to_thread(_dockerfile, BodyReader(call.request), name)
    messages = while_connected(call.request, _build(call, text, options))
    return await progress.stream_messages(call.request, messages)


async def _build(call: Call, text: str, options: BuildOptions) -> AsyncIterator[dict[str, Any]]:
    """Build, and tell of it until its end; the build ends with this iterator."""
    quiet = call.flag("q")
    reports: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    task = asyncio.create_task(call.engine.building.build(text, options, reports.put_nowait))
    task.add_done_callback(lambda _: reports.put_nowait(None))
    try:
        while (report := await reports.get()) is not None:
            if not quiet:
                yield report
        image = await task
        if quiet:
            yield {"stream": f"{image.id}\n"}
    except BuildFailed as error:
        detail = {"code": error.code, "message": error.message}
        yield {"errorDetail": detail, "error": error.message}
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _mapping(call: Call, name: str) -> dict[str, str]:
    """Read a JSON object of strings; a null value counts as not given."""
    try:
        given = msgspec.json.decode(call.text(name) or "{}", type=dict[str, str | None] | None)
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise InvalidParameter(f"{name} must be a JSON object of strings") from None
    return {key: value for key, value in (given or {}).items() if value is not None}


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
