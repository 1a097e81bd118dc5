from __future__ import annotations

from typing import Any

import pytest

from lading.api.operations import OPERATIONS, OWN_OPERATIONS, Group
from lading.api.router import Router
from lading.api.server import load_handlers

router = Router(OPERATIONS + OWN_OPERATIONS)

UNSERVED = {"ImageSearch", "Session"}
"""Operations that are answered with 501 for now."""


def test_the_table_is_dockers(docker_api: dict[str, Any]) -> None:
    described = {
        (details["operationId"], method.upper(), path.replace("{name}", "{id}"))
        for path, methods in docker_api["paths"].items()
        for method, details in methods.items()
        if "operationId" in details
    }
    assert {operation[:3] for operation in OPERATIONS} == described


def test_every_operation_is_routed_to_itself() -> None:
    for operation in OPERATIONS + OWN_OPERATIONS:
        match = router.find(operation.method, operation.path.replace("{id}", "some.name-1"))
        assert match is not None
        assert match.operation is operation
        assert match.name == ("some.name-1" if "{id}" in operation.path else "")


def test_every_operation_has_a_handler_or_is_known_not_to() -> None:
    served = {name for group in Group for name in load_handlers(group)}
    assert {operation.name for operation in OPERATIONS + OWN_OPERATIONS} - served <= UNSERVED


@pytest.mark.parametrize(
    ("method", "path", "name", "ref"),
    [
        ("GET", "/images/registry:5000/a/b:1/json", "ImageInspect", "registry:5000/a/b:1"),
        ("GET", "/images/a/json/json", "ImageInspect", "a/json"),
        ("GET", "/images/get", "ImageGetAll", ""),
        ("GET", "/containers/x/attach/ws", "ContainerAttachWebsocket", "x"),
        ("DELETE", "/images/a/b", "ImageDelete", "a/b"),
        ("POST", "/containers/prune", "ContainerPrune", ""),
        ("GET", "/volumes", "VolumeList", ""),
    ],
)
def test_names_with_slashes(method: str, path: str, name: str, ref: str) -> None:
    match = router.find(method, path)
    assert match is not None
    assert (match.operation.name, match.name) == (name, ref)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nope"),
        ("PATCH", "/info"),
        ("GET", ""),
        ("GET", "*"),
        ("POST", "/containers//start"),
        ("GET", "/containers"),
        ("DELETE", "/containers/"),
    ],
)
def test_what_is_no_operation(method: str, path: str) -> None:
    assert router.find(method, path) is None
