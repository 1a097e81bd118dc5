"""Images that a build gets from a registry: bases, sources of COPY, caches, platforms, logins."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from lab import images
from lab.registry import PASSWORD, USER, Registry, copy
from lab.slots import claimed
from scenarios.conftest import Observe
from scenarios.harness.building import Builder, error_of, messages, post
from scenarios.harness.subject import Subject

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    """A plain registry that every engine of the lab reaches, with busybox in it; its address."""
    with claimed("reg") as name, Registry(name) as running:
        copy(f"docker-archive:{images.busybox()}", f"docker://{running.address}/lading/busybox:1")
        yield running.address


def _statuses(response: requests.Response, registry: str) -> list[str]:
    said = [one["status"] for one in messages(response) if "status" in one]
    return [text.replace(registry, "REGISTRY") for text in said]


def _put(address: str, kind: str, name: str, media_type: str, document: Any) -> dict[str, Any]:
    """Put a manifest or a blob of JSON into the repository lading/two; gives its descriptor."""
    data = json.dumps(document).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    base = f"http://{address}/v2/lading/two"
    if kind == "blobs":
        place = requests.post(f"{base}/blobs/uploads/", timeout=30).headers["Location"]
        joint = "&" if "?" in place else "?"
        answer = requests.put(f"{place}{joint}digest={digest}", data, timeout=30)
    else:
        headers = {"Content-Type": media_type}
        answer = requests.put(
            f"{base}/manifests/{name or digest}", data, headers=headers, timeout=30
        )
    assert answer.status_code == 201, answer.text
    return {"mediaType": media_type, "size": len(data), "digest": digest}


def _list_of_two(address: str) -> str:
    """Make an image for two platforms of busybox; gives its name."""
    base = f"http://{address}/v2/lading/two"
    copy(f"docker-archive:{images.busybox()}", f"docker://{address}/lading/two:amd64")
    accept = {"Accept": _MANIFEST}
    found = requests.get(f"{base}/manifests/amd64", headers=accept, timeout=30)
    manifest = found.json()
    config = requests.get(f"{base}/blobs/{manifest['config']['digest']}", timeout=30).json()
    entries = []
    for architecture in ("amd64", "arm64"):
        made = _put(
            address, "blobs", "", manifest["config"]["mediaType"],
            {**config, "architecture": architecture},
        )  # fmt: skip
        entry = _put(address, "manifests", "", _MANIFEST, {**manifest, "config": made})
        entries.append({**entry, "platform": {"os": "linux", "architecture": architecture}})
    _put(
        address, "manifests", "both", _LIST,
        {"schemaVersion": 2, "mediaType": _LIST, "manifests": entries},
    )  # fmt: skip
    return f"{address}/lading/two:both"


def test_a_base_that_is_not_here_is_pulled(
    engine: Subject, registry: str, observe: Observe
) -> None:
    response = post(engine, f"FROM {registry}/lading/busybox:1\nRUN echo said\n")
    assert "Successfully built" in response.text
    named = engine.client.images.get(f"{registry}/lading/busybox:1")
    assert named.id == engine.client.images.get("busybox:latest").id
    assert "Status: Downloaded newer image for REGISTRY/lading/busybox:1" in _statuses(
        response, registry
    )
    observe("statuses", [one for one in _statuses(response, registry) if "ulling from" in one])


def test_a_base_that_is_here_is_not_asked_for(engine: Subject, registry: str) -> None:
    engine.succeed("tag", "busybox", f"{registry}/lading/none:1")
    response = post(engine, f"FROM {registry}/lading/none:1\nENV a=1\n")
    assert "Successfully built" in response.text
    assert _statuses(response, registry) == []


def test_pull_asks_for_what_is_here_too(engine: Subject, registry: str, observe: Observe) -> None:
    text = f"FROM {registry}/lading/busybox:1\nENV a=1\n"
    engine.succeed("pull", f"{registry}/lading/busybox:1")
    response = post(engine, text, {"pull": "1"})
    assert "Successfully built" in response.text
    observe("statuses", _statuses(response, registry))
    engine.succeed("tag", "busybox", f"{registry}/lading/none:1")
    failed = post(engine, f"FROM {registry}/lading/none:1\nENV a=1\n", {"pull": "1"})
    observe("error", error_of(failed).replace(registry, "REGISTRY"))
    assert "not found" in error_of(failed)


@pytest.mark.parametrize("name", ["busybox:none", "none:1"])
def test_a_base_that_is_nowhere(engine: Subject, registry: str, name: str) -> None:
    response = post(engine, f"FROM {registry}/lading/{name}\nENV a=1\n")
    assert response.status_code == 200
    assert error_of(response).startswith(f"manifest for {registry}/lading/{name} not found")


def test_files_of_an_image_that_is_not_here(builder: Builder, registry: str) -> None:
    text = f"FROM busybox\nCOPY --from={registry}/lading/busybox:1 /bin/true /copied/\n"
    built = builder.build(text)
    assert builder.shell(built, "/copied/true && echo ran") == ["ran"]
    failed = builder.fail(text.replace("busybox:1", "busybox:none"))
    words = f"invalid from flag value {registry}/lading/busybox:none: manifest for {registry}"
    assert failed.error.startswith(words)


def test_a_quiet_build_does_not_tell_of_its_pull(engine: Subject, registry: str) -> None:
    response = post(engine, f"FROM {registry}/lading/busybox:1\nENV a=1\n", {"q": "1"})
    assert len(messages(response)) == 1


def test_a_platform_is_chosen_of_several(engine: Subject, registry: str) -> None:
    name = _list_of_two(registry)
    text = f"FROM {name}\nENV a=1\n"
    assert _architecture(engine, post(engine, text)) == "amd64"
    engine.client.images.remove(name, force=True)
    assert _architecture(engine, post(engine, text, {"platform": "linux/arm64"})) == "arm64"
    engine.client.images.remove(name, force=True)
    own = text.replace("FROM", "FROM --platform=arm64")
    assert _architecture(engine, post(engine, own, {"platform": "linux/amd64"})) == "arm64"


def _architecture(engine: Subject, response: requests.Response) -> str:
    (image,) = [one["aux"]["ID"] for one in messages(response) if "aux" in one]
    return str(engine.client.api.inspect_image(image)["Architecture"])


def test_a_pulled_image_is_a_cache_when_it_is_named(
    engine: Subject, builder: Builder, registry: str
) -> None:
    name = f"{registry}/lading/cache-{engine.name}:1"
    text = "FROM busybox\nENV a=1\nRUN echo one > /one\nCOPY f /f\nRUN echo two > /two\nCMD x\n"
    built = builder.build(text, {"f": "f"}, tag=name)
    engine.succeed("push", name)
    engine.client.images.remove(name)
    engine.succeed("pull", name)
    again = builder.build(text, {"f": "f"}, cache_from=[name])
    assert (again.image, again.rebuilt) == (built.image, [])
    changed = builder.build(text.replace("two >", "2 >"), {"f": "f"}, cache_from=["nosuch", name])
    assert changed.rebuilt == ["RUN echo 2 > /two", "CMD x"]
    other = builder.build(text, {"f": "g"}, cache_from=[name])
    assert other.rebuilt == ["COPY f /f", "RUN echo two > /two", "CMD x"]


def test_only_the_steps_of_the_named_caches_count(builder: Builder) -> None:
    text = "FROM busybox\nENV a=1\nRUN echo > /x\n"
    builder.build(text, tag="lading-test:one")
    assert builder.build(text, cache_from=["busybox"]).rebuilt == ["ENV a=1", "RUN echo > /x"]
    assert builder.build(text, cache_from=["lading-test:one"]).rebuilt == []


def test_logins_go_with_the_build(engine: Subject) -> None:
    with claimed("reg") as name, Registry(name, secure=True) as secure:
        copy(
            f"docker-archive:{images.busybox()}",
            f"docker://{secure.address}/lading/busybox:1",
            f"--dest-creds={USER}:{PASSWORD}",
        )
        text = f"FROM {secure.address}/lading/busybox:1\nENV a=1\n"
        refused = post(engine, text)
        assert "no basic auth credentials" in error_of(refused)
        logins = {secure.address: {"username": USER, "password": PASSWORD}}
        header = base64.urlsafe_b64encode(json.dumps(logins).encode()).decode()
        response = post(engine, text, headers={"X-Registry-Config": header})
        assert "Successfully built" in response.text, response.text
