"""How containers end, and what is told about it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from scenarios.conftest import Observe
from scenarios.harness.subject import Subject

_STATE = ("Status", "Running", "Paused", "Restarting", "OOMKilled", "Dead", "ExitCode", "Error")


def _state(engine: Subject, container: object) -> dict[str, object]:
    state = engine.inspect(container)["State"]
    return {key: state[key] for key in _STATE}


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["false"], 1),
        (["sh", "-c", "exit 42"], 42),
        (["sh", "-c", "kill -9 $$"], 0),
        (["/etc/passwd"], 126),
        (["/etc"], 126),
        (["no-such-program"], 127),
        (["/no/such/program"], 127),
    ],
)
def test_run_s_exit_code(engine: Subject, observe: Observe, command: list[str], code: int) -> None:
    result = engine.cli("run", "--rm", "busybox", *command)
    # PID 1 does not get signals it has no handler for, not even from itself.
    assert result.code == code
    observe(f"complaint {command}", result.err)


def test_run_s_own_failures_are_125(engine: Subject, observe: Observe) -> None:
    assert engine.cli("run", "--no-such-flag", "busybox").code == 125
    result = engine.cli("run", "--rm", "--memory=1k", "busybox", "true")
    assert result.code == 125
    observe("memory", result.err)


def test_stop_is_a_signal_and_then_a_kill(engine: Subject, observe: Observe) -> None:
    gentle = engine.sleeper()
    gentle.stop(timeout=10)
    assert engine.inspect(gentle)["State"]["ExitCode"] == 0
    stubborn = engine.start("sh", "-c", "trap '' TERM; sleep 3600")
    stubborn.stop(timeout=1)
    assert engine.inspect(stubborn)["State"]["ExitCode"] == 137
    observe("states", [_state(engine, gentle), _state(engine, stubborn)])


def test_the_stop_signal_is_the_container_s(engine: Subject, observe: Observe) -> None:
    script = "trap 'echo quit; exit 3' QUIT; sleep 3600 & wait"
    container = engine.start("sh", "-c", script, stop_signal="SIGQUIT")
    container.stop(timeout=10)
    assert container.logs() == b"quit\n"
    observe("state", _state(engine, container))


def test_kill_sends_what_is_asked(engine: Subject, observe: Observe) -> None:
    script = "trap 'echo usr1' USR1; trap 'exit 7' TERM; while :; do sleep 1 & wait; done"
    container = engine.start("sh", "-c", script)
    container.kill("SIGUSR1")
    engine.wait_until(lambda: container.logs() == b"usr1\n", "the signal's trace")
    container.kill("TERM")
    assert container.wait()["StatusCode"] == 7
    observe("state", _state(engine, container))


def test_rm_goes_by_itself(engine: Subject, observe: Observe) -> None:
    container = engine.start("sh", "-c", "exit 3", auto_remove=True)
    engine.wait_until(lambda: not engine.containers(), "the removal")
    result = engine.fail("inspect", container.id)
    observe("complaint", result.err)


def test_a_running_container_is_not_removed(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(name="lading-test-running")
    result = engine.fail("rm", "lading-test-running")
    assert "container is running" in result.err
    observe("complaint", result.err)
    container.remove(force=True)
    observe("then", engine.fail("inspect", "lading-test-running").err)


def test_a_name_is_taken_once(engine: Subject, observe: Observe) -> None:
    engine.succeed("create", "--name", "lading-test-name", "busybox")
    result = engine.cli("create", "--name", "lading-test-name", "busybox")
    assert result.code == 1
    assert 'The container name "/lading-test-name" is already in use by container' in result.err
    observe("complaint", result.err)
    observe("bad name", engine.cli("create", "--name", "a/b", "busybox").err)


def test_restart_on_failure_counts(engine: Subject, observe: Observe) -> None:
    policy = {"Name": "on-failure", "MaximumRetryCount": 2}
    container = engine.start("sh", "-c", "echo once; exit 1", restart_policy=policy)

    def over() -> bool:
        state = engine.inspect(container)
        return (state["RestartCount"], state["State"]["Status"]) == (2, "exited")

    engine.wait_until(over, "two restarts")
    assert container.logs() == b"once\n" * 3
    observe("state", _state(engine, container))


def test_pause_freezes(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(name="lading-test-paused")
    container.pause()
    observe("paused", _state(engine, container))
    result = engine.fail("exec", "lading-test-paused", "true")
    assert "is paused" in result.err
    container.unpause()
    assert engine.exec(container, "echo", "thawed").out == "thawed\n"
    observe("thawed", _state(engine, container))


def test_events_tell_the_life_in_order(engine: Subject, observe: Observe) -> None:
    since = engine.succeed("info", "--format", "{{.SystemTime}}")
    container = engine.start("sh", "-c", "exit 2", name="lading-test-events")
    container.wait()
    container.remove()
    until = engine.succeed("info", "--format", "{{.SystemTime}}")
    words = ["--since", since, "--until", until, "--filter", "container=lading-test-events"]
    lines = engine.succeed("events", *words, "--format", "{{.Type}} {{.Action}}").splitlines()
    container_lines = [line for line in lines if line.startswith("container ")]
    assert [line.split()[1] for line in container_lines] == ["create", "start", "die", "destroy"]
    observe("events", container_lines)


def test_wait_gives_the_exit_code(engine: Subject, observe: Observe) -> None:
    container = engine.start("sh", "-c", "sleep 0.2; exit 5")
    assert engine.succeed("wait", container.id) == "5"
    observe("unknown", engine.fail("wait", "lading-test-unknown").err)


def test_the_daemon_s_death_is_not_the_containers_s(engine: Subject, observe: Observe) -> None:
    script = "trap 'exit 4' TERM; i=0; while :; do echo $i; i=$((i+1)); sleep 0.2 & wait; done"
    container = engine.start("sh", "-c", script, name="lading-test-survivor")
    told = "trap 'exit 6' USR1; while :; do sleep 0.1 & wait; done"
    short = engine.start("sh", "-c", told, name="lading-test-short")
    pid = engine.inspect(container)["State"]["Pid"]
    short_pid = engine.inspect(short)["State"]["Pid"]
    with engine.daemon_killed():
        os.kill(short_pid, signal.SIGUSR1)
        engine.wait_until(lambda: not Path(f"/proc/{short_pid}").exists(), "its end")
        assert engine.host.process.get(pid=pid).comm == "sh"
    assert engine.inspect(container)["State"]["Pid"] == pid
    before = len(container.logs().splitlines())
    engine.wait_until(lambda: len(container.logs().splitlines()) > before, "further output")
    assert engine.exec(container, "echo", "attached").out == "attached\n"
    observe("exit code of one that ended meanwhile", short.wait()["StatusCode"])
    container.stop(timeout=5)
    observe("state", _state(engine, container))
