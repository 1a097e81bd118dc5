"""Swarm, nodes, services, tasks, secrets and configs: Lading runs on one machine and has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.api.call import Call
from lading.api.operations import OPERATIONS, Group
from lading.errors import Unavailable

if TYPE_CHECKING:
    from aiohttp.web_response import StreamResponse


async def not_a_manager(call: Call) -> StreamResponse:
    """Refuse in Docker's words for an engine that is in no swarm."""
    what = "is not part of a swarm" if call.request.path.endswith("/swarm/leave") else (
        "is not a swarm manager. Lading has no swarm mode: each daemon runs its own containers"
    )  # fmt: skip
    raise Unavailable(f"This node {what}.")


HANDLERS = {
    operation.name: not_a_manager for operation in OPERATIONS if operation.group is Group.SWARM
}
