"""What each instruction does to the image's configuration, and to what runs in it."""

from __future__ import annotations

from scenarios.conftest import Observe
from scenarios.harness.building import Builder
from scenarios.harness.subject import Subject

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_EVERYTHING = r"""
FROM busybox
MAINTAINER Some One <one@example.org>
ENV a=1 b="two words"
LABEL org.example.title="A title" version=1
EXPOSE 80 53/udp
VOLUME ["/data"]
WORKDIR /app
RUN echo x > /x
COPY --chown=nobody:users f /f
ADD f /g
USER nobody
HEALTHCHECK --interval=7s --retries=2 CMD true
STOPSIGNAL SIGQUIT
SHELL ["/bin/sh", "-ec"]
ONBUILD RUN echo child
ENTRYPOINT ["/bin/sh"]
CMD ["-c", "true"]
"""


def test_every_instruction_has_its_field(builder: Builder, observe: Observe) -> None:
    built = builder.build(_EVERYTHING, {"f": "f"})
    image = builder.inspect(built)
    assert image["Author"] == "Some One <one@example.org>"
    assert len(image["RootFS"]["Layers"]) == 1 + 4
    observe("config", image["Config"])
    observe("others", {key: image[key] for key in ("Author", "Architecture", "Os", "Comment")})
    observe("history", builder.history(built))


def test_the_saved_configuration_is_the_image(builder: Builder, observe: Observe) -> None:
    built = builder.build(_EVERYTHING, {"f": "f"}, tag="lading-test:all")
    document = builder.saved_config("lading-test:all")
    history = document["history"]
    assert len([one for one in history if not one.get("empty_layer")]) == len(
        document["rootfs"]["diff_ids"]
    )
    observe("config", document["config"])
    observe("history", history)
    observe("root", document["rootfs"]["type"])
    observe("id", built.image)


def test_env_in_its_forms(builder: Builder, observe: Observe) -> None:
    config = builder.config(
        "FROM busybox\nENV old style  with   spaces\nENV a=1 b='two words' c=three\\ words \\\n"
        '    d="quoted \\"inside\\"" e=\nENV a=again\nENV PATH=/opt:$PATH\n'
    )
    assert config["Env"][1] == "old=style  with   spaces"
    assert config["Env"][0] == f"PATH=/opt:{_PATH.removeprefix('PATH=')}"
    observe("env", config["Env"])


def test_a_line_of_env_sees_what_was_before_it(builder: Builder, observe: Observe) -> None:
    config = builder.config("FROM busybox\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc\n")
    assert config["Env"][1:] == ["abc=bye", "def=hello", "ghi=bye"]
    observe("env", config["Env"])


def test_ports_in_their_forms(builder: Builder, observe: Observe) -> None:
    config = builder.config("FROM busybox\nEXPOSE 80 80/tcp 53/udp 7000-7002 9/sctp\nEXPOSE 80\n")
    assert set(config["ExposedPorts"]) >= {"80/tcp", "53/udp", "7001/tcp"}
    observe("ports", config["ExposedPorts"])
    failed = builder.fail("FROM busybox\nEXPOSE seventy\n")
    observe("status", failed.status)


def test_volumes_in_their_forms(builder: Builder, observe: Observe) -> None:
    config = builder.config('FROM busybox\nVOLUME /a /b\nVOLUME ["/c d"]\nVOLUME /a\n')
    assert set(config["Volumes"]) == {"/a", "/b", "/c d"}
    observe("volumes", config["Volumes"])


def test_what_a_command_writes_into_a_volume_is_lost(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox\nRUN mkdir /data && echo 1 > /data/before\nVOLUME /data\n"
        "RUN echo 2 > /data/by-run\nCOPY f /data/by-copy\n",
        {"f": "f"},
    )
    found = builder.shell(built, "ls /data")
    assert "before" in found
    assert "by-run" not in found
    observe("found", found)
    observe("layers", len(builder.inspect(built)["RootFS"]["Layers"]))


def test_a_user_runs_what_follows(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox\nRUN id -u\nUSER nobody\nRUN id -u; id -g\nUSER 12:34\nRUN id -u; id -g\n"
    )
    assert built.printed() == ["0", "65534", "65534", "12", "34"]
    assert builder.shell(built, "id -u; id -g") == ["12", "34"]
    observe("user", builder.inspect(built)["Config"]["User"])
    observe("unknown", builder.fail("FROM busybox\nUSER nosuch\nRUN true\n").error)


