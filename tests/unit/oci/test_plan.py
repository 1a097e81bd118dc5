"""Plans: spec in, described steps out. Nothing here needs root."""

from __future__ import annotations

import pytest

from lading.errors import InvalidParameter
from lading.kernel.cgroups import Controller, Hierarchy, Mode
from lading.kernel.namespaces import CloneFlag, Namespace
from lading.oci import defaults
from lading.oci.plan import Plan, plan
from lading.oci.plan_exec import parse_cpus, plan_exec
from lading.oci.plan_resources import ALWAYS_ALLOWED, with_default_devices
from lading.oci.spec import (
    Box,
    ExecCPUAffinity,
    Hook,
    Hooks,
    Linux,
    LinuxDevice,
    LinuxDeviceCgroup,
    LinuxIDMapping,
    LinuxNamespace,
    LinuxResources,
    LinuxTimeOffset,
    Mount,
    Process,
    Spec,
)

V1 = Hierarchy(
    Mode.HYBRID,
    {
        "memory": Controller("memory", "/sys/fs/cgroup/memory", 1),
        "cpu": Controller("cpu", "/sys/fs/cgroup/cpu,cpuacct", 1),
        "cpuacct": Controller("cpuacct", "/sys/fs/cgroup/cpu,cpuacct", 1),
    },
    ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu,cpuacct"),
    "/sys/fs/cgroup/unified",
)
V2 = Hierarchy(Mode.V2, {}, (), "/sys/fs/cgroup")


def parts(spec: Spec) -> tuple[Process, Linux]:
    assert spec.process is not None
    assert spec.linux is not None
    return spec.process, spec.linux


def base() -> Spec:
    spec = defaults.spec()
    process, _ = parts(spec)
    process.terminal = False
    return spec


def planned(spec: Spec, hierarchy: Hierarchy | None = V2, **options: bool) -> Plan:
    return plan(
        spec,
        container_id="c1",
        bundle="/bundle",
        hierarchy=hierarchy,
        **options,
    )


def names(made: Plan) -> list[str]:
    return [step.name for _, step in made.placed()]


def before(made: Plan, first: str, second: str) -> bool:
    order = names(made)
    return order.index(first) < order.index(second)


def lines(made: Plan) -> str:
    return made.describe()


def test_every_step_describes_itself_in_one_line() -> None:
    spec = base()
    process, linux = parts(spec)
    spec.domainname = "d"
    spec.hooks = Hooks(prestart=[Hook(path="/a")], start_container=[Hook(path="/b")])
    linux.sysctl = {"net.core.somaxconn": "9"}
    process.terminal = True
    process.oom_score_adj = 5
    for _, step in planned(spec, V1).placed():
        text = step.describe()
        assert text
        assert "\n" not in text
        assert text[0].islower() or text.startswith("set")


def test_the_order_is_that_which_works() -> None:
    made = planned(base())
    order = names(made)
    assert order[0] == "CreateCgroup"
    assert order[-1] == "Execute"
    assert before(made, "Clone", "EnterCgroup")
    assert before(made, "EnterCgroup", "UnshareCgroupNamespace")
    assert before(made, "BindRoot", "MountFileSystem")
    assert before(made, "MakeNode", "HidePath")
    assert before(made, "HidePath", "PivotRoot")
    assert before(made, "SealImports", "PivotRoot")
    assert before(made, "PivotRoot", "ConnectStdio")
    assert before(made, "DropBoundingSet", "BecomeUser")
    assert before(made, "BecomeUser", "SetCapabilities")
    assert before(made, "FindExecutable", "ReportReady")
    assert before(made, "ReportReady", "AwaitStart")


def test_seccomp_comes_last_only_with_no_new_privs() -> None:
    spec = base()
    process, _ = parts(spec)
    process.no_new_privileges = True
    assert names(planned(spec))[-2:] == ["LoadSeccomp", "Execute"]
    process.no_new_privileges = False
    made = planned(spec)
    assert before(made, "LoadSeccomp", "DropBoundingSet")
    assert "ForbidNewPrivileges" not in names(made)


