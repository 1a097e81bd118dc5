"""Further processes in a running container, and terminals."""

from __future__ import annotations

import errno
import os
import select

import pytest

from lading.errors import Conflict
from lading.kernel import cgroups, pty
from lading.kernel.process import wait_pidfd
from lading.oci.container import Created, Executed, Stdio, StepFailed, exec_process
from lading.oci.spec import (
    Box,
    LinuxCapabilities,
    LinuxIDMapping,
    LinuxNamespace,
    POSIXRlimit,
    Process,
    User,
)

from .conftest import Bench, Outcome

pytestmark = pytest.mark.root


@pytest.fixture
def running(bench: Bench) -> Created:
    """Give a container that runs sleep."""
    created = bench.create(bench.spec("/bin/sleep", "600"))
    created.ready()
    created.start()
    return created


def execute(bench: Bench, created: Created, process: Process) -> Outcome:
    with (
        open(os.devnull) as null,
        open(bench.base / "xout", "w") as out,
        open(bench.base / "xerr", "w") as err,
    ):
        stdio = Stdio(null.fileno(), out.fileno(), err.fileno())
        executed = exec_process(created.container, process, stdio=stdio)
    return _end(bench, executed)


def _end(bench: Bench, executed: Executed) -> Outcome:
    ended = wait_pidfd(executed.pidfd)
    assert ended is not None
    os.close(executed.pidfd)
    return Outcome(ended.status, bench.read("xout"), bench.read("xerr"))


def script(text: str, **fields: object) -> Process:
    return Process(
        cwd="/",
        args=["/bin/sh", "-c", text],
        env=["PATH=/bin"],
        **fields,  # type: ignore[arg-type]
    )


def test_it_is_in_the_containers_namespaces_root_and_cgroup(bench: Bench, running: Created) -> None:
    text = "for n in pid net mnt ipc uts cgroup user; do readlink /proc/self/ns/$n; done"
    process = script(f"ps -o pid,args; {text.replace('readlink', 'ls -l')}; exit 9")
    outcome = execute(bench, running, process)
    assert outcome.status == 9
    assert "1 /bin/sleep 600" in outcome.out
    for kind in ("pid", "net", "mnt", "ipc", "uts", "cgroup", "user"):
        assert os.readlink(f"/proc/{running.pid}/ns/{kind}") in outcome.out


def test_it_is_in_the_cgroup(bench: Bench, running: Created) -> None:
    receive, send = os.pipe()
    with open(os.devnull) as null:
        stdio = Stdio(receive, null.fileno(), null.fileno())
        executed = exec_process(running.container, script("cat"), stdio=stdio)
    os.close(receive)
    assert executed.pid in running.container.pids()
    for directory in running.container.require_cgroup().directories().values():
        with open(f"{directory}/cgroup.procs") as file:
            assert str(executed.pid) in file.read().split()
    os.close(send)
    wait_pidfd(executed.pidfd)
    os.close(executed.pidfd)


def test_it_has_its_own_user_capabilities_and_limits(bench: Bench, running: Created) -> None:
    process = script(
        "id -u; id -G; grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status;"
        "ulimit -n; echo $HOME; cat /proc/self/oom_score_adj",
        user=User(uid=1000, gid=1000, additional_gids=[7]),
        capabilities=LinuxCapabilities(bounding=["CAP_KILL"]),
        no_new_privileges=True,
        rlimits=[POSIXRlimit(type="RLIMIT_NOFILE", soft=210, hard=220)],
        oom_score_adj=50,
    )
    outcome = execute(bench, running, process)
    words = outcome.out.split()
    assert words[:3] == ["1000", "1000", "7"]
    assert words[3:11] == [
        "CapEff:",
        "0" * 16,
        "CapBnd:",
        f"{1 << 5:016x}",
        "NoNewPrivs:",
        "1",
        "Seccomp:",
        "2",
    ]
    assert words[11:] == ["210", "/home/test", "50"]


@pytest.mark.parametrize(
    ("args", "number", "words"),
    [
        (["nosuch"], errno.ENOENT, 'exec: "nosuch": executable file not found in $PATH'),
        (["/etc/passwd"], errno.EACCES, 'exec: "/etc/passwd": permission denied'),
    ],
)
def test_what_cannot_be_executed(
    bench: Bench, running: Created, args: list[str], number: int, words: str
) -> None:
    with pytest.raises(StepFailed) as raised:
        execute(bench, running, Process(cwd="/", args=args, env=["PATH=/bin"]))
    assert (raised.value.message, raised.value.errno) == (words, number)
    assert running.container.pids() == [running.pid]


