"""Events about containers, with the attributes that Docker gives each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.engine.events import EventBus, EventType

if TYPE_CHECKING:
    from lading.engine.model import Container


def announce(events: EventBus, record: Container, action: str, **attributes: str) -> None:
    """Publish that `action` happened to a container: its labels, image and name go along."""
    told = dict(record.config.labels or {})
    told.update(image=record.config.image, name=record.name, **attributes)
    events.publish(EventType.CONTAINER, action, record.id, told)
