from __future__ import annotations

import asyncio
import time

import pytest

from lading.engine.events import KEPT_EVENTS, Event, EventBus, EventType, Subscription, matches


async def taken(subscription: Subscription) -> list[str]:
    return [event.action async for event in subscription]


async def test_subscribers_hear_what_follows() -> None:
    bus = EventBus()
    bus.publish("container", "create", "c", {})
    subscription = bus.subscribe()
    bus.publish("container", "start", "c", {})
    bus.publish("container", "die", "c", {})
    subscription.close()
    assert await taken(subscription) == ["start", "die"]


async def test_a_subscriber_waits() -> None:
    bus = EventBus()
    subscription = bus.subscribe()
    waiting = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)
    bus.publish("image", "tag", "i", {"name": "a:b"})
    assert (await waiting).actor_id == "i"
    subscription.close()


async def test_the_past_is_told_up_to_until() -> None:
    bus = EventBus()
    old = bus.publish("container", "one", "c", {})
    bus.publish("container", "two", "c", {})
    now = time.time_ns()
    assert await taken(bus.subscribe(since_nano=1, until_nano=now)) == ["one", "two"]
    assert await taken(bus.subscribe(since_nano=old.time_nano + 1, until_nano=now)) == ["two"]
    assert await taken(bus.subscribe(until_nano=old.time_nano)) == ["one"]


async def test_the_latest_256_are_kept() -> None:
    bus = EventBus()
    for number in range(KEPT_EVENTS + 5):
        bus.publish("container", str(number), "c", {})
    told = await taken(bus.subscribe(since_nano=1, until_nano=time.time_ns()))
    assert told == [str(number) for number in range(5, KEPT_EVENTS + 5)]


async def test_until_ends_a_subscription() -> None:
    bus = EventBus()
    subscription = bus.subscribe(until_nano=time.time_ns() + 20_000_000)
    async with asyncio.timeout(5):
        assert await taken(subscription) == []
    assert bus.listeners == 0


async def test_a_reader_that_lags_is_cut_off() -> None:
    bus = EventBus()
    subscription = bus.subscribe()
    for _ in range(5000):
        bus.publish("container", "exec_start", "c", {})
    assert subscription.is_closed
    assert len(await taken(subscription)) == 4096


async def test_closing_the_bus_ends_every_subscription() -> None:
    bus = EventBus()
    subscription = bus.subscribe()
    bus.close()
    assert await taken(subscription) == []


def event(kind: str = "container", action: str = "start", **attributes: str) -> Event:
    return Event(EventType(kind), action, "abcdef", attributes, 1)


@pytest.mark.parametrize(
    ("given", "filters", "passes"),
    [
        (event(), {}, True),
        (event(), {"type": ["container"]}, True),
        (event(), {"type": ["image", "network"]}, False),
        (event(), {"event": ["die", "start"]}, True),
        (event(action="exec_create: ls -l"), {"event": ["exec_create"]}, True),
        (event(action="health_status: healthy"), {"event": ["health_status: healthy"]}, True),
        (event(name="web"), {"container": ["web"]}, True),
        (event(name="web"), {"container": ["abc"]}, True),
        (event(name="web"), {"container": ["we"]}, True),
        (event(name="web"), {"container": ["eb"]}, False),
        (event("network", "connect", name="web", container="c1"), {"container": ["web"]}, True),
        (event("network", "connect", container="c1"), {"container": ["c1"]}, False),
        (event(image="busybox:1.36"), {"image": ["busybox"]}, True),
        (event(image="busybox:1.36"), {"image": ["busybox:1.36"]}, True),
        (event(image="busybox:1.36"), {"image": ["busybox:1"]}, False),
        (event("image", "tag", name="reg:5000/a:b"), {"image": ["reg:5000/a"]}, True),
        (event(env="prod", tier="1"), {"label": ["env=prod", "tier"]}, True),
        (event(env="prod"), {"label": ["env=prod", "tier"]}, False),
        (event(), {"scope": ["local"]}, True),
        (event(), {"scope": ["swarm"]}, False),
        (event(), {"nonsense": ["x"]}, True),
    ],
)
def test_filters(given: Event, filters: dict[str, list[str]], passes: bool) -> None:
    assert matches(given, filters) is passes
