"""RUN: what a command finds, what it leaves, and how it fails."""

from __future__ import annotations

from scenarios.conftest import Observe
from scenarios.harness.building import Builder
from scenarios.harness.subject import Subject


def test_a_failing_command_tells_its_code(builder: Builder, observe: Observe) -> None:
    failed = builder.fail("FROM busybox\nRUN echo told; echo complained >&2; exit 42\n")
    assert failed.code == 42
    assert {"told", "complained"} <= set(failed.lines)
    observe("error", failed.error)
    observe("status", failed.status)
    observe("detail", failed.messages[-1])


def test_a_failed_build_leaves_no_container(
    builder: Builder, engine: Subject, observe: Observe
) -> None:
    builder.fail("FROM busybox\nRUN exit 1\n", forcerm=True)
    assert engine.containers() == []
    observe("removed", True)


def test_commands_in_their_forms(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        'FROM busybox\nENV v=value\nRUN ["echo", "$v", "a b"]\nRUN echo "$v" \'$v\' a  b\n'
        "RUN echo one && \\\n    # between\n    echo two; \\\n\n    echo three\n"
    )
    printed = built.printed()
    assert [one for one in printed if not one.startswith("[WARNING]")] == [
        "$v a b", "value $v a b", "one", "two", "three",
    ]  # fmt: skip
    observe("history", builder.history(built))


def test_a_program_that_is_not_there(builder: Builder, observe: Observe) -> None:
    observe("shell", builder.fail("FROM busybox\nRUN nosuch-program\n").error)
    failed = builder.fail('FROM busybox\nRUN ["/nosuch/program"]\n')
    assert "/nosuch/program" in failed.error
    observe("no shell", builder.fail("FROM scratch\nCOPY f /f\nRUN true\n", {"f": ""}).status)


def test_what_the_engine_mounts_is_not_in_the_layer(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox\nRUN echo x > /dev/shm/x; echo 127.9.9.9 h >> /etc/hosts; echo y > /y\n",
        tag="lading-test:mounted",
    )
    (layer,) = builder.layers("lading-test:mounted")
    listed = {f"{one.name} {one.size}" for one in layer if one.isfile()}
    assert "y 2" in listed
    observe("files", listed)
    assert "127.9.9.9" not in builder.run(built, "cat", "/etc/hosts")


def test_a_command_is_in_a_container_of_its_own(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox\nRUN echo $$ $HOME; hostname | wc -c; sleep 600 & echo left\n"
        "RUN ps | grep -c '[s]leep' || true\n"
    )
    assert built.printed()[0] == "1 /root"
    observe("printed", built.printed())


def test_limits_hold_for_commands(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox\nRUN cat /sys/fs/cgroup/memory/memory.limit_in_bytes || "
        "cat /sys/fs/cgroup/memory.max\n",
        container_limits={"memory": 64 << 20},
    )
    assert "67108864" in built.printed()
    observe("printed", built.printed())


def test_hosts_are_added_for_commands_alone(builder: Builder, observe: Observe) -> None:
    built = builder.build(
        "FROM busybox\nRUN grep lading-test /etc/hosts\n",
        extra_hosts={"lading-test": "192.0.2.7"},
        network_mode=None,
    )
    assert built.printed()[0].split() == ["192.0.2.7", "lading-test"]
    assert "lading-test" not in builder.run(built, "cat", "/etc/hosts")
    observe("printed", [" ".join(line.split()) for line in built.printed()])


def test_the_network_can_be_left_out(builder: Builder, observe: Observe) -> None:
    script = "FROM busybox\nRUN ls /sys/class/net\n"
    assert builder.build(script, nocache=True).printed() == ["lo"]
    bridged = builder.build(script, nocache=True, network_mode="bridge").printed()
    assert "eth0" in bridged
    observe("interfaces", [one for one in bridged if one in ("lo", "eth0")])


def test_a_file_that_is_removed_again_is_in_no_layer(
    builder: Builder, engine: Subject, observe: Observe
) -> None:
    builder.build("FROM busybox\nRUN echo x > /x && rm /x\n", tag="lading-test:removed")
    # A command that changes nothing makes no layer at all.
    assert builder.layers("lading-test:removed") == []
    observe(
        "layers", len(engine.client.images.get("lading-test:removed").attrs["RootFS"]["Layers"])
    )
