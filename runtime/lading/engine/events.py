"""What happens in the engine, told to whoever listens (`GET /events`).

The engine's parts call `EventBus.publish`; the API subscribes. The last 256 events are kept, as
Docker keeps them, so that a client may ask for what happened since a moment in the past. One event
loop owns the bus.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT_EVENTS = 256
"""How many past events a subscriber can still see; Docker's number."""

QUEUE_LIMIT = 4096
"""Events that may wait for a subscriber that does not read before it is cut off."""

Filters = Mapping[str, Sequence[str]]
"""Filter terms of a request: name → values, one of which must match."""


class EventType(enum.StrEnum):
    """What kind of object an event is about."""

    BUILDER = "builder"
    CONTAINER = "container"
    DAEMON = "daemon"
    IMAGE = "image"
    NETWORK = "network"
    VOLUME = "volume"


class Event(msgspec.Struct, frozen=True):
    """One thing that happened; times are nanoseconds since the epoch."""

    type: EventType
    action: str
    actor_id: str
    attributes: dict[str, str]
    time_nano: int

    @property
    def name(self) -> str:
        """The action without its detail: `exec_create` of `exec_create: ls -l`."""
        return self.action.partition(":")[0]


def _references_image(event: Event, wanted: str) -> bool:
    """Tell whether the event's image is `wanted`, with or without its tag."""
    if event.type is EventType.IMAGE:
        names = [event.actor_id, event.attributes.get("name", "")]
    else:
        names = [event.attributes.get("image", "")]
    return any(wanted in (name, _untagged(name)) for name in names if name)


def _untagged(name: str) -> str:
    head, slash, tail = name.rpartition("/")
    return head + slash + tail.partition("@")[0].partition(":")[0]


def _has_label(event: Event, wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    found = event.attributes.get(key)
    return found is not None and (not equals or found == value)


def _is_actor(event: Event, wanted: str) -> bool:
    """Tell whether the id or the name of what the event is about begins with `wanted`.

    Docker does not ask here whether it is of the filter's own type.
    """
    return event.actor_id.startswith(wanted) or event.attributes.get("name", "").startswith(wanted)


def _matches_term(event: Event, term: str, wanted: str) -> bool:
    match term:
        case "type":
            return event.type == wanted
        case "event":
            return wanted in (event.action, event.name)
        case "image":
            return _references_image(event, wanted)
        case "label":
            return _has_label(event, wanted)
        case "scope":
            return wanted == "local"
        case "container" | "volume" | "network" | "daemon":
            return _is_actor(event, wanted)
        case _:
            return True


def matches(event: Event, filters: Filters) -> bool:
    """Tell whether an event passes the filters: any value of each term, every value of `label`.

    Terms that are not known let everything pass, as in Docker.
    """
    for term, values in filters.items():
        if not values:
            continue
        some = all if term == "label" else any
        if not some(_matches_term(event, term, wanted) for wanted in values):
            return False
    return True


class Subscription:
    """An async iterator of events; ends at `until`, on `close`, or when its reader lags too far."""

    def __init__(
        self, bus: EventBus, filters: Filters, past: Iterator[Event], until_nano: int | None
    ) -> None:
        self._bus = bus
        self._filters = filters
        self._queue: deque[Event] = deque(past)
        self._arrived = asyncio.Event()
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        if self._queue:
            self._arrived.set()
        if until_nano is not None:
            remaining = (until_nano - time.time_ns()) / 1e9
            if remaining <= 0:
                self.close()
            else:
                self._timer = asyncio.get_running_loop().call_later(remaining, self.close)

    def offer(self, event: Event) -> None:
        """Queue an event if it passes the filters (called by the bus)."""
        if not matches(event, self._filters):
            return
        if len(self._queue) >= QUEUE_LIMIT:
            self.close()
            return
        self._queue.append(event)
        self._arrived.set()

    def close(self) -> None:
        """End the iteration after what is queued already."""
        self._closed = True
        self._bus.forget(self)
        if self._timer is not None:
            self._timer.cancel()
        self._arrived.set()

    @property
    def is_closed(self) -> bool:
        """Whether no further event will be queued."""
        return self._closed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._queue.popleft()


class EventBus:
    """Publishes events to the subscribers and keeps the latest for those who ask about the past."""

    def __init__(self) -> None:
        self._kept: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._subscriptions: set[Subscription] = set()

    def publish(
        self,
        type: EventType | str,  # noqa: A002 - the API's own word
        action: str,
        actor_id: str,
        attributes: Mapping[str, str] | None = None,
    ) -> Event:
        """Tell all subscribers that `action` happened to the object `actor_id`.

        For a container the attributes are its labels, `image`, `name`, and what belongs to the
        action (`exitCode`, `signal`, `execID`, …); see "System Events" in Docker's API reference.
        """
        event = Event(EventType(type), action, actor_id, dict(attributes or {}), time.time_ns())
        self._kept.append(event)
        for subscription in tuple(self._subscriptions):
            subscription.offer(event)
        return event

    def subscribe(
        self,
        *,
        filters: Filters | None = None,
        since_nano: int | None = None,
        until_nano: int | None = None,
    ) -> Subscription:
        """Listen from now on, or from `since_nano` as far as events are kept, to `until_nano`.

        With `until_nano` alone, past events are given too, as Docker does. Needs a running loop.
        """
        filters = filters or {}
        past: list[Event] = []
        if since_nano is not None or until_nano is not None:
            low, high = since_nano or 0, until_nano
            past = [
                event
                for event in self._kept
                if event.time_nano >= low
                and (high is None or event.time_nano <= high)
                and matches(event, filters)
            ]
        subscription = Subscription(self, filters, iter(past), until_nano)
        if not subscription.is_closed:
            self._subscriptions.add(subscription)
        return subscription

    @property
    def listeners(self) -> int:
        """How many subscriptions are open."""
        return len(self._subscriptions)

    def forget(self, subscription: Subscription) -> None:
        """Stop telling a subscription (called when it closes)."""
        self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End every subscription: the daemon stops."""
        for subscription in tuple(self._subscriptions):
            subscription.close()
