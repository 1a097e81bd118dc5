"""`lading-oci` as a command: a container's life by separate processes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lading.errors import InvalidParameter
from lading.oci.cli.life import parse_signal
from lading.oci.cli.main import main

from .conftest import Bench

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def command(bench: Bench, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "lading.oci.cli", "--root", str(bench.states), *arguments]
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        line,
        text=True,
        cwd=bench.bundle,
        stdin=subprocess.DEVNULL,
        timeout=60,
        env=environment(bench),
        **options,
    )


def environment(bench: Bench) -> dict[str, str]:
    """Have modules compiled once, not by every command."""
    found = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return found | {"PYTHONPYCACHEPREFIX": str(bench.base.parent / "pycache")}


MAKE_PROCESSES = ("create", "run", "exec")


def output(bench: Bench, *arguments: str) -> str:
    """Run a command that has to succeed; in this process unless it makes others."""
    if arguments[0] in MAKE_PROCESSES:
        done = command(bench, *arguments, capture_output=True)
        assert done.returncode == 0, done.stderr
        return done.stdout
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(stream), contextlib.chdir(bench.bundle):
        assert main(["--root", str(bench.states), *arguments]) == 0
    stream.flush()
    return stream.buffer.getvalue().decode()


def quietly(bench: Bench, *arguments: str) -> None:
    """Run a command that leaves a container behind, which keeps the streams open."""
    null = subprocess.DEVNULL
    assert command(bench, *arguments, stdout=null, stderr=null).returncode == 0


def write_config(bench: Bench, *args: str, terminal: bool = False) -> None:
    spec = bench.spec(*args)
    assert spec.process is not None
    spec.process.terminal = terminal
    from lading.oci.spec import encode

    (bench.bundle / "config.json").write_bytes(encode(spec))


@pytest.mark.root
def test_a_life_in_parts(bench: Bench) -> None:
    write_config(bench, "/bin/sh", "-c", "echo hello; exec sleep 600")
    name = bench.container_id
    pid_file = bench.base / "pid"
    with open(bench.base / "out", "w") as out:
        made = command(bench, "create", "--pid-file", str(pid_file), name, stdout=out)
    assert made.returncode == 0
    state = json.loads(output(bench, "state", name))
    assert state["status"] == "created"
    assert state["pid"] == int(pid_file.read_text())
    # until its start the process is our interpreter: its file must be out of the container's reach
    assert os.statvfs(f"/proc/{state['pid']}/exe").f_flag & os.ST_RDONLY
    output(bench, "start", name)
    assert json.loads(output(bench, "state", name))["status"] == "running"
    assert [c["id"] for c in json.loads(output(bench, "list", "--format", "json"))] == [name]
    assert name in output(bench, "list")
    assert json.loads(output(bench, "ps", "--format", "json", name)) == [state["pid"]]
    assert "sleep 600" in output(bench, "ps", name)
    event = json.loads(output(bench, "events", "--stats", name))
    assert event["type"] == "stats"
    assert event["data"]["pids"]["current"] == 1
    output(bench, "pause", name)
    assert json.loads(output(bench, "state", name))["status"] == "paused"
    output(bench, "resume", name)
    output(bench, "update", "--pids-limit", "77", name)
    assert json.loads(output(bench, "events", "--stats", name))["data"]["pids"]["limit"] == 77
    refused = command(bench, "delete", name, capture_output=True)
    assert refused.returncode == 1
    assert "that is not stopped: running" in refused.stderr
    output(bench, "delete", "--force", name)
    assert output(bench, "list", "-q") == ""
    assert bench.read("out") == "hello\n"
    bench.assert_nothing_left()


@pytest.mark.root
def test_run_gives_the_status_and_deletes(bench: Bench) -> None:
    write_config(bench, "/bin/sh", "-c", "echo out; exit 5")
    done = command(bench, "run", bench.container_id, capture_output=True)
    assert (done.returncode, done.stdout) == (5, "out\n")
    bench.assert_nothing_left()


@pytest.mark.root
def test_a_signal_to_run_reaches_the_container(bench: Bench) -> None:
    write_config(
        bench, "/bin/sh", "-c", "trap 'exit 6' TERM; echo up; while :; do sleep 0.05; done"
    )
    line = [sys.executable, "-m", "lading.oci.cli", "--root", str(bench.states)]
    with subprocess.Popen(
        [*line, "run", bench.container_id],
        cwd=bench.bundle,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(bench),
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        running.terminate()
        assert running.wait(timeout=30) == 6
    bench.assert_nothing_left()


@pytest.mark.root
def test_exec_by_arguments_and_by_file(bench: Bench) -> None:
    write_config(bench, "/bin/sleep", "600")
    name = bench.container_id
    quietly(bench, "run", "--detach", name)
    text = output(
        bench, "exec", "--user", "1000:1000", "--env", "A=b", name, "sh", "-c", "id -u; echo $A"
    )
    assert text == "1000\nb\n"
    process = bench.base / "process.json"
    process.write_text(json.dumps({"cwd": "/tmp", "args": ["/bin/sh", "-c", "pwd; exit 3"]}))
    done = command(bench, "exec", "--process", str(process), name, capture_output=True)
    assert (done.returncode, done.stdout) == (3, "/tmp\n")
    failed = command(bench, "exec", name, "nosuch", capture_output=True)
    assert failed.returncode == 1
    assert failed.stderr == 'lading-oci: exec: "nosuch": executable file not found in $PATH\n'
    pid_file = bench.base / "pid"
    quietly(bench, "exec", "--detach", "--pid-file", str(pid_file), name, "sleep", "600")
    assert int(pid_file.read_text()) in json.loads(output(bench, "ps", "-f", "json", name))
    output(bench, "kill", "--all", name, "KILL")
    output(bench, "delete", "--force", name)


@pytest.mark.root
def test_the_terminal_is_handed_to_a_socket(bench: Bench) -> None:
    write_config(bench, "/bin/sh", "-c", "tty; exec sleep 600", terminal=True)
    name = bench.container_id
    path = str(bench.base / "console")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        quietly(bench, "create", "--console-socket", path, name)
        connection, _ = listener.accept()
    with connection:
        _, descriptors, _, _ = socket.recv_fds(connection, 100, 1)
    output(bench, "start", name)
    assert os.read(descriptors[0], 100).strip() == b"/dev/pts/0"
    os.close(descriptors[0])
    output(bench, "delete", "--force", name)


@pytest.mark.root
def test_a_detached_terminal_needs_a_socket(bench: Bench) -> None:
    write_config(bench, "/bin/true", terminal=True)
    done = command(bench, "create", bench.container_id, capture_output=True)
    assert "without setting console socket" in done.stderr
    assert done.returncode == 1


@pytest.mark.root
def test_errors_are_logged_as_go_runc_reads_them(bench: Bench) -> None:
    write_config(bench, "nosuch")
    log = bench.base / "log.json"
    options = ("--log", str(log), "--log-format", "json")
    done = command(bench, *options, "create", bench.container_id, capture_output=True)
    assert done.returncode == 1
    line = json.loads(log.read_text())
    assert line["level"] == "error"
    assert line["msg"] == 'exec: "nosuch": executable file not found in $PATH'
    bench.assert_nothing_left()


@pytest.mark.root
def test_a_failing_start_hook_is_told_by_start(bench: Bench) -> None:
    from lading.oci.spec import Hook, Hooks, encode

    spec = bench.spec("/bin/true")
    spec.hooks = Hooks(start_container=[Hook(path="/nosuch")])
    (bench.bundle / "config.json").write_bytes(encode(spec))
    quietly(bench, "create", bench.container_id)
    done = command(bench, "start", bench.container_id, capture_output=True)
    assert "startContainer hook /nosuch: no such file or directory" in done.stderr
    output(bench, "delete", bench.container_id)
    bench.assert_nothing_left()


@pytest.mark.root
def test_spec_and_plan(bench: Bench) -> None:
    output(bench, "spec")
    config = json.loads((bench.bundle / "config.json").read_text())
    assert config["root"] == {"path": "rootfs"}
    again = command(bench, "spec", capture_output=True)
    assert "exists, remove it first" in again.stderr
    plan = output(bench, "plan")
    assert "CreateCgroup" in plan.splitlines()[0]
    assert "execute sh" in plan.splitlines()[-1]


@pytest.mark.root
def test_features() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lading.oci.cli", "features"], capture_output=True, text=True
    )
    document = json.loads(done.stdout)
    assert {"rro", "bind", "tmpcopyup"} <= set(document["mountOptions"])
    assert "pid" in document["linux"]["namespaces"]
    assert "CAP_KILL" in document["linux"]["capabilities"]


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "lading-oci run web1" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert "spec: 1.2" in capsys.readouterr().out


def test_a_wrong_option_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["create", "--what", "x"])
    assert raised.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_systemd_driver_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--systemd-cgroup", "list"]) == 1
    assert "--systemd-cgroup is not supported; use cgroupfs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "number"), [("TERM", 15), ("sigkill", 9), ("SIGHUP", 1), ("10", 10)]
)
def test_signals_are_read(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize("text", ["", "0", "65", "NOSUCH", "-1"])
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter):
        parse_signal(text)


def test_ids_do_not_leave_the_root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("the command needs root first of all")
    assert main(["--root", str(tmp_path), "state", "../x"]) == 1
    assert "invalid container ID format" in capsys.readouterr().err