def test_an_overlay_for_the_root_is_mounted_instead_of_a_bind() -> None:
    spec = base()
    options = ["lowerdir=l/A:l/B", "upperdir=x/diff", "workdir=x/work", "x-lading.chdir=/var/o2"]
    spec.mounts.insert(0, Mount(destination="/", type="overlay", source="overlay", options=options))
    made = planned(spec)
    step = next(s for _, s in made.placed() if s.name == "MountOverlay")
    assert step.describe() == "mount an overlay of 2 layers as the root"
    assert step.options == "lowerdir=l/A:l/B,upperdir=x/diff,workdir=x/work"  # type: ignore[attr-defined]
    assert step.directory == "/var/o2"  # type: ignore[attr-defined]
    assert "BindRoot" not in names(made)


def test_namespaces_become_clone_flags_and_joins() -> None:
    spec = base()
    _, linux = parts(spec)
    linux.namespaces = [
        LinuxNamespace(type="mount"),
        LinuxNamespace(type="network", path="/proc/7/ns/net"),
        LinuxNamespace(type="uts"),
        LinuxNamespace(type="cgroup"),
        LinuxNamespace(type="time"),
    ]
    linux.time_offsets = {"boottime": LinuxTimeOffset(secs=5)}
    made = planned(spec)
    assert made.clone.flags == CloneFlag.NEWNS | CloneFlag.NEWUTS
    assert made.clone.joins == (("network", "/proc/7/ns/net"),)
    assert "RaiseLoopback" not in names(made)
    assert "shifting boottime by 5.000000000 s" in lines(made)


def test_a_user_namespace_moves_privileged_work_to_the_runtime() -> None:
    spec = base()
    process, linux = parts(spec)
    process.oom_score_adj = -5
    linux.namespaces.append(LinuxNamespace(type="user"))
    linux.uid_mappings = [LinuxIDMapping(container_id=0, host_id=100000, size=65536)]
    linux.gid_mappings = linux.uid_mappings
    spec.mounts.append(Mount(destination="/data", source="/srv", options=["bind"]))
    made = planned(spec)
    outfit = [step.name for step in made.outfit]
    assert outfit == ["WriteIdMaps", "AddToCgroup", "SetOomScore", "AllowRlimits"]
    assert "map uids 0→100000+65536 and gids 0→100000+65536" in lines(made)
    assert "EnterCgroup" not in names(made)
    assert "MakeNode" not in names(made)
    assert "BindNode" in names(made)
    assert before(made, "OpenMountSource", "Clone")


def test_v1_shows_each_hierarchy_and_its_aliases() -> None:
    made = planned(base(), V1)
    step = next(s for _, s in made.placed() if s.name == "MountCgroupsV1")
    assert step.hierarchies == (  # type: ignore[attr-defined]
        ("/sys/fs/cgroup/memory", ("memory",)),
        ("/sys/fs/cgroup/cpu,cpuacct", ("cpu", "cpuacct")),
    )


def test_without_cgroups_there_are_no_steps_for_them() -> None:
    spec = base()
    spec.mounts = [m for m in spec.mounts if m.type != "cgroup"]
    _, linux = parts(spec)
    linux.namespaces = [n for n in linux.namespaces if n.type != "cgroup"]
    made = planned(spec, None)
    assert not [name for name in names(made) if "Cgroup" in name or name == "ApplyLimits"]


def test_a_mount_of_cgroups_needs_some_on_the_host() -> None:
    with pytest.raises(InvalidParameter, match="mounts no cgroup file system"):
        planned(base(), None)


def test_a_terminal_brings_its_console() -> None:
    spec = base()
    process, _ = parts(spec)
    process.terminal = True
    process.console_size = Box(height=24, width=80)
    made = planned(spec)
    assert "open a terminal of 80x24" in lines(made)
    assert {"OpenTerminal", "BindConsole", "ConnectTerminal"} <= set(names(made))
    assert "ConnectStdio" not in names(made)


def test_a_dev_of_its_own_is_left_alone() -> None:
    spec = base()
    spec.mounts = [m for m in spec.mounts if m.destination != "/dev"]
    spec.mounts.insert(0, Mount(destination="/dev", source="/dev", options=["rbind"]))
    made = planned(spec)
    assert not {"MakeNode", "MakeLink", "BindConsole"} & set(names(made))


def test_a_readonly_dev_is_filled_first() -> None:
    spec = base()
    dev = next(m for m in spec.mounts if m.destination == "/dev")
    dev.options.append("ro")
    made = planned(spec)
    assert before(made, "MakeLink", "RemountReadonly")
    assert "mount tmpfs on /dev (" in lines(made)


