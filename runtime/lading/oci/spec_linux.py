"""The "linux" section of an OCI runtime spec: namespaces, devices, resources, seccomp and more.

Source: OCI runtime-spec 1.2, config-linux.md. Names are OCI's in snake case; `lading.oci.spec`
gives all of them again, so import from there.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Uint16 = Annotated[int, Meta(ge=0, le=0xFFFF)]
Uint32 = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
Uint64 = Annotated[int, Meta(ge=0)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class Record(msgspec.Struct, omit_defaults=True, rename="camel"):
    """What all objects of the spec share: camelCase in JSON, without defaults, unknowns ignored."""


class LinuxIDMapping(Record, kw_only=True):
    """`size` ids from `container_id` on inside are those from `host_id` on outside."""

    container_id: Uint32 = msgspec.field(name="containerID")
    host_id: Uint32 = msgspec.field(name="hostID")
    size: Uint32


class LinuxNamespace(Record, kw_only=True):
    """A namespace to make, or with `path` to join; `type` is "pid", "network", "mount" …"""

    type: str
    path: str = ""


class LinuxDevice(Record, kw_only=True):
    """A device node to make in the container; `file_mode` holds the permission bits."""

    path: str
    type: str
    major: Int64 = 0
    minor: Int64 = 0
    file_mode: Uint32 | None = None
    uid: Uint32 | None = None
    gid: Uint32 | None = None


class LinuxDeviceCgroup(Record, kw_only=True):
    """Allow or deny access to devices: `access` of "rwm", absent numbers mean all."""

    allow: bool
    type: str | None = None
    major: Int64 | None = None
    minor: Int64 | None = None
    access: str | None = None


class LinuxMemory(Record, kw_only=True):
    """Limits in bytes, -1 for none; `swap` is memory and swap together."""

    limit: Int64 | None = None
    reservation: Int64 | None = None
    swap: Int64 | None = None
    kernel: Int64 | None = None
    kernel_tcp: Int64 | None = msgspec.field(default=None, name="kernelTCP")
    swappiness: Uint64 | None = None
    disable_oom_killer: bool | None = msgspec.field(default=None, name="disableOOMKiller")
    use_hierarchy: bool | None = None
    check_before_update: bool | None = None


class LinuxCPU(Record, kw_only=True):
    """CPU shares, quota and period in microseconds, real-time share, and sets of CPUs and nodes."""

    shares: Uint64 | None = None
    quota: Int64 | None = None
    burst: Uint64 | None = None
    period: Uint64 | None = None
    realtime_runtime: Int64 | None = None
    realtime_period: Uint64 | None = None
    cpus: str | None = None
    mems: str | None = None
    idle: Int64 | None = None


class LinuxPids(Record, kw_only=True):
    """How many tasks; 0 or less for no limit."""

    limit: Int64 | None = None


class LinuxWeightDevice(Record, kw_only=True):
    """The I/O weight for one block device."""

    major: Int64
    minor: Int64
    weight: Uint16 | None = None
    leaf_weight: Uint16 | None = None


class LinuxThrottleDevice(Record, kw_only=True):
    """A rate for one block device, in bytes or operations a second."""

    major: Int64
    minor: Int64
    rate: Uint64


class LinuxBlockIO(Record, kw_only=True):
    """Block I/O weights (10 to 1000) and rates."""

    weight: Uint16 | None = None
    leaf_weight: Uint16 | None = None
    weight_device: list[LinuxWeightDevice] = []
    throttle_read_bps_device: list[LinuxThrottleDevice] = []
    throttle_write_bps_device: list[LinuxThrottleDevice] = []
    throttle_read_iops_device: list[LinuxThrottleDevice] = msgspec.field(
        default_factory=list, name="throttleReadIOPSDevice"
    )
    throttle_write_iops_device: list[LinuxThrottleDevice] = msgspec.field(
        default_factory=list, name="throttleWriteIOPSDevice"
    )


class LinuxHugepageLimit(Record, kw_only=True):
    """`limit` bytes of huge pages of `page_size` ("2MB")."""

    page_size: str
    limit: Uint64


class LinuxInterfacePriority(Record, kw_only=True):
    """The priority of traffic that leaves by one interface."""

    name: str
    priority: Uint32


class LinuxNetwork(Record, kw_only=True):
    """The v1 controllers net_cls and net_prio."""

    class_id: Uint32 | None = msgspec.field(default=None, name="classID")
    priorities: list[LinuxInterfacePriority] = []


class LinuxRdma(Record, kw_only=True):
    """Limits of one RDMA device."""

    hca_handles: Uint32 | None = None
    hca_objects: Uint32 | None = None


class LinuxResources(Record, kw_only=True):
    """Limits for the container's cgroup."""

    devices: list[LinuxDeviceCgroup] = []
    memory: LinuxMemory | None = None
    cpu: LinuxCPU | None = None
    pids: LinuxPids | None = None
    block_io: LinuxBlockIO | None = msgspec.field(default=None, name="blockIO")
    hugepage_limits: list[LinuxHugepageLimit] = []
    network: LinuxNetwork | None = None
    rdma: dict[str, LinuxRdma] = {}
    unified: dict[str, str] = {}


class LinuxSeccompArg(Record, kw_only=True):
    """A comparison with one argument of a system call."""

    index: Annotated[int, Meta(ge=0, le=5)]
    value: Uint64
    value_two: Uint64 = 0
    op: str


class LinuxSyscall(Record, kw_only=True):
    """An action for the named system calls when all `args` hold."""

    names: list[str]
    action: str
    errno_ret: Uint32 | None = None
    args: list[LinuxSeccompArg] = []


class LinuxSeccomp(Record, kw_only=True):
    """A seccomp filter; a call that no rule names gets `default_action`."""

    default_action: str
    default_errno_ret: Uint32 | None = None
    architectures: list[str] = []
    flags: list[str] = []
    listener_path: str = ""
    listener_metadata: str = ""
    syscalls: list[LinuxSyscall] = []


class LinuxIntelRdt(Record, kw_only=True):
    """Cache and memory bandwidth allocation by resctrl."""

    clos_id: str = msgspec.field(default="", name="closID")
    l3_cache_schema: str = ""
    mem_bw_schema: str = ""
    enable_cmt: bool = msgspec.field(default=False, name="enableCMT")
    enable_mbm: bool = msgspec.field(default=False, name="enableMBM")


class LinuxPersonality(Record, kw_only=True):
    """The execution domain: "LINUX" or "LINUX32"."""

    domain: str
    flags: list[str] = []


class LinuxTimeOffset(Record, kw_only=True):
    """By how much a clock of the time namespace differs from the host's."""

    secs: Int64 = 0
    nanosecs: Uint32 = 0


class Linux(Record, kw_only=True):
    """All that is Linux's own in a container's configuration."""

    uid_mappings: list[LinuxIDMapping] = []
    gid_mappings: list[LinuxIDMapping] = []
    sysctl: dict[str, str] = {}
    resources: LinuxResources | None = None
    cgroups_path: str = ""
    namespaces: list[LinuxNamespace] = []
    devices: list[LinuxDevice] = []
    seccomp: LinuxSeccomp | None = None
    rootfs_propagation: str = ""
    masked_paths: list[str] = []
    readonly_paths: list[str] = []
    mount_label: str = ""
    intel_rdt: LinuxIntelRdt | None = None
    personality: LinuxPersonality | None = None
    time_offsets: dict[str, LinuxTimeOffset] = {}
