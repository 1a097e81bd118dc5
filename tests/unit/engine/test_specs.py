"""From Docker's configuration to the OCI runtime spec."""

from __future__ import annotations

from typing import Any

import pytest

from lading.engine.model import (
    Container,
    DeviceMapping,
    DeviceRequest,
    ExecConfig,
    HostConfig,
    MountDetail,
    MountPoint,
    MountRecord,
    Ulimit,
)
from lading.engine.settings import Settings
from lading.engine.specs import SpecInputs, build
from lading.engine.specs.mounts import MountPlan
from lading.engine.specs.process import exec_process
from lading.engine.users import Identity
from lading.errors import LadingError
from lading.oci import defaults
from lading.oci import spec as oci

from .fakes import record

ROOT = Identity(0, 0, (10,), "/root")
MARY = Identity(1000, 1000, (), "/home/mary")


def spec_of(
    made: Container,
    identity: Identity = ROOT,
    settings: Settings | None = None,
    **plan: Any,
) -> oci.Spec:
    sources = [mount.point.source for mount in made.mounts]
    mounts = MountPlan(overlay=["lowerdir=l/A"], sources=sources, **plan)
    inputs = SpecInputs(identity=identity, mounts=mounts, pid_of=lambda ref: {"donor": 77}[ref])
    built = build(made, settings or Settings(), inputs)
    return oci.decode(oci.encode(built))


def process_of(built: oci.Spec) -> oci.Process:
    assert built.process is not None
    return built.process


def linux_of(built: oci.Spec) -> oci.Linux:
    assert built.linux is not None
    return built.linux


def mount_at(built: oci.Spec, destination: str) -> oci.Mount:
    (found,) = [mount for mount in built.mounts if mount.destination == destination]
    return found


def test_the_plain_container() -> None:
    made = record(masked_paths=["/proc/kcore"], readonly_paths=["/proc/sys"])
    built = spec_of(made)
    process, linux = process_of(built), linux_of(built)
    assert built.hostname == made.config.hostname
    assert process.args == ["sleep", "60"]
    assert process.cwd == "/"
    assert process.env == [
        f"PATH={defaults.PATH}",
        f"HOSTNAME={made.config.hostname}",
        "HOME=/root",
    ]
    assert process.user.additional_gids == [0, 10]
    assert process.capabilities is not None
    assert process.capabilities.effective == list(defaults.CAPABILITIES)
    assert not process.no_new_privileges
    kinds = {namespace.type for namespace in linux.namespaces}
    assert kinds == {"mount", "pid", "ipc", "uts", "network", "cgroup"}
    assert linux.cgroups_path == f"/lading/{made.id}"
    assert linux.seccomp is not None
    assert (linux.masked_paths, linux.readonly_paths) == (["/proc/kcore"], ["/proc/sys"])
    root = built.mounts[0]
    assert (root.destination, root.type, root.options) == ("/", "overlay", ["lowerdir=l/A"])
    assert f"size={made.host_config.shm_size}" in mount_at(built, "/dev/shm").options
    assert linux.resources is not None
    assert [(rule.allow, rule.access) for rule in linux.resources.devices] == [(False, "rwm")]


def test_a_user_other_than_root_has_no_capabilities_to_begin_with() -> None:
    capabilities = process_of(spec_of(record(), MARY)).capabilities
    assert capabilities is not None
    assert capabilities.bounding == list(defaults.CAPABILITIES)
    assert capabilities.effective == []
    assert capabilities.permitted == []


@pytest.mark.parametrize(
    ("add", "drop", "has", "lacks"),
    [
        (["net_admin"], [], {"CAP_NET_ADMIN", "CAP_CHOWN"}, set()),
        ([], ["CHOWN"], {"CAP_KILL"}, {"CAP_CHOWN"}),
        ([], ["ALL"], set(), {"CAP_KILL"}),
        (["KILL"], ["ALL"], {"CAP_KILL"}, {"CAP_CHOWN"}),
        (["ALL"], ["SYS_ADMIN"], {"CAP_NET_ADMIN"}, {"CAP_SYS_ADMIN"}),
    ],
)
def test_capabilities(add: list[str], drop: list[str], has: set[str], lacks: set[str]) -> None:
    capabilities = process_of(spec_of(record(cap_add=add, cap_drop=drop))).capabilities
    held = set(capabilities.bounding) if capabilities else set()
    assert has <= held
    assert not lacks & held


