from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from lading.api import registryauth
from lading.api.routes.registry import step_message, steps_of
from lading.engine.events import EventBus
from lading.engine.settings import Settings
from lading.engine.transfers import Transfers
from lading.errors import InvalidParameter, NotFound, Unavailable
from lading.image.registry.progress import Step
from lading.image.registry.settings import Credentials
from lading.image.store import ImageStore

from .test_services import NEW, OLD, FakeImageStore

LOGIN = {"username": "me", "password": "pass"}


@pytest.mark.parametrize(
    "header",
    [
        base64.urlsafe_b64encode(json.dumps(LOGIN).encode()).decode(),
        base64.b64encode(json.dumps(LOGIN).encode()).decode().rstrip("="),
        base64.b64encode(
            json.dumps({"auth": base64.b64encode(b"me:pass").decode()}).encode()
        ).decode(),
    ],
)
def test_logins_in_headers(header: str) -> None:
    assert registryauth.from_header(header) == Credentials("me", "pass")


def test_no_login() -> None:
    assert not registryauth.from_header("")
    assert not registryauth.from_header(base64.b64encode(b"{}").decode())


@pytest.mark.parametrize("header", ["%%%", base64.b64encode(b"{").decode(), "a"])
def test_faulty_logins(header: str) -> None:
    with pytest.raises(InvalidParameter, match="X-Registry-Auth"):
        registryauth.from_header(header)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("localhost:5000", "localhost:5000"),
        ("https://registry.example/v2/", "registry.example"),
    ],
)
def test_hosts_of_logins(address: str, host: str) -> None:
    assert registryauth.AuthConfig(serveraddress=address).host() == host


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Step("Pulling from a/b", "latest"), {"status": "Pulling from a/b", "id": "latest"}),
        (Step("Pull complete", "abc"),
         {"status": "Pull complete", "progressDetail": {}, "id": "abc"}),
        (Step("Digest: sha256:1"), {"status": "Digest: sha256:1"}),
    ],
)  # fmt: skip
def test_steps(step: Step, message: dict[str, object]) -> None:
    assert step_message(step) == message


def test_steps_with_bytes() -> None:
    message = step_message(Step("Downloading", "abc", 5, 10))
    assert message["progressDetail"] == {"current": 5, "total": 10}
    assert message["id"] == "abc"


async def test_a_transfer_tells_its_steps_and_its_end() -> None:
    async def transfer(report: Callable[[Step], None]) -> str:
        report(Step("one"))
        report(Step("two"))
        return "end"

    told = [
        message["status"] async for message in steps_of(transfer, lambda end: [{"status": end}])
    ]
    assert told == ["one", "two", "end"]


async def test_a_transfer_that_fails_has_told_its_steps() -> None:
    async def transfer(report: Callable[[Step], None]) -> None:
        report(Step("one"))
        raise Unavailable("the registry is away")

    messages = steps_of(transfer, lambda _: [])
    assert (await anext(messages))["status"] == "one"
    with pytest.raises(Unavailable, match="away"):
        await anext(messages)


@dataclass
class Made:
    """A service, and the settings that it asks for."""

    settings: Settings

    def service(self) -> Transfers:
        tagged = replace(NEW, tags=("reg:5000/team/app:v1", "reg:5000/team/app:v2"))
        store = cast(ImageStore, FakeImageStore(OLD, tagged))
        return Transfers(store, Path("/nowhere"), lambda: self.settings, EventBus())


def test_what_a_push_means() -> None:
    service = Made(Settings()).service()
    assert [ref.familiar for ref in service.to_push("reg:5000/team/app", "v2")] == [
        "reg:5000/team/app:v2"
    ]
    assert [ref.tag for ref in service.to_push("reg:5000/team/app", "")] == ["v1", "v2"]
    with pytest.raises(NotFound, match=r"^tag does not exist: reg:5000/team/app:v3$"):
        service.to_push("reg:5000/team/app", "v3")
    with pytest.raises(NotFound, match=r"does not exist locally with the tag: reg:5000/other$"):
        service.to_push("reg:5000/other", "v1")
