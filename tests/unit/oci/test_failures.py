"""Real failures: each is one sentence, names its step, and leaves nothing behind."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lading.errors import InvalidParameter, LadingError
from lading.kernel import cgroups
from lading.oci.container import StepFailed
from lading.oci.spec import Hook, Hooks, LinuxMemory, Mount, POSIXRlimit, Root, Spec

from .conftest import Bench

pytestmark = pytest.mark.root


def fail(bench: Bench, spec: Spec) -> StepFailed:
    with pytest.raises(StepFailed) as raised:
        bench.create(spec).ready()
    bench.created.clear()
    bench.assert_nothing_left()
    assert "\n" not in raised.value.message
    return raised.value


@pytest.mark.parametrize(
    ("name", "number", "words"),
    [
        ("nosuch", errno.ENOENT, 'exec: "nosuch": executable file not found in $PATH'),
        ("", errno.ENOENT, 'exec: "": executable file not found in $PATH'),
        ("/x", errno.ENOENT, 'exec: "/x": stat /x: no such file or directory'),
        ("./x", errno.ENOENT, 'exec: "./x": stat ./x: no such file or directory'),
        ("/etc/passwd", errno.EACCES, 'exec: "/etc/passwd": permission denied'),
        ("/etc", errno.EACCES, 'exec: "/etc": is a directory: permission denied'),
        (
            "/etc/passwd/x",
            errno.ENOTDIR,
            'exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory',
        ),
    ],
)
def test_a_program_that_is_not_there_has_runcs_words(
    bench: Bench, name: str, number: int, words: str
) -> None:
    failed = fail(bench, bench.spec(name))
    assert (failed.message, failed.errno, failed.step) == (words, number, "FindExecutable")


@pytest.mark.parametrize(
    ("content", "words"),
    [("no program", "exec format error"), ("#!/no\n", "no such file or directory")],
)
def test_a_program_that_the_kernel_refuses_is_the_containers_failure(
    bench: Bench, content: str, words: str
) -> None:
    program = bench.rootfs / "bin/bad"
    program.write_text(content)
    program.chmod(0o755)
    outcome = bench.run(bench.spec("/bin/bad"))
    assert outcome.status == 255
    assert outcome.err == f"exec /bin/bad: {words}\n"
    bench.assert_nothing_left()


def _mount(kind: str, source: str, *options: str) -> Callable[[Spec], None]:
    def change(spec: Spec) -> None:
        spec.mounts.append(
            Mount(destination="/there", type=kind, source=source, options=list(options))
        )

    return change


def _cwd(spec: Spec) -> None:
    assert spec.process is not None
    spec.process.cwd = "/etc/passwd/x"


def _rlimit(spec: Spec) -> None:
    assert spec.process is not None
    spec.process.rlimits = [POSIXRlimit(type="RLIMIT_NOFILE", soft=9, hard=8)]


def _sysctl(spec: Spec) -> None:
    assert spec.linux is not None
    spec.linux.sysctl = {"net.nosuch": "1"}


def _seccomp(spec: Spec) -> None:
    assert spec.linux is not None
    assert spec.linux.seccomp is not None
    spec.linux.seccomp.default_action = "SCMP_ACT_MAYBE"


def _namespace(spec: Spec) -> None:
    assert spec.linux is not None
    spec.linux.namespaces[1].path = "/nosuch/net"


def _profile(spec: Spec) -> None:
    assert spec.process is not None
    spec.process.apparmor_profile = "lading-test-nosuch"


@pytest.mark.parametrize(
    ("change", "step", "words"),
    [
        (_mount("nofs", "x"), "MountFileSystem", "mount nofs on /there: No such device (ENODEV)"),
        (_mount("tmpfs", "x", "size=many"), "MountFileSystem", "mount tmpfs on /there: Invalid"),
        (_mount("bind", "/nosuch"), "BindMount", "bind source path does not exist: /nosuch"),
        (_cwd, "MakeWorkingDirectory", "Not a directory"),
        (_rlimit, "SetRlimits", "RLIMIT_NOFILE to 9:8"),
        (_sysctl, "WriteSysctl", "set sysctl net.nosuch to 1: No such file"),
        (_seccomp, "CompileSeccomp", "SCMP_ACT_MAYBE"),
        (_namespace, "Clone", "/nosuch/net"),
    ],
)
def test_a_failing_step_is_named(
    bench: Bench, change: Callable[[Spec], None], step: str, words: str
) -> None:
    spec = bench.spec("/bin/true")
    change(spec)
    failed = fail(bench, spec)
    assert failed.step == step
    assert words in failed.message


def test_apparmor_that_is_not_there_is_said_not_to_be(bench: Bench) -> None:
    spec = bench.spec("/bin/true")
    _profile(spec)
    failed = fail(bench, spec)
    assert failed.step in ("OpenLabelFile", "SetLabel", "Execute")


def test_a_root_that_is_no_directory(bench: Bench) -> None:
    spec = bench.spec("/bin/true")
    spec.root = Root(path="nosuch")
    with pytest.raises(InvalidParameter, match="nosuch is not a directory"):
        bench.create(spec)
    bench.assert_nothing_left()


def test_a_cgroup_limit_that_the_kernel_refuses(bench: Bench) -> None:
    spec = bench.spec("/bin/true")
    assert spec.linux is not None
    assert spec.linux.resources is not None
    spec.linux.resources.memory = LinuxMemory(limit=1 << 30, swap=1 << 20)
    if not cgroups.support(cgroups.detect()).swap:
        pytest.skip("this host cannot limit swap")
    with pytest.raises(LadingError):
        bench.create(spec).ready()
    bench.created.clear()
    bench.assert_nothing_left()


def test_an_abort_leaves_nothing(bench: Bench) -> None:
    created = bench.create(bench.spec("/bin/true"))
    created.ready()
    created.abort()
    bench.created.clear()
    assert not os.path.exists(f"/proc/{created.pid or 1 << 30}")
    bench.assert_nothing_left()


def test_a_killed_setup_is_told(bench: Bench) -> None:
    created = bench.create(bench.spec("/bin/true"))
    created.ready()
    created.container.kill(9)
    with pytest.raises(StepFailed, match="was ended by signal 9"):
        created.start()
    bench.created.clear()
    bench.assert_nothing_left()


def test_no_descriptor_stays_open(bench: Bench) -> None:
    bench.run(bench.spec("/bin/true"))
    fail(bench, bench.spec("nosuch"))
    before = sorted(os.listdir("/proc/self/fd"))
    bench.run(bench.spec("/bin/true"))
    fail(bench, bench.spec("nosuch"))
    spec = bench.spec("/bin/true")
    _sysctl(spec)
    fail(bench, spec)
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("point", ["prestart", "create_runtime", "create_container"])
def test_a_failing_hook_ends_the_creation_and_poststop_hooks_run(bench: Bench, point: str) -> None:
    spec = bench.spec("/bin/true")
    mark = bench.base / "mark"
    failing = Hook(path="/bin/sh", args=["sh", "-c", "echo why >&2; exit 3"])
    stopped = Hook(path="/bin/sh", args=["sh", "-c", f"cat > {mark}"])
    spec.hooks = Hooks(**{point: [failing]}, poststop=[stopped])
    failed = fail(bench, spec)
    assert failed.message.endswith("hook /bin/sh ended with status 3: why")
    assert failed.step == "RunHooks"
    assert bench.container_id in mark.read_text()


def test_a_hook_that_takes_too_long_is_killed(bench: Bench) -> None:
    spec = bench.spec("/bin/true")
    spec.hooks = Hooks(create_runtime=[Hook(path="/bin/sleep", args=["sleep", "60"], timeout=1)])
    assert "took longer than 1 s" in fail(bench, spec).message


def test_a_hook_that_is_not_there(bench: Bench) -> None:
    spec = bench.spec("/bin/true")
    spec.hooks = Hooks(create_runtime=[Hook(path="/nosuch")])
    assert fail(bench, spec).errno == errno.ENOENT


def test_a_failing_last_step_reaches_who_starts(bench: Bench) -> None:
    spec = bench.spec("/bin/true")
    spec.hooks = Hooks(start_container=[Hook(path="/nosuch")])
    created = bench.create(spec)
    created.ready()
    with pytest.raises(StepFailed, match="startContainer hook /nosuch"):
        created.start()
    bench.created.clear()
    bench.assert_nothing_left()


def test_hooks_get_the_state_at_their_points(bench: Bench) -> None:
    def record(point: str) -> list[Hook]:
        target = "/hook" if point == "startContainer" else str(bench.base / point)
        return [Hook(path="/bin/sh", args=["sh", "-c", f"cat > {target}"], env=["A=b"])]

    spec = bench.spec("/bin/cat", "/hook")
    spec.hooks = Hooks(
        prestart=record("prestart"),
        create_runtime=record("createRuntime"),
        create_container=record("createContainer"),
        start_container=record("startContainer"),
        poststart=record("poststart"),
        poststop=record("poststop"),
    )
    created = bench.create(spec)
    created.ready()
    pid = created.pid
    created.start()
    outcome = bench.finish(created)

    found = {
        point: json.loads((bench.base / point).read_text())
        for point in ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    }
    found["startContainer"] = json.loads(outcome.out)
    assert {point: state["status"] for point, state in found.items()} == {
        "prestart": "creating",
        "createRuntime": "creating",
        "createContainer": "creating",
        "startContainer": "created",
        "poststart": "running",
        "poststop": "stopped",
    }
    assert {state["pid"] for point, state in found.items() if point != "poststop"} == {pid}
    assert "pid" not in found["poststop"]
    assert {state["id"] for state in found.values()} == {bench.container_id}


def test_a_state_directory_that_cannot_be_made(bench: Bench) -> None:
    bench.states.write_text("a file")
    with pytest.raises(LadingError, match="cannot make the state directory"):
        bench.create(bench.spec("/bin/true"))
    assert Path(bench.states).read_text() == "a file"
