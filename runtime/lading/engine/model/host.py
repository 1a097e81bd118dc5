"""HostConfig: what of a container's configuration depends on the host that runs it."""

from __future__ import annotations

from typing import ClassVar

from msgspec import field

from lading.engine.model.config import Strings
from lading.engine.model.network import PortMap
from lading.engine.model.wire import Wire


class LogConfig(Wire):
    """Which log driver writes a container's log, and its options."""

    type: str = ""
    config: dict[str, str] | None = None


class RestartPolicy(Wire):
    """What happens when a container exits: `no`, `always`, `unless-stopped` or `on-failure`."""

    name: str = ""
    maximum_retry_count: int = 0


class DeviceMapping(Wire):
    """A host device made available in a container; permissions are letters of `rwm`."""

    path_on_host: str = ""
    path_in_container: str = ""
    cgroup_permissions: str = ""


class DeviceRequest(Wire):
    """A request to a device driver (GPUs)."""

    driver: str = ""
    count: int = 0
    device_ids: Strings = field(default=None, name="DeviceIDs")
    capabilities: list[list[str]] | None = None
    options: dict[str, str] | None = None


class WeightDevice(Wire):
    """A block device's relative I/O weight, 10 to 1000."""

    path: str = ""
    weight: int = 0


class ThrottleDevice(Wire):
    """A block device's limit, in bytes or operations per second."""

    path: str = ""
    rate: int = 0


class Ulimit(Wire):
    """A resource limit of the container's processes; -1 is unlimited."""

    name: str = ""
    hard: int = 0
    soft: int = 0


class BindOptions(Wire):
    """Options of a mount of type bind."""

    OMIT_EMPTY: ClassVar[frozenset[str]] = frozenset(
        {
            "Propagation",
            "NonRecursive",
            "CreateMountpoint",
            "ReadOnlyNonRecursive",
            "ReadOnlyForceRecursive",
        }
    )

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


class VolumeDriverConfig(Wire):
    """The driver of a volume that a mount creates."""

    OMIT_EMPTY: ClassVar[frozenset[str]] = frozenset({"Name", "Options"})

    name: str = ""
    options: dict[str, str] | None = None


class VolumeOptions(Wire):
    """Options of a mount of type volume."""

    OMIT_EMPTY: ClassVar[frozenset[str]] = frozenset(
        {"NoCopy", "Labels", "Subpath", "DriverConfig"}
    )

    no_copy: bool = False
    labels: dict[str, str] | None = None
    subpath: str = ""
    driver_config: VolumeDriverConfig | None = None


class ImageOptions(Wire):
    """Options of a mount of type image."""

    OMIT_EMPTY: ClassVar[frozenset[str]] = frozenset({"Subpath"})

    subpath: str = ""


class TmpfsOptions(Wire):
    """Options of a mount of type tmpfs; `mode` is a number, `options` are key and value pairs."""

    OMIT_EMPTY: ClassVar[frozenset[str]] = frozenset({"SizeBytes", "Mode", "Options"})

    size_bytes: int = 0
    mode: int = 0
    options: list[list[str]] | None = None


class Mount(Wire):
    """A mount as `--mount` gives it (API definition Mount)."""

    OMIT_EMPTY: ClassVar[frozenset[str]] = frozenset(
        {
            "Type",
            "Source",
            "Target",
            "ReadOnly",
            "Consistency",
            "BindOptions",
            "VolumeOptions",
            "ImageOptions",
            "TmpfsOptions",
        }
    )

    type: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = False
    consistency: str = ""
    bind_options: BindOptions | None = None
    volume_options: VolumeOptions | None = None
    image_options: ImageOptions | None = None
    tmpfs_options: TmpfsOptions | None = None


class Resources(Wire):
    """A container's cgroup limits, devices and ulimits (API definition Resources).

    Sizes are bytes, CPU periods and quotas microseconds; 0 (or null) means no limit of ours.
    """

    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    cgroup_parent: str = ""
    blkio_weight: int = 0
    blkio_weight_device: list[WeightDevice] | None = None
    blkio_device_read_bps: list[ThrottleDevice] | None = None
    blkio_device_write_bps: list[ThrottleDevice] | None = None
    blkio_device_read_iops: list[ThrottleDevice] | None = field(
        default=None, name="BlkioDeviceReadIOps"
    )
    blkio_device_write_iops: list[ThrottleDevice] | None = field(
        default=None, name="BlkioDeviceWriteIOps"
    )
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: list[DeviceMapping] | None = None
    device_cgroup_rules: Strings = None
    device_requests: list[DeviceRequest] | None = None
    kernel_memory: int = 0
    kernel_memory_tcp: int = field(default=0, name="KernelMemoryTCP")
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    pids_limit: int | None = None
    ulimits: list[Ulimit] | None = None
    cpu_count: int = 0
    cpu_percent: int = 0
    io_maximum_iops: int = field(default=0, name="IOMaximumIOps")
    io_maximum_bandwidth: int = field(default=0, name="IOMaximumBandwidth")


class HostConfig(Resources):
    """The host's part of a container's configuration (API definition HostConfig)."""

    OMIT_EMPTY: ClassVar[frozenset[str]] = frozenset(
        {
            "Annotations",
            "StorageOpt",
            "Tmpfs",
            "Sysctls",
            "Runtime",
            "KernelMemory",
            "KernelMemoryTCP",
            "Mounts",
            "Init",
        }
    )

    binds: Strings = None
    container_id_file: str = field(default="", name="ContainerIDFile")
    log_config: LogConfig = field(default_factory=LogConfig)
    network_mode: str = ""
    port_bindings: PortMap | None = None
    restart_policy: RestartPolicy = field(default_factory=RestartPolicy)
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: Strings = None
    console_size: list[int] = field(default_factory=lambda: [0, 0])
    annotations: dict[str, str] | None = None
    cap_add: Strings = None
    cap_drop: Strings = None
    cgroupns_mode: str = ""
    dns: Strings = None
    dns_options: Strings = None
    dns_search: Strings = None
    extra_hosts: Strings = None
    group_add: Strings = None
    ipc_mode: str = ""
    cgroup: str = ""
    links: Strings = None
    oom_score_adj: int = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: Strings = None
    storage_opt: dict[str, str] | None = None
    tmpfs: dict[str, str] | None = None
    uts_mode: str = field(default="", name="UTSMode")
    userns_mode: str = ""
    shm_size: int = 0
    sysctls: dict[str, str] | None = None
    runtime: str = ""
    isolation: str = ""
    mounts: list[Mount] | None = None
    masked_paths: Strings = None
    readonly_paths: Strings = None
    init: bool | None = None


class UpdateConfig(Resources):
    """What `docker update` may change (API operation ContainerUpdate)."""

    restart_policy: RestartPolicy = field(default_factory=RestartPolicy)
