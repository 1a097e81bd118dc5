"""Events as `GET /events` sends them."""

from __future__ import annotations

from typing import Any

from lading.engine.events import Event, EventType


def message(event: Event) -> dict[str, Any]:
    """Return an event as JSON; `status`, `id` and `from` are those that Docker had at first."""
    shown: dict[str, Any] = {}
    if event.type in (EventType.CONTAINER, EventType.IMAGE):
        shown["status"] = event.action
        shown["id"] = event.actor_id
        if event.type is EventType.CONTAINER and event.attributes.get("image"):
            shown["from"] = event.attributes["image"]
    shown["Type"] = str(event.type)
    shown["Action"] = event.action
    shown["Actor"] = {"ID": event.actor_id, "Attributes": event.attributes}
    shown["scope"] = "local"
    shown["time"] = event.time_nano // 1_000_000_000
    shown["timeNano"] = event.time_nano
    return shown
