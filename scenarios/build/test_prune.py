"""The build's cache of mounts: shown by `system df`, taken by `builder` and `system prune`."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests

from scenarios.conftest import Observe
from scenarios.harness.building import Query, post
from scenarios.harness.subject import Subject

_TEXT = (
    "FROM busybox\n"
    "RUN --mount=type=cache,target=/small echo hi > /small/file\n"
    "RUN --mount=type=cache,id=lading-large,target=/large head -c 5000 /dev/zero > /large/file\n"
)


def _build(engine: Subject) -> None:
    """Build with two caches; Docker has them with BuildKit only, which has a cache of its own."""
    version = {"version": "2"} if engine.name == "docker" else {}
    response = post(engine, _TEXT, version)
    assert '"ID"' in response.text, response.text


def _cache(engine: Subject, **query: str) -> list[dict[str, Any]]:
    """The entries for cache mounts, the smallest first."""
    api = engine.client.api
    usage = api.get(f"{api.base_url}/v{api.api_version}/system/df", params=query).json()
    found = [one for one in usage["BuildCache"] if one["Type"] == "exec.cachemount"]
    return sorted(found, key=lambda one: int(one["Size"]))


def _prune(engine: Subject, filters: dict[str, list[str]] | None = None) -> requests.Response:
    return _prune_by(engine, {"filters": json.dumps(filters)} if filters else {})


def _prune_by(engine: Subject, query: Query) -> requests.Response:
    api = engine.client.api
    url = f"{api.base_url}/v{api.api_version}/build/prune"
    response: requests.Response = api.post(url, params=query)
    return response


@pytest.fixture
def cached(engine: Subject) -> Subject:
    """The engine with two cache mounts."""
    _prune_by(engine, {"all": "1"})
    _build(engine)
    return engine


def test_caches_are_part_of_what_the_disk_holds(cached: Subject, observe: Observe) -> None:
    small, large = _cache(cached)
    assert (small["Size"], large["Size"]) == (3, 5000)
    assert "cached mount /large" in large["Description"]
    assert "lading-large" in large["Description"]
    assert small["InUse"] is False
    assert small["CreatedAt"] <= small["LastUsedAt"]
    assert small["UsageCount"] >= 1
    observe("keys", sorted(small))
    assert _cache(cached, type="build-cache")
    shown = cached.succeed("system", "df", "--verbose")
    assert large["ID"][:12] in shown
    assert "exec.cachemount" in shown


def test_older_clients_are_told_the_whole_size(cached: Subject) -> None:
    api = cached.client.api
    usage = api.get(f"{api.base_url}/v1.41/system/df").json()
    assert usage["BuilderSize"] == sum(one["Size"] for one in usage["BuildCache"]) >= 5003
    assert "BuilderSize" not in api.get(f"{api.base_url}/v1.42/system/df").json()


def test_a_prune_is_an_event(cached: Subject, observe: Observe) -> None:
    since = f"{time.time():.6f}"
    reclaimed = _prune(cached).json()["SpaceReclaimed"]
    events = cached.client.events(since=since, filters={"type": "builder"}, decode=True)
    event = next(events)
    events.close()
    assert event["Actor"]["Attributes"] == {"reclaimed": str(reclaimed)}
    observe("event", [event["Action"], event["Actor"]["ID"], event["scope"]])


def test_a_second_build_uses_what_the_first_left(cached: Subject) -> None:
    before = _cache(cached)
    version = {"version": "2"} if cached.name == "docker" else {}
    text = "FROM busybox\nRUN --mount=type=cache,id=lading-large,target=/m test -s /m/file\n"
    assert '"ID"' in post(cached, text, version).text
    after = _cache(cached)
    assert [one["ID"] for one in after] == [one["ID"] for one in before]
    assert after[1]["LastUsedAt"] > before[1]["LastUsedAt"]
    assert after[1]["UsageCount"] > before[1]["UsageCount"]


def test_a_prune_takes_caches_that_fit(cached: Subject) -> None:
    small, large = _cache(cached)
    for filters in ({"until": ["24h"]}, {"id": ["nosuch"]}, {"type": ["nosuch"]}):
        answer = _prune(cached, filters).json()
        assert answer == {"CachesDeleted": None, "SpaceReclaimed": 0}
    answer = _prune(cached, {"id": [large["ID"]]}).json()
    assert answer == {"CachesDeleted": [large["ID"]], "SpaceReclaimed": 5000}
    assert [one["ID"] for one in _cache(cached)] == [small["ID"]]
    answer = _prune(cached, {"type": ["exec.cachemount"]}).json()
    assert answer == {"CachesDeleted": [small["ID"]], "SpaceReclaimed": 3}
    assert _cache(cached) == []


def test_the_command_line_prunes_builds(cached: Subject) -> None:
    _, large = _cache(cached)
    output = cached.succeed("builder", "prune", "--force")
    assert large["ID"] in output
    assert "Total reclaimed space:" in output
    assert _cache(cached) == []


def test_a_prune_of_everything_takes_caches(cached: Subject) -> None:
    _, large = _cache(cached)
    output = cached.succeed("system", "prune", "--force")
    assert "Deleted build cache objects:" in output
    assert large["ID"] in output
    assert _cache(cached) == []


def test_images_of_steps_are_no_part_of_it(engine: Subject) -> None:
    assert "Successfully" in post(engine, "FROM busybox\nENV a=1\nENV b=2\n").text
    before = set(engine.client.api.images(all=True, quiet=True))
    _prune_by(engine, {"all": "1"})
    assert set(engine.client.api.images(all=True, quiet=True)) == before


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"dangling": ["x"]}, "failed to prune build cache: invalid filter 'dangling'"),
        ({"id": ["x", "y"]}, "failed to prune build cache: filters expect only one value"),
        ({"until": ["soon"]}, "failed to prune build cache: "),
    ],
    ids=["unknown", "twice", "no time"],
)
def test_wrong_filters(engine: Subject, filters: dict[str, list[str]], words: str) -> None:
    answer = _prune(engine, filters)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(words)


@pytest.mark.parametrize(
    "name", ["keep-storage", "reserved-space", "max-used-space", "min-free-space"]
)
def test_space_is_a_whole_number(engine: Subject, name: str) -> None:
    answer = _prune_by(engine, {name: "much"})
    assert answer.status_code == 400
    words = f"{name} is in bytes and expects an integer, got much"
    assert answer.json()["message"].startswith(words)


def test_enough_room_keeps_everything(cached: Subject) -> None:
    for name in ("keep-storage", "reserved-space", "max-used-space"):
        answer = _prune_by(cached, {name: str(1 << 40)}).json()
        assert answer == {"CachesDeleted": None, "SpaceReclaimed": 0}
    assert len(_cache(cached)) == 2
