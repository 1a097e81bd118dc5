"""Images go to a registry and come back, the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import images
from lab.registry import Registry, copy
from lab.slots import claimed
from scenarios.conftest import Observe
from scenarios.harness.subject import Subject


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    """A plain registry that every engine of the lab reaches, with busybox in it; its address."""
    with claimed("reg") as name, Registry(name) as running:
        copy(f"docker-archive:{images.busybox()}", f"docker://{running.address}/lading/busybox:1")
        yield running.address


def test_a_pulled_image_is_the_loaded_one(engine: Subject, registry: str, observe: Observe) -> None:
    named = f"{registry}/lading/busybox:1"
    output = engine.succeed("pull", named)
    assert f"Status: Downloaded newer image for {named}" in output
    pulled = engine.client.images.get(named)
    assert pulled.id == engine.client.images.get("busybox:latest").id
    observe("digest", [name.rpartition("@")[2] for name in pulled.attrs["RepoDigests"]])
    again = engine.succeed("pull", named)
    assert f"Status: Image is up to date for {named}" in again


def test_a_digest_pins_what_is_pulled(engine: Subject, registry: str) -> None:
    engine.succeed("pull", f"{registry}/lading/busybox:1")
    image = engine.client.images.get(f"{registry}/lading/busybox:1")
    (pinned,) = image.attrs["RepoDigests"]
    engine.client.images.remove(f"{registry}/lading/busybox:1", force=True)
    engine.succeed("pull", pinned)
    assert engine.client.images.get(pinned).id == image.id


def test_a_push_comes_back_the_same(engine: Subject, registry: str, observe: Observe) -> None:
    named = f"{registry}/lading/pushed-{engine.name}:1"
    engine.succeed("tag", "busybox", named)
    before = engine.client.images.get(named).id
    output = engine.succeed("push", named)
    assert "digest: sha256:" in output
    engine.succeed("rmi", named)
    engine.succeed("pull", named)
    assert engine.client.images.get(named).id == before
    observe("id", before)


def test_what_is_not_there_is_told(engine: Subject, registry: str, observe: Observe) -> None:
    for name in (f"{registry}/lading/busybox:none", f"{registry}/lading/none:1"):
        error = engine.fail("pull", name).err.replace(registry, "REGISTRY")
        observe(name.rpartition("/")[2], error)