def test_devices_of_the_spec_come_after_the_default_ones_and_replace_them() -> None:
    spec = base()
    _, linux = parts(spec)
    linux.devices = [
        LinuxDevice(path="/dev/null", type="c", major=1, minor=3, file_mode=0o600),
        LinuxDevice(path="/dev/fuse", type="c", major=10, minor=229),
        LinuxDevice(path="/dev/ptmx", type="c", major=5, minor=2),
    ]
    text = lines(planned(spec))
    assert text.count("make /dev/null") == 1
    assert "make /dev/null c 1:3 mode 0600" in text
    assert "make /dev/fuse c 10:229 mode 0666" in text
    assert "make /dev/ptmx" not in text


def test_hooks_run_where_oci_wants_them() -> None:
    spec = base()
    hook = [Hook(path="/bin/true")]
    spec.hooks = Hooks(
        prestart=hook, create_runtime=hook, create_container=hook, start_container=hook
    )
    made = planned(spec)
    placed = [(where, step.describe()) for where, step in made.placed()]
    assert ("runtime", "run the prestart hooks /bin/true") in placed
    assert ("container", "run the createContainer hooks /bin/true") in placed
    points = [text for _, text in placed if "hooks /bin/true" in text]
    assert [text.split()[2] for text in points] == [
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
    ]
    assert before(made, "AwaitStart", "Execute")
    assert before(made, "AwaitRuntimeHooks", "PivotRoot")


def test_the_fifo_is_only_for_starts_by_others() -> None:
    assert {"MakeStartFifo", "AwaitStartFifo"} <= set(names(planned(base(), exec_fifo=True)))
    assert "MakeStartFifo" not in names(planned(base()))


def test_moving_the_root_replaces_the_pivot() -> None:
    made = planned(base(), pivot=False)
    assert "MoveRoot" in names(made)
    assert "PivotRoot" not in names(made)


def test_capabilities_that_nobody_knows_are_not_given() -> None:
    spec = base()
    process, _ = parts(spec)
    assert process.capabilities is not None
    process.capabilities.bounding = ["CAP_KILL", "CAP_OF_THE_FUTURE"]
    assert "keep 1 capabilities in the bounding set" in lines(planned(spec))


@pytest.mark.parametrize("path", ["/", ".", "/x/.."])
def test_the_root_cgroup_is_nobodys(path: str) -> None:
    spec = base()
    _, linux = parts(spec)
    linux.cgroups_path = path
    with pytest.raises(InvalidParameter, match="root of the hierarchy"):
        planned(spec)


def test_device_rules_end_with_what_every_container_may_use() -> None:
    deny = LinuxDeviceCgroup(allow=False, access="rwm")
    fuse = LinuxDeviceCgroup(allow=True, type="c", major=10, minor=229, access="rwm")
    old = LinuxDeviceCgroup(allow=True, type="c", major=9, minor=-1, access="rwm")
    made = with_default_devices(LinuxResources(devices=[deny, old, deny, fuse, fuse]))
    assert made is not None
    assert made.devices == [deny, fuse, *ALWAYS_ALLOWED]


def test_all_allowed_needs_no_further_rules() -> None:
    allow = LinuxDeviceCgroup(allow=True, type="a", major=-1, minor=-1, access="rwm")
    made = with_default_devices(LinuxResources(devices=[allow]))
    assert made is not None
    assert made.devices == [LinuxDeviceCgroup(allow=True, access="rwm")]


def test_an_exec_joins_everything_and_confines_again() -> None:
    process = Process(
        cwd="/",
        args=["ps"],
        terminal=True,
        exec_cpu_affinity=ExecCPUAffinity(initial="0-1", final="1"),
    )
    _, linux = parts(defaults.spec())
    kinds = (Namespace.MOUNT, Namespace.PID, Namespace.UTS)
    made = plan_exec(process, linux, container_id="c", pid=42, has_cgroup=True, kinds=kinds)
    assert made.clone.joins == (("pid", "/proc/42/ns/pid"),)
    assert "join the mount, uts namespaces and the root of process 42" in lines(made)
    assert before(made, "EnterCgroupOf", "EnterContainer")
    assert before(made, "SealImports", "EnterContainer")
    assert before(made, "EnterContainer", "BecomeUser")
    assert before(made, "OpenContainerTerminal", "Clone")
    assert {"LoadSeccomp", "SetAffinity"} <= set(names(made))


def test_cpu_lists() -> None:
    assert parse_cpus("0-2,4") == (0, 1, 2, 4)
    with pytest.raises(InvalidParameter):
        parse_cpus("0-")
