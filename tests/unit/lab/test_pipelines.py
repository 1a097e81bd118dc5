"""The pipelines in `ci/` do what there is to do: tasks, options and releases they name exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from invoke.parser import Parser

import tasks
from lab.bake.main import PROGRAMS
from lab.cells import cells
from lab.matrix.plan import collect, shard
from lab.paths import PROJECT
from lab.reference import RELEASES

FILES = sorted((PROJECT / "ci").glob("*.yml"))
INVOKE = re.compile(r"\binvoke ([a-z.]+)([^&|;\n]*)")


def texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        node = [*node.keys(), *node.values()]
    if isinstance(node, list):
        for one in node:
            yield from texts(one)
    elif isinstance(node, str):
        yield node


def values(node: Any, key: str) -> Iterator[Any]:
    """What stands under a key, wherever, in capitals or not."""
    if isinstance(node, list):
        for one in node:
            yield from values(one, key)
    if isinstance(node, dict):
        for name, value in node.items():
            if str(name).lower() == key and isinstance(value, list):
                yield from value
            yield from values(value, key)


@pytest.fixture(params=FILES, ids=lambda path: path.name)
def pipeline(request: pytest.FixtureRequest) -> Any:
    return yaml.safe_load(request.param.read_text())


def test_there_are_two() -> None:
    assert [path.name for path in FILES] == ["github-actions.yml", "gitlab-ci.yml"]


def test_every_task_and_option_exists(pipeline: Any) -> None:
    found = [match for text in texts(pipeline) for match in INVOKE.finditer(text)]
    assert found
    for match in found:
        task = tasks.namespace[match[1]]
        flags = {flag for one in task.get_arguments() for flag in one.names}
        flags = {name.replace("_", "-") for name in flags}
        for option in re.findall(r"--([a-z-]+)", match[2]):
            assert option in flags, f"invoke {match[1]} has no --{option}"


def test_every_release_and_cell_of_the_project_has_its_job(pipeline: Any) -> None:
    assert list(values(pipeline, "release")) == list(RELEASES)
    assert list(values(pipeline, "cell")) == list(cells())


def test_the_parts_of_a_cell_are_all_there_is(pipeline: Any) -> None:
    every = collect()
    parts = [shard(every, which) for which in values(pipeline, "shard")]
    assert sorted(name for part in parts for name in part) == sorted(every)


def test_the_jobs_of_cells_install_what_machines_want(pipeline: Any) -> None:
    installed = {word for text in texts(pipeline) if "apt-get" in text for word in text.split()}
    bootstrap = (PROJECT / "bootstrap").read_text().split()
    wanted = set(PROGRAMS.values()) - set(bootstrap)
    assert wanted - {"dpkg", "gpgv"} <= installed


def test_the_gate_is_the_developers_own(pipeline: Any) -> None:
    assert ".ci/run" in list(texts(pipeline))


def test_benches_can_be_named_one_after_the_other() -> None:
    said = ["bench", "images", "build"]
    asked = Parser(contexts=tasks.namespace.to_contexts()).parse_argv(said)
    assert [(one.name, one.as_kwargs) for one in asked] == [
        ("bench", {"what": "images", "rounds": 20}),
        ("build.measured", {"rounds": 20}),
    ]
