"""Several stages: what is taken from one into another, and which are built."""

from __future__ import annotations

from scenarios.conftest import Observe
from scenarios.harness.building import Builder
from scenarios.harness.subject import Subject

_THREE = """
FROM busybox AS first
RUN echo first > /name
FROM busybox AS second
RUN echo second > /name
FROM busybox
COPY --from=first /name /
"""


def test_a_later_stage_takes_files_by_name_and_by_number(
    builder: Builder, observe: Observe
) -> None:
    built = builder.build(
        "FROM busybox AS one\nRUN mkdir -p /out/sub && echo 1 > /out/a && ln -s a /out/sub/l\n"
        "FROM busybox AS Two\nRUN echo 2 > /two\n"
        "FROM busybox\nCOPY --from=one /out /taken\nCOPY --from=1 two /two\n"
        "COPY --from=TWO /two /again\n"
    )
    listing = builder.shell(built, "find /taken /two /again | sort; readlink /taken/sub/l")
    assert listing == ["/again", "/taken", "/taken/a", "/taken/sub", "/taken/sub/l", "/two", "a"]
    observe("listing", listing)
    observe("layers", len(builder.inspect(built)["RootFS"]["Layers"]))


def test_the_last_stage_is_the_image(builder: Builder, observe: Observe) -> None:
    built = builder.build(_THREE)
    assert builder.run(built, "cat", "/name") == "first"
    observe("history", builder.history(built))


def test_a_target_ends_the_build_there(builder: Builder, observe: Observe) -> None:
    for target, shown in (("first", "first"), ("SECOND", "second")):
        built = builder.build(_THREE, target=target)
        assert builder.run(built, "cat", "/name") == shown
        assert not any(line.endswith("COPY --from=first /name /") for line in built.lines)
        observe(target, shown)


def test_an_unknown_target_is_refused(builder: Builder, observe: Observe) -> None:
    failed = builder.fail(_THREE, target="fourth")
    observe("status", failed.status)
    observe("error", failed.error)


def test_a_stage_is_the_base_of_another(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox AS base\nENV a=1\nWORKDIR /w\nRUN echo x > x\n"
        "FROM base AS one\nRUN rm x && echo y > y\nFROM base\nRUN ls\nCOPY --from=one /w /w2\n"
    )
    assert built.printed() == ["x"]
    assert builder.shell(built, "pwd; ls /w /w2; echo $a") == [
        "/w",
        "/w:",
        "x",
        "",
        "/w2:",
        "y",
        "1",
    ]
    observe("config", builder.inspect(built)["Config"])


def test_what_a_stage_removed_is_not_taken(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox AS one\nRUN mkdir -p /d/e && touch /d/a /d/b /d/e/f\nRUN rm -r /d/a /d/e\n"
        "RUN mkdir /d/e && touch /d/e/g\nFROM busybox\nCOPY --from=one /d /d\n"
    )
    listing = builder.shell(built, "find /d | sort")
    assert listing == ["/d", "/d/b", "/d/e", "/d/e/g"]
    observe("listing", listing)


def test_files_are_taken_from_an_image(builder: Builder, engine: Subject, observe: Observe) -> None:
    builder.build("FROM busybox\nRUN echo taken > /t\n", tag="lading-test:source")
    built = builder.build("FROM busybox\nCOPY --from=lading-test:source /t /t\n")
    assert builder.run(built, "cat", "/t") == "taken"
    observe("history", builder.history(built))


def test_a_source_that_no_stage_has(builder: Builder, observe: Observe) -> None:
    failed = builder.fail("FROM busybox AS a\nFROM busybox\nCOPY --from=a /missing /x\n")
    assert "missing" in failed.error
    observe("status", failed.status)


def test_a_stage_can_not_take_from_itself_or_from_a_later_one(
    builder: Builder, observe: Observe
) -> None:
    itself = builder.fail("FROM busybox AS a\nCOPY --from=a /etc/passwd /x\n")
    later = builder.fail("FROM busybox\nCOPY --from=1 /etc/passwd /x\nFROM busybox\n")
    observe("statuses", [itself.status, later.status])


def test_owners_come_along_unless_told(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox AS a\nRUN touch /f && chown 7:8 /f && chmod 4751 /f\n"
        "FROM busybox\nCOPY --from=a /f /plain\nCOPY --from=a --chown=9:users /f /told\n"
    )
    listing = builder.shell(built, "stat -c '%n %u:%g %a' /plain /told")
    assert "/plain 7:8 4751" in listing
    observe("listing", listing)


def test_two_stages_of_one_text_are_built_once(builder: Builder, observe: Observe) -> None:
    text = "RUN cat /proc/sys/kernel/random/uuid > /u\n"
    built = builder.build(
        f"FROM busybox AS a\n{text}FROM busybox AS b\n{text}"
        "FROM busybox\nCOPY --from=a /u /a\nCOPY --from=b /u /b\n"
    )
    one, other = builder.shell(built, "cat /a /b")
    assert one == other
    observe("same", True)


def test_stage_names_are_checked(builder: Builder, observe: Observe) -> None:
    for name in ("1a", "Upper", "a b", "ok-1.2_3"):
        built = builder.attempt(f"FROM busybox AS {name}\nENV a=1\n")
        observe(name, built.status)