def test_privileged_containers_are_not_confined() -> None:
    built = spec_of(record(privileged=True))
    process, linux = process_of(built), linux_of(built)
    assert process.capabilities is not None
    assert process.capabilities.effective == defaults.all_capabilities()
    assert linux.seccomp is None
    assert (linux.masked_paths, linux.readonly_paths) == ([], [])
    assert "ro" not in mount_at(built, "/sys").options
    assert linux.resources is not None
    assert [rule.allow for rule in linux.resources.devices] == [True]
    assert "/dev/null" in {device.path for device in linux.devices}


@pytest.mark.parametrize(
    ("mode", "kind", "path"),
    [
        ({"pid_mode": "host"}, "pid", None),
        ({"ipc_mode": "host"}, "ipc", None),
        ({"uts_mode": "host"}, "uts", None),
        ({"network_mode": "host"}, "network", None),
        ({"cgroupns_mode": "host"}, "cgroup", None),
        ({"pid_mode": "container:donor"}, "pid", "/proc/77/ns/pid"),
        ({"network_mode": "container:donor"}, "network", "/proc/77/ns/net"),
        ({"network_mode": "none"}, "network", ""),
        ({"cgroupns_mode": "private"}, "cgroup", ""),
    ],
)
def test_namespaces(mode: dict[str, Any], kind: str, path: str | None) -> None:
    built = spec_of(record(**mode))
    found = {namespace.type: namespace.path for namespace in linux_of(built).namespaces}
    assert found.get(kind) == path
    if kind == "uts":
        assert built.hostname == ""


def test_limits() -> None:
    made = record(
        memory=64 << 20,
        memory_swap=-1,
        memory_reservation=32 << 20,
        nano_cpus=500_000_000,
        cpu_shares=512,
        cpuset_cpus="0",
        pids_limit=7,
        oom_kill_disable=True,
    )
    resources = linux_of(spec_of(made)).resources
    assert resources is not None
    assert resources.memory == oci.LinuxMemory(
        limit=64 << 20, swap=-1, reservation=32 << 20, disable_oom_killer=True
    )
    assert resources.cpu == oci.LinuxCPU(shares=512, quota=50_000, period=100_000, cpus="0")
    assert resources.pids == oci.LinuxPids(limit=7)
    assert resources.block_io is None


def test_own_cgroup_parent() -> None:
    made = record(cgroup_parent="/mine")
    assert linux_of(spec_of(made)).cgroups_path == f"/mine/{made.id}"


def test_environment() -> None:
    made = record()
    made.config.tty = True
    made.config.env = ["PATH=/bin", "A=1", "A=2", "TERM", "HOME=/x"]
    env = process_of(spec_of(made)).env
    assert env == ["PATH=/bin", f"HOSTNAME={made.config.hostname}", "A=2", "HOME=/x"]


def test_ulimits_and_the_daemons() -> None:
    made = record(ulimits=[Ulimit(name="nofile", soft=-1, hard=-1)])
    settings = Settings(ulimits={"nofile": (5, 6), "nproc": (7, 8)})
    found = {
        each.type: (each.soft, each.hard)
        for each in process_of(spec_of(made, settings=settings)).rlimits
    }
    assert found == {"RLIMIT_NOFILE": (2**64 - 1, 2**64 - 1), "RLIMIT_NPROC": (7, 8)}


def test_init_is_bound_in_and_started_first() -> None:
    built = spec_of(record(), init_path="/usr/bin/tini")
    assert process_of(built).args == ["/sbin/docker-init", "--", "sleep", "60"]
    assert mount_at(built, "/sbin/docker-init").source == "/usr/bin/tini"


def test_mounts_of_the_user_come_by_depth_and_replace_default_ones() -> None:
    made = record(tmpfs={"/run": "size=5k"})
    made.mounts = [
        MountRecord(point=MountPoint(type="bind", source="/b", destination="/a/b", rw=False)),
        MountRecord(point=MountPoint(type="volume", source="/v", destination="/a")),
        MountRecord(
            point=MountPoint(type="bind", source="/s", destination="/dev/shm"),
            detail=MountDetail(non_recursive=True),
        ),
    ]
    made.hosts_path = "/files/hosts"
    built = spec_of(made)
    order = [mount.destination for mount in built.mounts]
    assert order.index("/a") < order.index("/a/b")
    assert order.count("/dev/shm") == 1
    assert mount_at(built, "/a/b").options == ["rbind", "rprivate", "rro"]
    assert mount_at(built, "/dev/shm").options == ["bind", "rprivate"]
    assert mount_at(built, "/etc/hosts").source == "/files/hosts"
    assert mount_at(built, "/run").options == ["noexec", "nosuid", "nodev", "size=5k"]


