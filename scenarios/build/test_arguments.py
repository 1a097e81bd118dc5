"""ARG: where a build's arguments are seen, what they override, and what they rebuild."""

from __future__ import annotations

from scenarios.conftest import Observe
from scenarios.harness.building import Builder


def test_an_argument_has_a_default_and_can_be_given(builder: Builder, observe: Observe) -> None:
    dockerfile = "FROM busybox\nARG who=nobody\nARG unset\nRUN echo who=$who unset=${unset-none}\n"
    assert builder.build(dockerfile).printed() == ["who=nobody unset=none"]
    given = builder.build(dockerfile, buildargs={"who": "me", "unset": "set"})
    assert given.printed() == ["who=me unset=set"]
    observe("output", given.lines)
    observe("history", builder.history(given))


def test_arguments_are_not_in_the_image(builder: Builder, observe: Observe) -> None:
    built = builder.build("FROM busybox\nARG a=1\nARG b\nRUN true\n", buildargs={"b": "2"})
    config = builder.inspect(built)["Config"]
    assert not [one for one in config["Env"] if one.startswith(("a=", "b="))]
    observe("config", config)


def test_a_changed_argument_rebuilds_from_its_use(builder: Builder, observe: Observe) -> None:
    dockerfile = "FROM busybox\nRUN echo early\nARG v\nENV x=1\nRUN echo $v\nRUN echo late\n"
    builder.build(dockerfile, buildargs={"v": "1"})
    changed = builder.build(dockerfile, buildargs={"v": "2"})
    assert "RUN echo early" not in changed.rebuilt
    assert "RUN echo $v" in changed.rebuilt
    observe("rebuilt", changed.rebuilt)
    observe("default", builder.build(dockerfile).rebuilt)


def test_an_argument_before_from_names_the_base(builder: Builder, observe: Observe) -> None:
    dockerfile = (
        "ARG tag=latest\nARG base=busybox:${tag}\nFROM ${base}\nRUN echo [$tag]\n"
        "ARG tag\nRUN echo [$tag]\n"
    )
    built = builder.build(dockerfile)
    assert built.printed() == ["[]", "[latest]"]
    observe("output", built.lines)
    builder.build("FROM busybox\nENV other=1\n", tag="lading-test:other")
    other = builder.build(dockerfile, buildargs={"base": "lading-test:other", "tag": "t"})
    assert "other=1" in builder.inspect(other)["Config"]["Env"]
    assert other.printed() == ["[]", "[t]"]


def test_an_argument_ends_with_its_stage(builder: Builder, observe: Observe) -> None:
    dockerfile = (
        "FROM busybox AS one\nARG a=1\nRUN echo one [$a]\n"
        "FROM one AS two\nRUN echo two [$a]\n"
        "FROM busybox\nRUN echo three [$a]\nCOPY --from=two /etc/passwd /p\n"
    )
    built = builder.build(dockerfile)
    observe("printed", sorted(built.printed()))
    assert "three []" in built.printed()


def test_the_environment_wins_over_an_argument(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox\nENV v=env\nARG v=default\nRUN echo $v\n"
        "ARG w=1\nENV w=${w}env\nRUN echo $w\n",
        buildargs={"v": "argument"},
    )
    assert built.printed() == ["env", "1env"]
    observe("env", builder.inspect(built)["Config"]["Env"])


def test_an_argument_that_nobody_takes_is_warned_of(builder: Builder, observe: Observe) -> None:
    built = builder.build("FROM busybox\nARG a\n", buildargs={"z": "1", "a": "2", "y": "3"})
    (warning,) = [line for line in built.lines if line.startswith("[Warning]")]
    assert "[y z]" in warning
    observe("warning", warning)


def test_proxies_are_known_without_being_declared(builder: Builder, observe: Observe) -> None:
    dockerfile = "FROM busybox\nRUN echo [$HTTP_PROXY]\n"
    built = builder.build(dockerfile, buildargs={"HTTP_PROXY": "http://192.0.2.1:3128"})
    assert built.printed() == ["[http://192.0.2.1:3128]"]
    assert not any("192.0.2.1" in entry["CreatedBy"] for entry in builder.history(built))
    # Where it was built is no reason to build it again.
    other = builder.build(dockerfile, buildargs={"HTTP_PROXY": "http://192.0.2.2:3128"})
    assert other.rebuilt == []
    observe("config", builder.inspect(built)["Config"])
    observe("history", builder.history(built))


def test_arguments_are_put_into_instructions(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox\nARG d=/srv p=80 u=nobody s=SIGINT\nWORKDIR $d/app\nEXPOSE $p/udp\n"
        "LABEL dir=\"$d\" plain='$d'\nUSER $u\nSTOPSIGNAL $s\nVOLUME $d\nCOPY f ${d:+$d}/f\n"
        'CMD ["echo", "$d"]\n',
        {"f": "f"},
    )
    config = builder.inspect(built)["Config"]
    assert config["WorkingDir"] == "/srv/app"
    assert config["Cmd"] == ["echo", "$d"]
    observe("config", config)
    observe("history", builder.history(built))


def test_an_empty_argument_in_from_is_refused(builder: Builder, observe: Observe) -> None:
    failed = builder.fail("ARG base\nFROM $base\n")
    assert "base name ($base) should not be blank" in failed.error
    observe("built", failed.image)


def test_modifiers_of_variables(builder: Builder, observe: Observe) -> None:
    dockerfile = (
        "FROM busybox\nENV set=value empty=\n"
        "ENV a=${set:-x} b=${empty:-x} c=${none:-x} d=${set:+x} e=${empty:+x} f=${none:+x}\n"
        "ENV g=${empty-x} h=${none-x} i=${empty+x} j=${none+x} k=\\$set l='$set' m=\"$set\"\n"
        'ENV n=${set}$set o=${none} p=pre${set}post q="a b" r=a\\ b s=${none:-${set}}\n'
    )
    env = dict(one.split("=", 1) for one in builder.config(dockerfile)["Env"])
    assert (env["a"], env["b"], env["d"], env["e"]) == ("value", "x", "x", "")
    observe("env", env)


def test_patterns_of_variables(builder: Builder, observe: Observe) -> None:
    dockerfile = (
        "FROM busybox\nENV file=/usr/lib/libfoo.so.1.so\n"
        "ENV a=${file#*/} b=${file##*/} c=${file%.so*} d=${file%%.so*}\n"
        "ENV e=${file/lib/LIB} f=${file//lib/LIB} g=${file#none}\n"
    )
    env = dict(one.split("=", 1) for one in builder.config(dockerfile)["Env"])
    assert env["b"] == "libfoo.so.1.so"
    observe("env", env)


def test_a_required_variable_that_is_missing_stops_the_build(
    builder: Builder, observe: Observe
) -> None:
    failed = builder.fail('FROM busybox\nENV a="${none:?it must be set}"\n')
    assert "it must be set" in failed.error
    observe("status", failed.status)
