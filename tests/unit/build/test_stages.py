from __future__ import annotations

import pytest

from lading.build.dockerfile import parse
from lading.build.errors import DockerfileError
from lading.build.stages import StageGraph, build_graph
from lading.errors import InvalidParameter

MULTI = """
ARG TAG=3
FROM alpine:${TAG} AS base
FROM base AS Build
RUN make
FROM base AS test
RUN --mount=from=build,target=/b make check
FROM scratch
COPY --from=build /out /
COPY --from=0 /etc/x /
COPY --from=registry.example/image /y /
"""


def graph(text: str, **args: str) -> StageGraph:
    return build_graph(parse(text), args)


def test_stages_know_their_base_and_needs() -> None:
    stages = graph(MULTI).stages
    assert [stage.name for stage in stages] == ["base", "build", "test", "3"]
    assert [stage.base for stage in stages] == ["alpine:3", 0, 0, "scratch"]
    assert [sorted(stage.needs) for stage in stages] == [[], [0], [0, 1], [0, 1]]


def test_a_build_argument_overrides_the_default_above_from() -> None:
    assert graph(MULTI, TAG="edge").stages[0].base == "alpine:edge"


def test_only_what_the_target_needs_is_built() -> None:
    parsed = graph(MULTI)
    assert [s.number for s in parsed.needed(parsed.target(""))] == [0, 1, 3]
    assert [s.number for s in parsed.needed(parsed.target("BUILD"))] == [0, 1]
    assert parsed.target("2").name == "test"


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(InvalidParameter, match='target stage "x" could not be found'):
        graph(MULTI).target("x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("RUN x", "no build stage in current context"),
        ("ARG a=1", "no build stage in current context"),
        ("FROM $nothing", "should not be blank"),
        ("FROM ${x", "missing '}'"),
    ],
)
def test_impossible_stages_are_refused(text: str, words: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        graph(text)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FROM a AS x\nCOPY --from=y . .\nFROM a AS y", "circular dependency"),
        ("FROM a AS x\nCOPY --from=x . .", "circular dependency"),
        ("FROM a\nRUN --mount=from=0,target=/x y", "an earlier one"),
    ],
)
def test_a_stage_of_a_circle_has_a_fault_and_the_others_have_none(text: str, words: str) -> None:
    first, *others = graph(f"{text}\nFROM b\nCOPY --from=0 . .").stages
    assert first.fault is not None
    assert words in first.fault.message
    assert not any(one.fault for one in others)
