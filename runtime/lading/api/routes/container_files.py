"""Files of containers: export, and archives in and out (`docker cp`)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import msgspec

from lading.api.bodies import BodyReader, stream_body
from lading.api.call import Call
from lading.api.responses import STANDARD_HEADERS, empty
from lading.errors import InvalidParameter

if TYPE_CHECKING:
    from aiohttp.web_response import StreamResponse

    from lading.storage.copying import PathStat

TAR = "application/x-tar"
STAT_HEADER = "X-Docker-Container-Path-Stat"


async def container_export(call: Call) -> StreamResponse:
    """ContainerExport."""
    chunks = await call.engine.containers.export(call.name)
    return await stream_body(call.request, "application/octet-stream", chunks)


async def container_archive_info(call: Call) -> StreamResponse:
    """ContainerArchiveInfo: what a path is, in a header."""
    from aiohttp.web_response import Response

    stat = await call.engine.containers.stat_path(call.name, _path(call))
    return Response(headers=STANDARD_HEADERS | {STAT_HEADER: _encoded(stat)})


async def container_archive(call: Call) -> StreamResponse:
    """ContainerArchive: a tar of a path."""
    stat, chunks = await call.engine.containers.get_archive(call.name, _path(call))
    return await stream_body(call.request, TAR, chunks, **{STAT_HEADER: _encoded(stat)})


async def put_container_archive(call: Call) -> StreamResponse:
    """PutContainerArchive: extract a tar into a directory."""
    await call.engine.containers.put_archive(
        call.name,
        _path(call),
        BodyReader(call.request),
        no_overwrite_dir_non_dir=call.flag("noOverwriteDirNonDir"),
        copy_uid_gid=call.flag("copyUIDGID"),
    )
    return empty(200)


def _path(call: Call) -> str:
    path = call.text("path")
    if not path:
        raise InvalidParameter("bad parameter: 'path' cannot be empty")
    return path


def _encoded(stat: PathStat) -> str:
    """Encode a path's description as the header has it: JSON in base 64."""
    shown = {
        "name": stat.name,
        "size": stat.size,
        "mode": stat.mode,
        "mtime": stat.mtime,
        "linkTarget": stat.link_target,
    }
    return base64.b64encode(msgspec.json.encode(shown)).decode()


HANDLERS = {
    "ContainerArchive": container_archive,
    "ContainerArchiveInfo": container_archive_info,
    "ContainerExport": container_export,
    "PutContainerArchive": put_container_archive,
}