def test_a_working_directory_is_made_and_is_roots(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox\nUSER nobody\nENV d=deep\nWORKDIR /one\nWORKDIR two\nWORKDIR ${d}/er/\n"
        "RUN pwd\n"
    )
    assert built.printed() == ["/one/two/deep/er"]
    listing = builder.shell(built, "pwd; stat -c '%n %u:%g %a' /one /one/two /one/two/deep/er")
    assert listing[0] == "/one/two/deep/er"
    observe("listing", listing)
    observe("config", builder.inspect(built)["Config"])


def test_a_working_directory_that_is_there_is_left_as_it_is(
    builder: Builder, observe: Observe
) -> None:
    built = builder.build("FROM busybox\nWORKDIR /tmp\nWORKDIR /\nWORKDIR tmp/..\n")
    image = builder.inspect(built)
    assert builder.run(built, "stat", "-c", "%a", "/tmp") == "1777"
    observe("directory", image["Config"]["WorkingDir"])
    observe("layers", len(image["RootFS"]["Layers"]))
    observe("history", builder.history(built))


def test_labels_in_their_forms(builder: Builder, observe: Observe) -> None:
    config = builder.config(
        'FROM busybox\nLABEL a=1 "key with space"="v" multi="one \\\ntwo" c=\'$PATH\'\n'
        "LABEL a=2\nLABEL old form\n",
        labels={"given": "1", "a": "3"},
    )
    assert config["Labels"]["multi"] == "one two"
    observe("labels", config["Labels"])


def test_health_checks(builder: Builder, observe: Observe) -> None:
    head = "FROM busybox\nHEALTHCHECK --interval=3s --timeout=2s --start-period=1s --retries=4 "
    checked = builder.build(f"{head} CMD exit 0\n", tag="lading-test:checked")
    config = builder.inspect(checked)["Config"]
    assert config["Healthcheck"]["Test"] == ["CMD-SHELL", "exit 0"]
    observe("shell", config["Healthcheck"])
    observe("exec", builder.config(f'{head} CMD ["true"]\n')["Healthcheck"])
    off = builder.config("FROM lading-test:checked\nHEALTHCHECK NONE\n")
    assert off["Healthcheck"]["Test"] == ["NONE"]
    observe("none", off["Healthcheck"]["Test"])
    for bad in ("HEALTHCHECK --interval=x CMD true", "HEALTHCHECK true", "HEALTHCHECK CMD"):
        observe(bad, builder.fail(f"FROM busybox\n{bad}\n").status)


def test_stop_signals(builder: Builder, observe: Observe) -> None:
    values = {
        word: builder.config(f"FROM busybox\nENV s=9\nSTOPSIGNAL {word}\n")["StopSignal"]
        for word in ("SIGTERM", "9", "$s", "quit")
    }
    observe("values", values)
    observe("unknown", builder.fail("FROM busybox\nSTOPSIGNAL SIGNOTHING\n").status)


def test_a_shell_runs_what_has_none_of_its_own(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        'FROM busybox\nSHELL ["/bin/sh", "-xc"]\nRUN echo traced\nCMD echo done\n'
        'SHELL ["/bin/echo"]\nRUN said\n'
    )
    assert "traced" in built.printed()
    assert "said" in built.printed()
    config = builder.inspect(built)["Config"]
    assert config["Cmd"] == ["/bin/sh", "-xc", "echo done"]
    observe("config", config)
    observe("history", builder.history(built))
    failed = builder.fail("FROM busybox\nSHELL /bin/sh\n")
    assert "line 2: SHELL requires the arguments to be in JSON form" in failed.error