def test_a_directory_that_is_not_there(bench: Bench, running: Created) -> None:
    process = Process(cwd="/nosuch", args=["/bin/true"])
    with pytest.raises(StepFailed, match=r'chdir to cwd \("/nosuch"\) set in config.json failed'):
        execute(bench, running, process)


def test_only_a_running_container_takes_one(bench: Bench) -> None:
    created = bench.create(bench.spec("/bin/sleep", "600"))
    created.ready()
    with pytest.raises(Conflict, match="is not running"):
        execute(bench, created, script("true"))
    created.start()
    created.container.pause()
    with pytest.raises(Conflict, match="is paused"):
        execute(bench, created, script("true"))
    created.container.resume()
    created.container.kill(9)
    wait_pidfd(created.pidfd)
    with pytest.raises(Conflict, match="is not running"):
        execute(bench, created, script("true"))


def test_in_a_user_namespace(bench: Bench) -> None:
    spec = bench.spec("/bin/sleep", "600")
    assert spec.linux is not None
    spec.linux.namespaces.append(LinuxNamespace(type="user"))
    mappings = [LinuxIDMapping(container_id=0, host_id=100000, size=65536)]
    spec.linux.uid_mappings = spec.linux.gid_mappings = mappings
    for directory in (bench.base, *bench.base.parents[:2]):
        directory.chmod(directory.stat().st_mode | 0o011)
    created = bench.create(spec)
    created.ready()
    created.start()
    tight = [POSIXRlimit(type="RLIMIT_NOFILE", soft=12, hard=13)]  # fewer files than we have
    asked = script("id -u; cat /proc/self/uid_map; ulimit -n; ps -o pid,args", rlimits=tight)
    outcome = execute(bench, created, asked)
    assert outcome.out.split()[:5] == ["0", "0", "100000", "65536", "12"]
    assert "1 /bin/sleep 600" in outcome.out


def test_under_v2_with_cgroups_below(bench: Bench, running: Created) -> None:
    if cgroups.detect().version != 2:
        pytest.skip("needs cgroup v2")
    directory = running.container.require_cgroup().directories()[""]
    os.mkdir(f"{directory}/inner")
    with open(f"{directory}/inner/cgroup.procs", "w") as file:
        file.write(str(running.pid))
    with open(f"{directory}/cgroup.subtree_control", "w") as file:
        file.write("+pids")
    assert execute(bench, running, script("true")).status == 0


def read_terminal(terminal: int, until: bytes) -> bytes:
    """Read what is printed until it has *until*; fail after 10 s."""
    heard = b""
    poller = select.poll()
    poller.register(terminal, select.POLLIN)
    while until not in heard:
        assert poller.poll(10_000), heard
        heard += os.read(terminal, 4096)
    return heard


def test_a_containers_terminal(bench: Bench) -> None:
    spec = bench.spec("/bin/sh", "-c", "tty; stty size; ls -ln /dev/console; read x; echo got $x")
    assert spec.process is not None
    spec.process.terminal = True
    spec.process.console_size = Box(height=33, width=99)
    spec.process.user = User(uid=1000, gid=1000)
    created = bench.create(spec)
    terminal = created.ready().terminal
    assert terminal is not None
    created.start()
    heard = read_terminal(terminal, b"136")
    assert b"/dev/pts/0" in heard
    assert b"33 99" in heard
    assert b"1000" in heard
    os.write(terminal, b"word\n")
    assert b"got word" in read_terminal(terminal, b"got word")
    assert wait_pidfd(created.pidfd) is not None
    os.close(terminal)
    created.container.delete()
    created.close()
    bench.created.clear()
    bench.assert_nothing_left()


def test_a_resize_reaches_the_program(bench: Bench, running: Created) -> None:
    process = script(
        "trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.05; done", terminal=True
    )
    executed = exec_process(running.container, process)
    assert executed.terminal is not None
    read_terminal(executed.terminal, b"ready")
    pty.set_size(executed.terminal, 41, 142)
    assert b"41 142" in read_terminal(executed.terminal, b"41 142")
    ended = wait_pidfd(executed.pidfd)
    assert ended is not None
    assert ended.status == 4
    os.close(executed.terminal)
    os.close(executed.pidfd)


def test_a_false_multiplexer_is_refused(bench: Bench) -> None:
    spec = bench.spec("/bin/sh", "-c", "true")
    assert spec.process is not None
    spec.process.terminal = True
    spec.mounts = [m for m in spec.mounts if m.destination != "/dev/pts"]
    (bench.rootfs / "dev/pts").mkdir()
    with pytest.raises(StepFailed) as raised:
        bench.create(spec).ready()
    assert raised.value.step == "OpenTerminal"
    bench.created.clear()
    bench.assert_nothing_left()
