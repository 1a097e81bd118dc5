"""Docker's JSON to and from the model."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.engine import times
from lading.engine.imageconfig import merge
from lading.engine.model import (
    NEVER,
    ContainerConfig,
    Healthcheck,
    HostConfig,
    MountPoint,
    NetworkingConfig,
    State,
    Status,
    decode,
    to_wire,
)
from lading.errors import InvalidParameter
from lading.image.model import Config as ImageConfig
from lading.image.model import Healthcheck as ImageHealthcheck

from .fakes import record


def test_nulls_are_defaults_but_stay_in_maps() -> None:
    host = decode(
        b'{"Memory": null, "RestartPolicy": null, "PortBindings": {"80/tcp": null}}', HostConfig
    )
    assert host.memory == 0
    assert host.restart_policy.name == ""
    assert host.port_bindings == {"80/tcp": None}
    networks = decode(b'{"EndpointsConfig": {"web": null}}', NetworkingConfig)
    assert networks.endpoints_config == {"web": None}


def test_lists_keep_the_difference_between_absent_and_empty() -> None:
    shown = to_wire(decode(b'{"CapAdd": [], "CapDrop": null}', HostConfig))
    assert shown["CapAdd"] == []
    assert shown["CapDrop"] is None


def test_names_are_dockers() -> None:
    shown = to_wire(HostConfig())
    for name in ("ContainerIDFile", "UTSMode", "IpcMode", "OomKillDisable", "BlkioDeviceReadIOps"):
        assert name in shown
    for name in ("Annotations", "Sysctls", "Mounts", "Init", "Tmpfs"):
        assert name not in shown


def test_a_command_may_be_one_string() -> None:
    config = decode(b'{"Cmd": "ls -l", "Entrypoint": ["sh"]}', ContainerConfig)
    assert config.words == ["sh", "ls -l"]


@pytest.mark.parametrize("body", [b"{", b'{"Memory": "x"}', b"[]", b'{"Env": {"a": "b"}}'])
def test_malformed_bodies(body: bytes) -> None:
    with pytest.raises(InvalidParameter, match=r"^invalid JSON: "):
        decode(body, HostConfig if b"Env" not in body else ContainerConfig)


def test_a_record_survives_the_disk() -> None:
    made = record(binds=["/a:/b"], memory=5)
    made.state = State(status=Status.PAUSED, pid=7)
    assert msgspec.json.decode(msgspec.json.encode(made), type=type(made)) == made


@pytest.mark.parametrize(
    ("status", "flags"),
    [
        (Status.RUNNING, (True, False, False)),
        (Status.PAUSED, (True, True, False)),
        (Status.RESTARTING, (True, False, True)),
        (Status.EXITED, (False, False, False)),
    ],
)
def test_state_flags(status: Status, flags: tuple[bool, bool, bool]) -> None:
    shown = State(status=status).shown()
    assert (shown["Running"], shown["Paused"], shown["Restarting"]) == flags
    assert shown["StartedAt"] == NEVER
    assert "Health" not in shown


def test_mount_points_leave_out_what_is_empty() -> None:
    shown = to_wire(MountPoint(type="bind", source="/a", destination="/b"))
    assert "Name" not in shown
    assert shown["RW"] is True


@given(st.integers(0, 4102444800 * 10**9))
def test_times_survive(nanos: int) -> None:
    assert times.parsed(times.written(nanos)) == nanos


def test_times_with_zones() -> None:
    assert times.parsed("1970-01-01T02:00:00+02:00") == 0
    assert times.parsed(NEVER) < 0
    with pytest.raises(InvalidParameter):
        times.parsed("yesterday")


def image_config() -> ImageConfig:
    return ImageConfig(
        env=["PATH=/bin", "A=image"],
        cmd=["serve"],
        entrypoint=["/entry"],
        user="mary",
        working_dir="/srv",
        labels={"a": "image", "b": "image"},
        exposed_ports={"80/tcp": {}},
        volumes={"/data": {}},
        stop_signal="SIGQUIT",
        healthcheck=ImageHealthcheck(test=["CMD", "true"], interval=5 * 10**9),
    )


def test_the_image_completes_the_configuration() -> None:
    config = merge(
        ContainerConfig(
            env=["A=mine"],
            labels={"a": "mine"},
            exposed_ports={"81/tcp": {}},
            healthcheck=Healthcheck(retries=7),
        ),
        image_config(),
    )
    assert config.env == ["A=mine", "PATH=/bin"]
    assert config.labels == {"a": "mine", "b": "image"}
    assert config.words == ["/entry", "serve"]
    assert set(config.exposed_ports or {}) == {"80/tcp", "81/tcp"}
    assert set(config.volumes or {}) == {"/data"}
    assert (config.user, config.working_dir, config.stop_signal) == ("mary", "/srv", "SIGQUIT")
    assert config.healthcheck == Healthcheck(test=["CMD", "true"], interval=5 * 10**9, retries=7)


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "words"),
    [
        (None, None, ["/entry", "serve"]),
        (None, ["other"], ["/entry", "other"]),
        (["/own"], None, ["/own"]),
        ([], None, ["serve"]),
        ([""], ["x"], ["x"]),
    ],
)
def test_commands(entrypoint: list[str] | None, cmd: list[str] | None, words: list[str]) -> None:
    config = ContainerConfig(entrypoint=entrypoint, cmd=cmd)
    assert merge(config, image_config()).words == words


def test_no_command_at_all() -> None:
    with pytest.raises(InvalidParameter, match=r"^no command specified$"):
        merge(ContainerConfig(), None)
    with pytest.raises(InvalidParameter, match=r"^no command specified$"):
        merge(ContainerConfig(entrypoint=[""]), image_config())