def test_an_entry_point_resets_what_the_base_would_run(builder: Builder, observe: Observe) -> None:
    builder.build('FROM busybox\nCMD ["base"]\n', tag="lading-test:base")
    forms = {
        "inherited": "",
        "entry point": 'ENTRYPOINT ["e"]',
        "both": 'CMD ["c"]\nENTRYPOINT ["e"]',
        "both, turned": 'ENTRYPOINT ["e"]\nCMD ["c"]',
        "shell form": "ENTRYPOINT exec e",
        "empty": "CMD []\nENTRYPOINT []",
        "spoilt json": "CMD ['c', 'd']",
        "command twice": "CMD one\nCMD two",
    }
    found = {}
    for name, lines in forms.items():
        config = builder.config(f"FROM lading-test:base\n{lines}\n")
        found[name] = [config["Entrypoint"], config["Cmd"]]
    assert found["entry point"] == [["e"], None]
    assert found["both"] == [["e"], ["c"]]
    observe("forms", found)


def test_a_command_after_a_base_with_an_entry_point(builder: Builder, observe: Observe) -> None:
    builder.build('FROM busybox\nENTRYPOINT ["echo", "e"]\nCMD ["c"]\n', tag="lading-test:entry")
    built = builder.build('FROM lading-test:entry\nCMD ["mine"]\n')
    assert builder.run(built) == "e mine"
    inherited = builder.build("FROM lading-test:entry\nENV x=1\n")
    assert builder.run(inherited) == "e c"
    observe("config", builder.inspect(built)["Config"])


def test_what_is_put_off_runs_in_the_child(builder: Builder, observe: Observe) -> None:
    base = builder.build(
        "FROM busybox\nONBUILD COPY f /f\nONBUILD RUN cat /f\nONBUILD ENV child=1\n",
        tag="lading-test:onbuild",
    )
    assert base.printed() == []
    observe("put off", builder.inspect(base)["Config"]["OnBuild"])
    child = builder.build("FROM lading-test:onbuild\nRUN echo own $child\n", {"f": "here\n"})
    assert child.printed()[-2:] == ["here", "own 1"]
    config = builder.inspect(child)["Config"]
    assert not config["OnBuild"]
    observe("child's", config)
    observe("history", builder.history(child))
    observe("output", child.lines)


def test_some_things_can_not_be_put_off(builder: Builder, observe: Observe) -> None:
    for line in ("ONBUILD FROM busybox", "ONBUILD ONBUILD RUN true", "ONBUILD MAINTAINER x"):
        failed = builder.fail(f"FROM busybox\n{line}\n")
        assert failed.status == 400
        observe(line, failed.error)


def test_the_base_hands_down_all_it_says(builder: Builder, observe: Observe) -> None:
    builder.build(
        _EVERYTHING.replace("ONBUILD RUN echo child", ""), {"f": "f"}, tag="lading-test:b"
    )
    child = builder.build("FROM lading-test:b\nLABEL version=2\nENV a=2\nEXPOSE 81\nVOLUME /more\n")
    config = builder.inspect(child)["Config"]
    assert config["Labels"] == {"org.example.title": "A title", "version": "2"}
    observe("config", config)
    observe("author", builder.inspect(child)["Author"])


def test_nothing_is_a_base_too(builder: Builder, observe: Observe) -> None:
    built = builder.build("FROM scratch\nCOPY f /\nENV a=1\nLABEL l=1\nWORKDIR /w\n", {"f": "f"})
    image = builder.inspect(built)
    observe("config", image["Config"])
    observe("layers", len(image["RootFS"]["Layers"]))
    observe("alone", builder.fail("FROM scratch\n").error)


def test_a_commit_takes_instructions(engine: Subject, observe: Observe) -> None:
    container = engine.start("sh", "-c", "echo x > /x")
    container.wait()
    changes = [
        "ENV a=1", "EXPOSE 80", 'CMD ["cat", "/x"]', "USER nobody", "WORKDIR /tmp", "LABEL l=1",
        "VOLUME /v", 'ENTRYPOINT ["/bin/env"]', "ONBUILD RUN true", "STOPSIGNAL 2",
        "HEALTHCHECK NONE",
    ]  # fmt: skip
    words = [word for change in changes for word in ("--change", change)]
    engine.succeed("commit", *words, "-m", "why", "-a", "who", container.id, "lading-test:changed")
    image = engine.client.images.get("lading-test:changed").attrs
    assert image["Config"]["Cmd"] == ["cat", "/x"]
    observe("config", image["Config"])
    observe("others", {key: image[key] for key in ("Author", "Comment")})
    for bad in ("RUN true", "FROM busybox", "NONSENSE 1"):
        observe(bad, engine.fail("commit", "--change", bad, container.id).err)