def test_a_mount_of_dev_replaces_all_of_it() -> None:
    made = record()
    made.mounts = [MountRecord(point=MountPoint(type="bind", source="/d", destination="/dev"))]
    order = [mount.destination for mount in spec_of(made).mounts]
    assert [path for path in order if path.startswith("/dev")] == ["/dev"]


def test_a_read_only_root() -> None:
    built = spec_of(record(readonly_rootfs=True))
    assert built.root is not None
    assert built.root.readonly
    assert "ro" in mount_at(built, "/sys/fs/cgroup").options
    assert "ro" not in mount_at(built, "/dev/shm").options


def test_shared_memory_of_another() -> None:
    assert mount_at(spec_of(record(), shm="/shm"), "/dev/shm").source == "/shm"
    order = [mount.destination for mount in spec_of(record(ipc_mode="none")).mounts]
    assert "/dev/shm" not in order


def test_devices() -> None:
    made = record(
        devices=[
            DeviceMapping(
                path_on_host="/dev/null", path_in_container="/dev/x", cgroup_permissions="r"
            )
        ],
        device_cgroup_rules=["c 13:* rw"],
    )
    linux = linux_of(spec_of(made))
    (node,) = linux.devices
    assert (node.path, node.type, node.major, node.minor) == ("/dev/x", "c", 1, 3)
    assert linux.resources is not None
    assert [
        (rule.allow, rule.type, rule.major, rule.minor, rule.access)
        for rule in linux.resources.devices[1:]
    ] == [(True, "c", 1, 3, "r"), (True, "c", 13, None, "rw")]


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (
            {"devices": [DeviceMapping(path_on_host="/dev/nosuch")]},
            (
                'error gathering device information while adding custom device "/dev/nosuch": '
                "no such file or directory"
            ),
        ),
        ({"device_cgroup_rules": ["foo"]}, "invalid device cgroup rule format: 'foo'"),
        (
            {"device_requests": [DeviceRequest(count=-1, capabilities=[["gpu"]])]},
            'could not select device driver "" with capabilities: [[gpu]]',
        ),
        ({"security_opt": ["seccomp={"]}, "Decoding seccomp profile failed: "),
        ({"security_opt": ["foo"]}, 'invalid --security-opt 1: "foo"'),
        ({"security_opt": ["foo=bar"]}, 'invalid --security-opt 2: "foo=bar"'),
        (
            {"security_opt": ["no-new-privileges:foo"]},
            'invalid --security-opt 2: "no-new-privileges:foo"',
        ),
    ],
)
def test_what_cannot_be(host: dict[str, Any], words: str) -> None:
    with pytest.raises(LadingError) as raised:
        spec_of(record(**host))
    assert raised.value.message.startswith(words)
    assert raised.value.status == 500


def test_security_options() -> None:
    made = record(security_opt=["no-new-privileges", "seccomp=unconfined", "label=disable"])
    built = spec_of(made)
    assert process_of(built).no_new_privileges
    assert linux_of(built).seccomp is None
    profile = '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}'
    chosen = linux_of(spec_of(record(security_opt=[f"seccomp={profile}"]))).seccomp
    assert chosen is not None
    assert chosen.default_action == "SCMP_ACT_ALLOW"


def test_sysctls_and_annotations_pass_through() -> None:
    built = spec_of(record(sysctls={"net.core.somaxconn": "5"}, annotations={"a": "b"}))
    assert linux_of(built).sysctl == {"net.core.somaxconn": "5"}
    assert built.annotations == {"a": "b"}


def test_exec_takes_over_from_the_container() -> None:
    made = record(oom_score_adj=5)
    made.config.working_dir = "/srv"
    made.config.env = ["A=1"]
    process = exec_process(made, ExecConfig(cmd=["id"], env=["B=2"], tty=True), MARY)
    assert (process.args, process.cwd, process.terminal) == (["id"], "/srv", True)
    assert process.env[2:] == ["TERM=xterm", "A=1", "B=2", "HOME=/home/mary"]
    assert process.user.uid == 1000
    assert process.oom_score_adj == 5


def test_exec_may_be_privileged() -> None:
    process = exec_process(record(), ExecConfig(cmd=["id"], privileged=True), ROOT)
    assert process.capabilities is not None
    assert process.capabilities.effective == defaults.all_capabilities()


def test_host_config_defaults_are_no_limits() -> None:
    resources = linux_of(spec_of(record())).resources
    assert resources is not None
    assert (resources.memory, resources.cpu) == (oci.LinuxMemory(), oci.LinuxCPU())
    assert HostConfig().oom_kill_disable is None
