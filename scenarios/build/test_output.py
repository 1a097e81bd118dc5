"""What a build says, what it names its result, and how it refuses a bad Dockerfile."""

from __future__ import annotations

import re

import pytest

from scenarios.conftest import Observe
from scenarios.harness.building import Builder
from scenarios.harness.subject import Subject

_TEXT = "FROM busybox\nENV a=1\nRUN echo said\nCOPY f /f\n"


def test_the_lines_of_a_build(builder: Builder, observe: Observe) -> None:
    built = builder.build(_TEXT, {"f": ""}, tag="lading-test:lines")
    assert built.lines[0] == "Step 1/4 : FROM busybox"
    assert built.lines[-2] == f"Successfully built {built.image.removeprefix('sha256:')[:12]}"
    assert built.lines[-1] == "Successfully tagged lading-test:lines"
    observe("lines", built.lines)
    observe("keys", sorted({key for one in built.messages for key in one}))


def test_a_quiet_build_says_its_id(builder: Builder, engine: Subject, observe: Observe) -> None:
    built = builder.attempt(_TEXT, {"f": ""}, quiet=True, tag="lading-test:quiet")
    image = engine.client.images.get("lading-test:quiet")
    assert built.text == f"{image.id}\n"
    failed = builder.attempt("FROM busybox\nRUN echo why; exit 9\n", quiet=True)
    observe("failed", {"text": failed.text, "error": failed.error, "code": failed.code})


def test_names_are_given_and_taken_away(
    builder: Builder, engine: Subject, observe: Observe
) -> None:
    one = builder.build("FROM busybox\nENV a=1\n", tag="lading-test:name")
    two = builder.build("FROM busybox\nENV a=2\n", tag="lading-test:name")
    dangling = engine.succeed("images", "--filter=dangling=true", "--quiet", "--no-trunc").split()
    assert dangling == [one.image]
    assert engine.client.images.get("lading-test:name").id == two.image
    assert builder.inspect(one)["RepoTags"] == []


def test_several_names_at_once(engine: Subject, observe: Observe) -> None:
    words = ("--tag=lading-test:a", "--tag=lading-test-b", "--tag=lading-test:a")
    output = engine.succeed("build", *words, "-", stdin="FROM busybox\nENV a=1\n")
    tags = sorted(engine.client.images.get("lading-test:a").tags)
    assert tags == ["lading-test-b:latest", "lading-test:a"]
    observe("tagged", sorted(re.findall("Successfully tagged .*", output)))


def test_steps_in_between_are_images_that_are_not_shown(
    builder: Builder, engine: Subject, observe: Observe
) -> None:
    built = builder.build("FROM busybox\nENV a=1\nENV b=2\nRUN echo > /x\n", tag="lading-test:z")
    shown, everything = (engine.client.api.images(all=every, quiet=True) for every in (False, True))
    base = engine.client.images.get("busybox:latest").id
    assert set(shown) == {base, built.image}
    observe("in between", len(set(everything) - set(shown)))
    parents = []
    image = built.image
    while image:
        image = engine.client.api.inspect_image(image)["Parent"]
        parents.append(image)
    assert parents[-2:] == [base, ""]
    observe("parents", len(parents))


def test_a_removed_image_takes_its_steps_along(
    builder: Builder, engine: Subject, observe: Observe
) -> None:
    builder.build("FROM busybox\nENV a=1\nRUN echo > /x\n", tag="lading-test:gone")
    output = engine.succeed("rmi", "lading-test:gone")
    left = engine.client.api.images(all=True, quiet=True)
    assert left == [engine.client.images.get("busybox:latest").id]
    observe("output", sorted(re.sub("[0-9a-f]{64}", "id", output).split("\n")))


