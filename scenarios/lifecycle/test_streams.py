"""Output, input, logs, attach and exec."""

from __future__ import annotations

import io
import subprocess
import tarfile

from scenarios.conftest import Observe
from scenarios.harness.subject import Subject


def test_output_and_errors_stay_apart(engine: Subject, observe: Observe) -> None:
    result = engine.cli("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (result.out, result.err) == ("out\n", "err\n")
    observe("result", [result.out, result.err])


def test_input_is_passed_on_to_its_end(engine: Subject, observe: Observe) -> None:
    result = engine.cli("run", "--rm", "-i", "busybox", "wc", "-c", stdin="x" * 100_000)
    assert result.out.strip() == "100000"
    observe("code", result.code)


def test_much_output_is_whole(engine: Subject, observe: Observe) -> None:
    result = engine.cli("run", "--rm", "busybox", "seq", "1", "100000")
    assert result.lines == [str(number) for number in range(1, 100_001)]
    observe("code", result.code)


def test_logs_are_kept_and_cut(engine: Subject, observe: Observe) -> None:
    container = engine.start("sh", "-c", "seq 1 5; sleep 0.3; echo err >&2")
    container.wait()
    assert container.logs() == b"1\n2\n3\n4\n5\nerr\n"
    assert container.logs(tail=2) == b"5\nerr\n"
    assert container.logs(stdout=False) == b"err\n"
    stamped = container.logs(timestamps=True, tail=1).decode()
    observe("stamped", stamped)


def test_logs_follow_to_the_end(engine: Subject, observe: Observe) -> None:
    container = engine.start("sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.2; done")
    followed = engine.succeed("logs", "--follow", container.id)
    assert followed.split() == ["1", "2", "3"]
    observe("followed", followed)


def test_a_line_without_an_end_is_kept_so(engine: Subject, observe: Observe) -> None:
    container = engine.start("printf", "no newline")
    container.wait()
    assert container.logs() == b"no newline"
    long = engine.start("sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x")
    long.wait()
    assert len(long.logs()) == 40_000
    observe("log", container.logs().decode())


def test_a_terminal_is_a_terminal(engine: Subject, observe: Observe) -> None:
    container = engine.start("sh", "-c", "tty; stty size; echo err >&2", tty=True)
    container.wait()
    output = container.logs().decode()
    assert output.startswith("/dev/")
    assert "\r\n" in output
    observe("output", output)


def test_exec_joins_the_container(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper(environment={"FROM": "container"}, working_dir="/tmp")
    result = engine.exec(container, "sh", "-c", "echo $FROM $MORE; pwd", environment=["MORE=exec"])
    assert result.out == "container exec\n/tmp\n"
    assert engine.exec(container, "sh", "-c", "exit 9").code == 9
    assert engine.exec(container, "id", "-u", user="65534").out == "65534\n"
    assert engine.exec(container, "pwd", workdir="/etc").out == "/etc\n"
    missing = engine.cli("exec", container.id, "no-such-program")
    assert missing.code == 127
    observe("missing", missing.err)


def test_exec_passes_input_on(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper()
    result = engine.cli("exec", "-i", container.id, "cat", stdin="through\n")
    assert result.out == "through\n"
    observe("code", result.code)


def test_exec_in_a_stopped_container(engine: Subject, observe: Observe) -> None:
    engine.succeed("create", "--name", "lading-test-created", "busybox")
    result = engine.fail("exec", "lading-test-created", "true")
    assert "is not running" in result.err
    observe("complaint", result.err)


def test_attach_gets_what_comes(engine: Subject, observe: Observe) -> None:
    container = engine.client.containers.create(
        "busybox", ["sh", "-c", "read line; echo got $line"], stdin_open=True
    )
    words = engine.command("start", "--attach", "--interactive", container.id)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as attached:
        out, _ = attached.communicate(b"this\n", timeout=30)
    assert out == b"got this\n"
    observe("code", attached.returncode)


def test_top_lists_the_processes(engine: Subject, observe: Observe) -> None:
    container = engine.start("sleep", "3598")
    top = container.top(ps_args="-o pid,args")
    assert top["Titles"] == ["PID", "COMMAND"]
    assert [line[1] for line in top["Processes"]] == ["sleep 3598"]
    observe("titles", container.top()["Titles"])


def test_files_are_copied_in_and_out(engine: Subject, observe: Observe) -> None:
    container = engine.sleeper()
    engine.succeed(
        "exec", container.id, "sh", "-c", "mkdir /dir; echo x > /dir/file; ln -s file /dir/link"
    )
    listing = engine.cli("cp", f"{container.id}:/dir", "-")
    assert listing.code == 0
    with tarfile.open(fileobj=io.BytesIO(listing.out.encode())) as archive:
        packed = archive.getnames()
    assert packed == ["dir", "dir/file", "dir/link"]
    observe("missing", engine.fail("cp", f"{container.id}:/nothing", "-").err)
