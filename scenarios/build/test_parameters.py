"""The parameters of a build: what is refused and how, limits of commands, containers that stay."""

from __future__ import annotations

import base64

import pytest

from scenarios.conftest import Observe
from scenarios.harness.building import Builder, Query, error_of, messages, post
from scenarios.harness.subject import Subject

_FAILS = "FROM busybox\nRUN echo first\nRUN echo second; exit 3\n"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"squash": "1"}, 400),
        ({"securityopt": '["no-new-privileges"]'}, 400),
        ({"isolation": "process"}, 400),
        ({"isolation": "default"}, 200),
        ({"platform": "xx"}, 400),
        ({"platform": "linux/"}, 400),
        ({"version": "3"}, 400),
        ({"version": "1"}, 200),
        ({"shmsize": "much"}, 500),
        ({"memory": "much"}, 200),
        ({"ulimits": "much"}, 400),
        ({"cachefrom": "busybox"}, 400),
        ({"outputs": "local"}, 400),
        ({"outputs": "null"}, 200),
        ({"labels": '["a"]'}, 400),
        ({"buildargs": "a"}, 400),
        ({"t": "UPPER"}, 500),
        ({"t": f"a@sha256:{'0' * 64}"}, 500),
        ({"target": "nosuch"}, 400),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else str(value),
)
def test_what_is_refused_before_a_build_begins(engine: Subject, query: Query, status: int) -> None:
    response = post(engine, "FROM busybox\nENV a=1\n", query)
    assert response.status_code == status, response.text
    if status == 200:
        assert "Successfully built" in response.text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"memory": "4096"}, "Minimum memory limit allowed is 6MB"),
        ({"memory": "67108864", "memswap": "1"}, "memoryswap limit should be larger than memory"),
        ({"cpuquota": "10"}, "CPU cfs quota can not be less than 1ms"),
        ({"cpuperiod": "10"}, "CPU cfs period can not be less than 1ms"),
        ({"cpusetcpus": "99"}, "Requested CPUs are not available"),
        ({"cpusetmems": "x"}, "Invalid value x for cpuset mems"),
        ({"shmsize": "-5"}, "SHM size can not be less than 0"),
        ({"extrahosts": "here"}, 'bad format for add-host: "here"'),
        ({"extrahosts": "here:there"}, 'invalid IP address in add-host: "there"'),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_limits_are_checked_when_a_command_runs(engine: Subject, query: Query, words: str) -> None:
    response = post(engine, "FROM busybox\nRUN true\n", query)
    assert response.status_code == 200
    assert words in error_of(response)


def test_limits_of_processes_memory_and_swap(builder: Builder, observe: Observe) -> None:
    limits = {
        "shmsize": str(16 << 20),
        "ulimits": '[{"Name": "nofile", "Soft": 123, "Hard": 456}]',
        "cpushares": "512",
    }
    script = "ulimit -n; ulimit -Hn; df -k /dev/shm | tail -n 1 | awk '{print $2}'"
    response = post(builder.subject, f"FROM busybox\nRUN {script}\n", limits)
    said = "".join(one.get("stream", "") for one in messages(response))
    assert "\n123\n456\n16384\n" in said


def test_the_cgroup_of_commands_is_chosen(engine: Subject) -> None:
    parent = f"/{engine.engine.cgroup}"
    query = {"cgroupparent": parent, "rm": "0"}
    response = post(engine, "FROM busybox\nRUN true\n", query)
    assert "Successfully built" in response.text, response.text
    (left,) = engine.containers()
    assert engine.inspect(left)["HostConfig"]["CgroupParent"] == parent


def test_a_container_of_a_failed_step_stays(engine: Subject, observe: Observe) -> None:
    response = post(engine, _FAILS)
    (left,) = engine.containers()
    shown = engine.inspect(left)
    assert shown["State"]["ExitCode"] == 3
    assert shown["Id"][:12] in response.text
    assert left.commit().id
    observe("state", [shown["State"]["Status"], shown["State"]["ExitCode"]])


def test_containers_of_a_failed_build_go_if_forced(engine: Subject, observe: Observe) -> None:
    response = post(engine, _FAILS, {"forcerm": "1", "rm": "0"})
    assert engine.containers() == []
    assert response.text.count("Removed intermediate container") == 2
    assert messages(response)[-1]["errorDetail"]["code"] == 3


