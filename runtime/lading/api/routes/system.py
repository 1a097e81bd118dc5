"""The engine as a whole: ping, version, info, events, disk usage."""

from __future__ import annotations

import asyncio
import platform
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp.web_response import Response

from lading import __version__
from lading.api.call import Call
from lading.api.responses import STANDARD_HEADERS, json_response, open_stream
from lading.api.streaming import while_connected
from lading.api.versions import CURRENT, MINIMUM, Version
from lading.engine.model import Status

if TYPE_CHECKING:
    from aiohttp.web_response import StreamResponse

PING_HEADERS = STANDARD_HEADERS | {
    "Builder-Version": "1",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Content-Type": "text/plain; charset=utf-8",
    "Pragma": "no-cache",
    "Swarm": "inactive",
}
"""What a ping answers; builder 1 is the one that takes a context by `POST /build`."""


async def system_ping(_call: Call) -> StreamResponse:
    """SystemPing."""
    return Response(body=b"OK", headers=PING_HEADERS)


async def system_ping_head(_call: Call) -> StreamResponse:
    """SystemPingHead."""
    return Response(headers=PING_HEADERS)


async def system_version(_call: Call) -> StreamResponse:
    """SystemVersion."""
    from lading.engine import info
    from lading.image.model import architecture

    details = {
        "ApiVersion": str(CURRENT),
        "Arch": architecture(),
        "BuildTime": info.build_time(),
        "Experimental": "false",
        "GitCommit": info.git_commit(),
        "GoVersion": f"python{platform.python_version()}",
        "KernelVersion": info.kernel_version(),
        "MinAPIVersion": str(MINIMUM),
        "Os": sys.platform,
    }
    shown: dict[str, Any] = {
        "Platform": {"Name": "Lading"},
        "Version": __version__,
        "ApiVersion": details["ApiVersion"],
        "MinAPIVersion": details["MinAPIVersion"],
        "Os": details["Os"],
        "Arch": details["Arch"],
        "KernelVersion": details["KernelVersion"],
        "GitCommit": details["GitCommit"],
        "GoVersion": details["GoVersion"],
        "BuildTime": details["BuildTime"],
        "Components": [
            {"Name": "Engine", "Version": __version__, "Details": details},
            {
                "Name": "lading-oci",
                "Version": __version__,
                "Details": {"GitCommit": details["GitCommit"]},
            },
        ],
    }
    return json_response(shown)


async def system_info(call: Call) -> StreamResponse:
    """SystemInfo."""
    from lading.engine import info

    engine = call.engine
    states = Counter(container.state.status for container in engine.containers.list(all=True))
    counts = info.Counts(
        running=states[Status.RUNNING] + states[Status.RESTARTING],
        paused=states[Status.PAUSED],
        stopped=sum(states[status] for status in _STOPPED),
        images=len(engine.images.store.list()),
    )
    activity = info.Activity(engine.events.listeners, len(asyncio.all_tasks()))
    shown = await asyncio.to_thread(info.info, engine.settings, counts, activity)
    _fit(shown, call.version)
    return json_response(shown)


def _fit(shown: dict[str, Any], version: Version) -> None:
    """Change what is shown into what a client of an older version knows."""
    if version < BRIDGE_FILTERS_UNTIL:
        shown |= {"BridgeNfIptables": False, "BridgeNfIp6tables": False}
    if version < FIREWALL_SINCE:
        del shown["FirewallBackend"]
    if version < KERNEL_MEMORY_UNTIL:
        shown["KernelMemory"] = False


_STOPPED = (Status.CREATED, Status.EXITED, Status.DEAD, Status.REMOVING)

KERNEL_MEMORY_UNTIL = Version(1, 42)
FIREWALL_SINCE = Version(1, 49)
BRIDGE_FILTERS_UNTIL = Version(1, 50)
"""Older clients are told whether bridged frames pass the firewall; they do not need to here."""


async def system_events(call: Call) -> StreamResponse:
    """SystemEvents: one JSON object an event, until `until` or until the client leaves."""
    from lading.api.render import events as render

    subscription = call.engine.events.subscribe(
        filters=call.filters(),
        since_nano=call.moment("since"),
        until_nano=call.moment("until"),
    )
    try:
        response = await open_stream(call.request, "application/json")
        async for event in while_connected(call.request, subscription):
            await response.write(msgspec.json.encode(render.message(event)) + b"\n")
        await response.write_eof()
    finally:
        subscription.close()
    return response


async def system_data_usage(call: Call) -> StreamResponse:
    """SystemDataUsage."""
    from lading.api.render import usage

    wanted = set(call.values("type"))
    return json_response(await usage.disk_usage(call.engine, wanted, call.version))


HANDLERS = {
    "SystemDataUsage": system_data_usage,
    "SystemEvents": system_events,
    "SystemInfo": system_info,
    "SystemPing": system_ping,
    "SystemPingHead": system_ping_head,
    "SystemVersion": system_version,
}
