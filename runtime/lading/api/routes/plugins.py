"""Plugins: Lading has none; the list of them is empty, what would change it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.api.call import Call
from lading.api.operations import OPERATIONS, Group
from lading.api.responses import json_response
from lading.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from aiohttp.web_response import StreamResponse


async def plugin_list(call: Call) -> StreamResponse:
    """PluginList: there are none."""
    call.filters()
    return json_response([])


async def plugin_inspect(call: Call) -> StreamResponse:
    """PluginInspect: none has this name."""
    raise NotFound(f'plugin "{call.name}" not found')


async def unavailable(_call: Call) -> StreamResponse:
    """Refuse what needs plugins."""
    raise Unavailable("Lading has no plugins: volumes, networks and logs are built in")


HANDLERS = {
    operation.name: unavailable for operation in OPERATIONS if operation.group is Group.PLUGIN
} | {"PluginList": plugin_list, "PluginInspect": plugin_inspect}