def test_containers_of_steps_stay_if_asked(engine: Subject) -> None:
    response = post(engine, "FROM busybox\nRUN echo one\nRUN echo two\n", {"rm": "0"})
    assert "Removed intermediate" not in response.text
    commands = sorted(engine.inspect(one)["Args"][-1] for one in engine.containers())
    assert commands == ["echo one", "echo two"]


@pytest.mark.parametrize("value", ["", "1", "yes"])
def test_containers_of_steps_go_unless_asked_to_stay(engine: Subject, value: str) -> None:
    assert "Successfully built" in post(engine, "FROM busybox\nRUN true\n", {"rm": value}).text
    assert engine.containers() == []


def test_logins_that_cannot_be_read_are_no_fault(engine: Subject) -> None:
    for header in ("%%%", base64.b64encode(b"[1]").decode()):
        response = post(engine, "FROM busybox\nENV a=1\n", headers={"X-Registry-Config": header})
        assert "Successfully built" in response.text


def test_a_quiet_build_that_fails_says_everything(engine: Subject, observe: Observe) -> None:
    response = post(engine, _FAILS, {"q": "1", "forcerm": "1"})
    said = "".join(one.get("stream", "") for one in messages(response))
    assert "Step 2/3 : RUN echo first\n" in said
    assert "\nsecond\n" in said
    assert messages(response)[-1]["errorDetail"] == {
        "code": 3,
        "message": "The command '/bin/sh -c echo second; exit 3' returned a non-zero code: 3",
    }


def test_a_health_check_keeps_what_the_one_before_said(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox\nHEALTHCHECK --interval=90s --start-interval=200ms CMD a b\n"
        'HEALTHCHECK --retries=3 CMD ["c"]\nHEALTHCHECK NONE\n'
    )
    assert "Note: overriding previous HEALTHCHECK: [CMD-SHELL a b]" in built.lines
    check = builder.inspect(built)["Config"]["Healthcheck"]
    assert check["Test"] == ["NONE"]
    assert check["Interval"] == 90 * 10**9
    assert check["Retries"] == 3
    observe("lines", built.lines)
    observe("history", builder.history(built))


def test_every_setting_is_in_config_and_history(builder: Builder, observe: Observe) -> None:
    text = r"""ARG BASE=busybox
FROM ${BASE} AS first
MAINTAINER Somebody <a@b>
ARG plain
ARG withdefault=1 other=2
ENV a=1 b="two words" c=$withdefault
ENV old style
ENV a=2
LABEL one=1 "two three"="x y" multi="a\
b"
LABEL q='single $a' d="dbl ${a}"
EXPOSE 80 443/tcp 53/UDP 8000-8002
VOLUME /v1 /v2
VOLUME ["/v 3"]
WORKDIR /w
WORKDIR rel/../x
WORKDIR $a
USER nobody:nogroup
STOPSIGNAL 9
STOPSIGNAL SIGTERM
SHELL ["/bin/sh","-ec"]
HEALTHCHECK --interval=5s --timeout=3s --retries=2 --start-period=1s CMD echo "hi" $a
ONBUILD RUN echo x
ONBUILD COPY a b
RUN echo "$a" $withdefault
RUN ["echo","json"]
CMD echo $a
ENTRYPOINT exec top -b
CMD ["x","y z","q\"uote"]
ENTRYPOINT ["e"]
"""
    built = builder.build(text, buildargs={"plain": "P", "unused": "U"}, labels={"L": "v$a"})
    config = builder.saved_config(built.image)
    own = {key: value for key, value in config.items() if key not in _MADE}
    own["history"] = [
        {key: value for key, value in one.items() if key != "created"} for one in own["history"]
    ]
    for name in ("config", "container_config"):
        # The image below it and the container, which have the engine's own IDs.
        own[name] = {k: v for k, v in own[name].items() if k not in ("Image", "Hostname")}
    own["rootfs"] = own["rootfs"]["diff_ids"][0]
    observe("config", own)
    observe("lines", built.lines)


_MADE = ("created", "container", "docker_version")


def test_an_empty_command_is_none(builder: Builder, observe: Observe) -> None:
    built = builder.build("FROM busybox\nENTRYPOINT []\nCMD []\n")
    config = builder.inspect(built)["Config"]
    assert (config["Cmd"], config["Entrypoint"]) == (None, None)
    observe("history", builder.history(built))
