"""The parameters of a build, as they come in a request."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode

import pytest

from lading.api import buildquery, registryauth
from lading.api.call import Call
from lading.api.versions import Version
from lading.build.contracts import BuildOptions
from lading.engine.model.host import Ulimit
from lading.errors import InvalidParameter, LadingError, NotImplementedYet
from lading.image.registry.settings import Credentials


def call(headers: dict[str, str] | None = None, **query: str | list[str]) -> Call:
    request = SimpleNamespace(headers=headers or {})
    text = urlencode(query, doseq=True)
    return Call(cast("Any", None), cast("Any", request), Version(1, 51), "", text)


def read(asked: Call) -> None:
    buildquery.options_of(asked)
    buildquery.settings_of(asked)


def test_nothing_is_asked_for() -> None:
    assert buildquery.options_of(call()) == BuildOptions()
    settings = buildquery.settings_of(call(version="1", isolation="default", outputs="null"))
    assert (settings.remove, settings.force_remove, settings.pull) == (True, False, False)
    assert settings.login("anywhere") == Credentials()


def test_what_is_to_be_built() -> None:
    options = buildquery.options_of(
        call(
            {buildquery.TIMES_HEADER: "1"},
            t=["a:1", "", "b"],
            target="x",
            buildargs='{"a": "1", "b": null}',
            labels='{"l": "m"}',
            nocache="1",
            networkmode="none",
            cachefrom='["c"]',
        )
    )
    assert options == BuildOptions(
        tags=("a:1", "b"),
        target="x",
        build_args={"a": "1"},
        labels={"l": "m"},
        no_cache=True,
        network="none",
        cache_from=("c",),
        timed=True,
    )


def test_limits_of_commands() -> None:
    limits = buildquery.settings_of(
        call(
            memory="7",
            memswap="-1",
            cpushares="much",
            cpuquota=str(1 << 64),
            shmsize="9",
            extrahosts=["a:1.1.1.1", "b:2.2.2.2"],
            ulimits='[{"Name": "nofile", "Soft": 1, "Hard": 2}]',
            cgroupparent="/p",
        )
    ).limits
    assert (limits.memory, limits.memory_swap, limits.shm_size) == (7, -1, 9)
    assert (limits.cpu_shares, limits.cpu_quota) == (0, 0)
    assert limits.extra_hosts == ["a:1.1.1.1", "b:2.2.2.2"]
    assert limits.ulimits == [Ulimit(name="nofile", soft=1, hard=2)]
    assert limits.cgroup_parent == "/p"


@pytest.mark.parametrize(
    ("text", "removed"), [("", True), ("1", True), ("yes", True), ("0", False)]
)
def test_containers_are_removed_unless_asked(text: str, removed: bool) -> None:
    assert buildquery.settings_of(call(rm=text)).remove is removed


@pytest.mark.parametrize(
    ("query", "kind", "words"),
    [
        ({"version": "2"}, NotImplementedYet, "set DOCKER_BUILDKIT=0"),
        ({"version": "x"}, InvalidParameter, 'invalid version "x"'),
        ({"squash": "1"}, InvalidParameter, "squash is only supported with experimental mode"),
        ({"securityopt": "x"}, InvalidParameter, "security options are not supported on linux"),
        ({"isolation": "hyperv"}, InvalidParameter, 'unsupported isolation: "hyperv"'),
        ({"outputs": "x"}, InvalidParameter, "invalid outputs specified: "),
        ({"platform": "x"}, InvalidParameter, '"x": unknown operating system'),
        ({"ulimits": "{}"}, InvalidParameter, "error reading ulimit settings: "),
        ({"shmsize": "x"}, LadingError, 'invalid shmsize "x"'),
        ({"t": "UP"}, LadingError, "invalid reference format"),
        ({"t": f"a@sha256:{'0' * 64}"}, LadingError, "build tag cannot contain a digest"),
        ({"labels": "[]"}, InvalidParameter, "error reading labels: "),
        ({"buildargs": '{"a": 1}'}, InvalidParameter, "error reading build args: "),
        ({"cachefrom": '"a"'}, InvalidParameter, "error reading cache-from: "),
    ],
)
def test_what_is_refused(query: dict[str, str], kind: type[LadingError], words: str) -> None:
    with pytest.raises(kind) as caught:
        read(call(None, **query))
    assert words in caught.value.message
    assert caught.value.status == kind.status


def test_logins_by_registry() -> None:
    logins = {
        "here:5000": {"username": "a", "password": "b"},
        "https://index.docker.io/v1/": {"auth": base64.b64encode(b"c:d").decode()},
    }
    header = base64.urlsafe_b64encode(json.dumps(logins).encode()).decode()
    settings = buildquery.settings_of(call({registryauth.CONFIG_HEADER: header}))
    assert settings.login("here:5000") == Credentials("a", "b")
    assert settings.login("docker.io") == Credentials("c", "d")


@pytest.mark.parametrize("header", ["%%%", base64.b64encode(b"[1]").decode(), ""])
def test_malformed_logins_are_none(header: str) -> None:
    assert registryauth.from_config_header(header) == {}