def test_dangling_images_are_pruned(builder: Builder, engine: Subject, observe: Observe) -> None:
    builder.build("FROM busybox\nRUN echo kept > /x\n", tag="lading-test:kept")
    builder.build("FROM busybox\nRUN echo gone > /x\nENV a=1\n")
    pruned = engine.client.images.prune()
    assert pruned["SpaceReclaimed"] > 0
    assert [tag for image in engine.client.images.list() for tag in image.tags] == [
        "lading-test:kept", "busybox:latest",
    ]  # fmt: skip
    observe("kinds", sorted({key for one in pruned["ImagesDeleted"] for key in one}))


def test_the_containers_of_steps_are_removed(
    builder: Builder, engine: Subject, observe: Observe
) -> None:
    built = builder.build("FROM busybox\nENV a=1\nRUN echo said\n", rm=True)
    assert engine.containers() == []
    observe("lines", built.lines)


def test_labels_of_the_request_are_a_step(builder: Builder, observe: Observe) -> None:
    built = builder.build("FROM busybox\nENV a=1\n", labels={"x": "1", "w": "two words"})
    assert builder.inspect(built)["Config"]["Labels"] == {"x": "1", "w": "two words"}
    observe("lines", built.lines)
    observe("history", builder.history(built))


@pytest.mark.parametrize(
    ("dockerfile", "line"),
    [
        ("FROM busybox\nRUNN echo\n", 2),
        ("FROM busybox\n\n# comment\n\nCPOY a b\n", 5),
        ("FROM busybox\nRUN true && \\\n  true\nENV\n", 4),
        ('FROM busybox\nENV a=1\nENV "unclosed\n', 3),
    ],
    ids=["misspelt", "after comments", "after a continued line", "quotes"],
)
def test_a_bad_line_is_refused_before_anything_runs(
    builder: Builder, engine: Subject, dockerfile: str, line: int
) -> None:
    failed = builder.fail(dockerfile)
    assert failed.status == 400
    assert "failed to parse Dockerfile" in failed.error or f"line {line}" in failed.error
    assert engine.client.api.images(all=True, quiet=True) == [
        engine.client.images.get("busybox:latest").id
    ]


def test_dockerfiles_that_say_nothing(builder: Builder, observe: Observe) -> None:
    for name, text in {
        "empty": "", "comments": "# nothing\n", "no from": "ENV a=1\n",
    }.items():  # fmt: skip
        failed = builder.attempt(text)
        observe(name, failed.status)
    assert builder.fail("").error == "the Dockerfile (Dockerfile) cannot be empty"


def test_an_unknown_flag_is_refused(builder: Builder, observe: Observe) -> None:
    for line in (
        "COPY --nosuch=1 a b",
        "RUN --nosuch true",
        "ADD --chmod a b",
        "FROM --x=1 busybox",
    ):
        failed = builder.fail(f"FROM busybox\n{line}\n", {"a": ""})
        assert failed.status == 400
        observe(line, failed.status)


def test_the_escape_directive(builder: Builder, observe: Observe) -> None:
    built = builder.build("# escape=`\nFROM busybox\nENV a=c:\\dir\\ `\n    b=2`$x\nRUN echo $a\n")
    env = builder.inspect(built)["Config"]["Env"]
    assert "b=2$x" in env
    observe("env", env)
    # Behind anything else it is a comment.
    late = builder.build("# a comment\n# escape=`\nFROM busybox\nENV a=1 \\\n  b=2\n")
    observe("late", builder.inspect(late)["Config"]["Env"])


def test_case_and_white_space_of_instructions(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "  from busybox as x\n\tEnv a=1\n  run   echo  spaced   out\n\r\ncmd x\r\n"
    )
    assert built.printed() == ["spaced out"]
    observe("lines", built.lines)
    observe("config", builder.inspect(built)["Config"])


def test_a_build_of_what_is_there_already(builder: Builder, observe: Observe) -> None:
    built = builder.build("FROM busybox\n", tag="lading-test:same")
    assert builder.inspect(built)["RepoTags"] == ["busybox:latest", "lading-test:same"]
    observe("lines", built.lines)
