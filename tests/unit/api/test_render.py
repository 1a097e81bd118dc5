from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from lading.api.progress import human_size, layer_progress, progress_bar
from lading.api.render import containers as render
from lading.api.render.durations import in_words
from lading.api.versions import CURRENT, Version
from lading.engine.containers import Sizes
from lading.engine.engine import Engine
from lading.engine.model import (
    EndpointSettings,
    Health,
    HealthStatus,
    MountPoint,
    MountRecord,
    NetworkSettings,
    PortBinding,
    State,
    Status,
)

from .fakes import container


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (150, "2 minutes"),
        (3600, "About an hour"),
        (2 * 3600, "2 hours"),
        (47 * 3600, "47 hours"),
        (3 * 86400, "3 days"),
        (15 * 86400, "2 weeks"),
        (65 * 86400, "2 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State(), "Created"),
        (State(status=Status.RUNNING, started_at=ago(hours=3)), "Up 3 hours"),
        (State(status=Status.PAUSED, started_at=ago(hours=2)), "Up 2 hours (Paused)"),
        (
            State(status=Status.EXITED, exit_code=137, finished_at=ago(hours=5)),
            "Exited (137) 5 hours ago",
        ),
        (
            State(status=Status.RESTARTING, exit_code=1, finished_at=ago(hours=5)),
            "Restarting (1) 5 hours ago",
        ),
        (State(status=Status.DEAD), "Dead"),
        (State(status=Status.REMOVING), "Removal In Progress"),
        (
            State(
                status=Status.RUNNING,
                started_at=ago(hours=3),
                health=Health(status=HealthStatus.HEALTHY),
            ),
            "Up 3 hours (healthy)",
        ),
        (
            State(status=Status.RUNNING, started_at=ago(hours=3), health=Health()),
            "Up 3 hours (health: starting)",
        ),
    ],
)
def test_status(state: State, words: str) -> None:
    assert render.status(container(state=state)) == words


def test_command() -> None:
    shown = render.command(container(path="sh", args=["-c", "echo hi; sleep 1", "x"]))
    assert shown == "sh -c 'echo hi; sleep 1' x"


def test_ports() -> None:
    published = {
        "80/tcp": [PortBinding(host_ip="0.0.0.0", host_port="8080"), PortBinding(host_ip="::")],
        "53/udp": None,
    }
    assert render.ports(published) == [
        {"IP": "0.0.0.0", "PublicPort": 8080, "PrivatePort": 80, "Type": "tcp"},
        {"IP": "::", "PublicPort": 0, "PrivatePort": 80, "Type": "tcp"},
        {"PrivatePort": 53, "Type": "udp"},
    ]


class ShownEngine:
    """What rendering asks of an engine."""

    class containers:
        """Its containers."""

        @staticmethod
        def graph_driver(_container: object) -> dict[str, str]:
            return {"LowerDir": "/l", "MergedDir": "/m", "UpperDir": "/u", "WorkDir": "/w"}

    class images:
        """Its images."""

        @staticmethod
        def get(_ref: str) -> Any:
            class Image:
                id = "sha256:" + "1" * 64

            return Image


ENGINE = cast(Engine, ShownEngine())


def connected() -> NetworkSettings:
    endpoint = EndpointSettings(
        network_id="n", endpoint_id="e", ip_address="10.0.0.2", ip_prefix_len=8, mac_address="m"
    )
    return NetworkSettings(sandbox_id="s", networks={"bridge": endpoint})


def test_details_repeat_the_address_in_the_default_network() -> None:
    shown = render.details(ENGINE, container(network_settings=connected()), None, CURRENT)
    settings = shown["NetworkSettings"]
    assert settings["IPAddress"] == "10.0.0.2"
    assert settings["Networks"]["bridge"]["IPAddress"] == "10.0.0.2"
    assert shown["Name"] == "/box"
    assert shown["GraphDriver"]["Data"]["UpperDir"] == "/u"
    assert "SizeRw" not in shown


def test_older_clients_find_the_mac_address_in_the_config() -> None:
    box = container(network_settings=connected())
    assert render.details(ENGINE, box, None, Version(1, 43))["Config"]["MacAddress"] == "m"
    assert "MacAddress" not in render.details(ENGINE, box, None, CURRENT)["Config"]


def test_summary() -> None:
    mounts = [
        MountRecord(point=MountPoint(type="volume", name="v", destination=path))
        for path in ("/b", "/a")
    ]
    shown = render.summary(ENGINE, container(mounts=mounts), Sizes(rw=0, root=7), CURRENT)
    assert shown["Names"] == ["/box"]
    assert shown["Image"] == "busybox"
    assert shown["Created"] == 1767323045
    assert shown["HostConfig"] == {"NetworkMode": "bridge"}
    assert [mount["Destination"] for mount in shown["Mounts"]] == ["/a", "/b"]
    assert shown["SizeRootFs"] == 7
    assert "SizeRw" not in shown


def test_an_image_whose_name_moved_on_is_shown_by_id() -> None:
    other = "sha256:" + "2" * 64
    assert render.summary(ENGINE, container(image_id=other), None, CURRENT)["Image"] == other


def test_details_have_every_field_of_the_api(docker_api: dict[str, Any]) -> None:
    definitions = docker_api["definitions"]
    shown = render.details(ENGINE, container(), Sizes(rw=1, root=2), CURRENT)
    described = set(definitions["ContainerInspectResponse"]["properties"])
    # Only with containerd's image store, which Lading does not have.
    assert described - set(shown) == {"ImageManifestDescriptor"}
    settings = set(definitions["NetworkSettings"]["properties"])
    assert settings == set(shown["NetworkSettings"])


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (999, "999B"), (1984172, "1.984MB"), (10**9, "1GB")]
)
def test_sizes(size: int, text: str) -> None:
    assert human_size(size) == text


def test_progress() -> None:
    assert progress_bar(50, 100) == "[" + "=" * 25 + ">" + " " * 25 + "]      50B/100B"
    assert layer_progress("Loading layer", "abc", 1, 0)["progressDetail"] == {"current": 1}
