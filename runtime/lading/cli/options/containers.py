"""The options that `run` and `create` share, by what they are for."""

from __future__ import annotations

from lading.cli.flags import Flag
from lading.cli.kinds import (
    BOOL,
    CPUS,
    DURATION,
    INT,
    LIST,
    MAP,
    SIZE,
    STRING,
    SWAP,
    UINT16,
    UINT64,
    Kind,
    listing,
)
from lading.cli.options import checks
from lading.cli.options.gpus import parse_gpus
from lading.cli.options.mounts import parse_mount
from lading.cli.options.networks import parse_network

MOUNTS = listing("mount", parse_mount)
NETWORKS = listing("network", parse_network)
ULIMITS = listing("ulimit", checks.ulimit)
GPUS = Kind("gpu-request", parse_gpus, (), many=True)

PROCESS = (
    Flag("interactive", "i", BOOL, "Keep stdin open even if nothing is attached", group="Process"),
    Flag("tty", "t", BOOL, "Give the process a terminal", group="Process"),
    Flag(
        "attach",
        "a",
        listing("list", checks.attach),
        "Attach stdin, stdout or stderr only",
        group="Process",
    ),
    Flag(
        "env",
        "e",
        listing("list", checks.env),
        "Set a variable; without a value, pass on ours",
        group="Process",
    ),
    Flag("env-file", "", LIST, "Read variables from a file", group="Process"),
    Flag("entrypoint", "", STRING, "Replace the image's entrypoint", group="Process"),
    Flag("workdir", "w", STRING, "Directory to start in", group="Process"),
    Flag(
        "user", "u", STRING, "User to run as: name or uid, and group after a colon", group="Process"
    ),
    Flag("group-add", "", LIST, "Further group to run as", group="Process"),
    Flag(
        "init",
        "",
        BOOL,
        "Run an init process that reaps zombies and passes signals on",
        group="Process",
    ),
    Flag("stop-signal", "", STRING, "Signal that asks the process to end", group="Process"),
    Flag(
        "stop-timeout",
        "",
        INT,
        "Seconds until a container that was told to stop is killed",
        group="Process",
    ),
)

IDENTITY = (
    Flag("name", "", STRING, "Name of the container", group="Name and labels"),
    Flag("hostname", "h", STRING, "Host name inside", group="Name and labels"),
    Flag("domainname", "", STRING, "NIS domain name inside", group="Name and labels"),
    Flag(
        "label",
        "l",
        listing("list", checks.label),
        "Label of the container",
        group="Name and labels",
    ),
    Flag("label-file", "", LIST, "Read labels from a file", group="Name and labels"),
    Flag(
        "annotation",
        "",
        MAP,
        "Annotation that the OCI runtime gets to see",
        group="Name and labels",
    ),
    Flag("cidfile", "", STRING, "Write the container's id to this file", group="Name and labels"),
)

FILES = (
    Flag("volume", "v", LIST, "Mount a directory or a volume: source:target[:ro]", group="Files"),
    Flag(
        "mount",
        "",
        MOUNTS,
        "Mount something: type=bind|volume|tmpfs|image,source=…,target=…",
        group="Files",
    ),
    Flag("tmpfs", "", LIST, "Mount a tmpfs: /path[:options]", group="Files"),
    Flag("volumes-from", "", LIST, "Mount the volumes of another container", group="Files"),
    Flag("volume-driver", "", STRING, "Driver for new volumes", group="Files"),
    Flag("read-only", "", BOOL, "Make the root file system read-only", group="Files"),
    Flag("storage-opt", "", LIST, "Option of the storage driver", group="Files"),
    Flag("shm-size", "", SIZE, "Size of /dev/shm", group="Files"),
    Flag(
        "device",
        "",
        LIST,
        "Add a device of the host: /dev/host[:/dev/container[:rwm]]",
        group="Files",
    ),
    Flag(
        "device-cgroup-rule",
        "",
        listing("list", checks.cgroup_rule),
        "Rule for the devices cgroup, such as 'c 1:3 rwm'",
        group="Files",
    ),
    Flag("gpus", "", GPUS, "GPU devices to add", group="Files"),
)

NETWORK = (
    Flag(
        "network",
        "",
        NETWORKS,
        "Network to connect to: a name, none, host, container:NAME",
        aliases=("net",),
        group="Network",
    ),
    Flag(
        "network-alias",
        "",
        LIST,
        "Further name in that network",
        aliases=("net-alias",),
        group="Network",
    ),
    Flag(
        "publish",
        "p",
        LIST,
        "Publish a port: [[address:]host port:]container port[/protocol]",
        group="Network",
    ),
    Flag("publish-all", "P", BOOL, "Publish all exposed ports to random ones", group="Network"),
    Flag("expose", "", LIST, "Expose a port or a range of ports", group="Network"),
    Flag("ip", "", STRING, "IPv4 address", group="Network"),
    Flag("ip6", "", STRING, "IPv6 address", group="Network"),
    Flag("link-local-ip", "", LIST, "Link-local address", group="Network"),
    Flag("mac-address", "", STRING, "MAC address", group="Network"),
    Flag(
        "link",
        "",
        listing("list", checks.link),
        "Link to another container: name[:alias]",
        group="Network",
    ),
    Flag(
        "add-host",
        "",
        listing("list", checks.extra_host),
        "Line for /etc/hosts: host:ip, or host:host-gateway",
        group="Network",
    ),
    Flag("dns", "", listing("list", checks.ip), "Name server", group="Network"),
    Flag("dns-option", "", LIST, "Resolver option", aliases=("dns-opt",), group="Network"),
    Flag("dns-search", "", listing("list", checks.search_domain), "Search domain", group="Network"),
)

CPU_AND_MEMORY = (
    Flag("memory", "m", SIZE, "Memory limit, such as 100m", group="Limits"),
    Flag(
        "memory-swap",
        "",
        SWAP,
        "Limit of memory and swap together, -1 for no limit",
        group="Limits",
    ),
    Flag(
        "memory-reservation",
        "",
        SIZE,
        "Memory to shrink to when the host runs short",
        group="Limits",
    ),
    Flag(
        "kernel-memory",
        "",
        SIZE,
        "Accepted for compatibility: kernels have no such limit any more",
        hidden=True,
    ),
    Flag("cpus", "", CPUS, "Number of CPUs, such as 1.5", group="Limits"),
    Flag("cpu-shares", "c", INT, "Weight beside other containers", group="Limits"),
    Flag("cpu-period", "", INT, "Length of the scheduler's period in microseconds", group="Limits"),
    Flag("cpu-quota", "", INT, "Microseconds of CPU in each period", group="Limits"),
    Flag("cpu-rt-period", "", INT, "Real-time period in microseconds", group="Limits"),
    Flag(
        "cpu-rt-runtime", "", INT, "Real-time CPU in each period, in microseconds", group="Limits"
    ),
    Flag("cpuset-cpus", "", STRING, "CPUs to run on, such as 0-3 or 0,1", group="Limits"),
    Flag("cpuset-mems", "", STRING, "Memory nodes to use, such as 0,1", group="Limits"),
    Flag("pids-limit", "", INT, "Greatest number of processes, -1 for no limit", group="Limits"),
    Flag(
        "blkio-weight",
        "",
        UINT16,
        "Block I/O weight, 10 to 1000, or 0 for the default",
        group="Limits",
    ),
)

LIMITS = (
    *CPU_AND_MEMORY,
    Flag("memory-swappiness", "", INT, "How readily to swap, 0 to 100", default=-1, group="Limits"),
    Flag(
        "oom-kill-disable",
        "",
        BOOL,
        "Let processes wait when memory is out, rather than kill one",
        group="Limits",
    ),
    Flag(
        "oom-score-adj",
        "",
        INT,
        "How readily the host's OOM killer takes it, -1000 to 1000",
        group="Limits",
    ),
    Flag("ulimit", "", ULIMITS, "Resource limit of processes: name=soft[:hard]", group="Limits"),
    Flag(
        "blkio-weight-device",
        "",
        listing("list", checks.weight_device),
        "Block I/O weight for one device: /dev/path:weight",
        group="Limits",
    ),
    Flag(
        "device-read-bps",
        "",
        listing("list", checks.throttle_bytes),
        "Bytes a second to read from a device: /dev/path:1mb",
        group="Limits",
    ),
    Flag(
        "device-write-bps",
        "",
        listing("list", checks.throttle_bytes),
        "Bytes a second to write to a device",
        group="Limits",
    ),
    Flag(
        "device-read-iops",
        "",
        listing("list", checks.throttle_operations),
        "Reads a second from a device: /dev/path:1000",
        group="Limits",
    ),
    Flag(
        "device-write-iops",
        "",
        listing("list", checks.throttle_operations),
        "Writes a second to a device",
        group="Limits",
    ),
    Flag("cgroup-parent", "", STRING, "Cgroup to make the container's in", group="Limits"),
    Flag("cpu-count", "", INT, "Windows only", hidden=True),
    Flag("cpu-percent", "", INT, "Windows only", hidden=True),
    Flag("io-maxbandwidth", "", SIZE, "Windows only", hidden=True),
    Flag("io-maxiops", "", UINT64, "Windows only", hidden=True),
)

SECURITY = (
    Flag("cap-add", "", LIST, "Capability to add, or ALL", group="Isolation"),
    Flag("cap-drop", "", LIST, "Capability to drop, or ALL", group="Isolation"),
    Flag(
        "privileged",
        "",
        BOOL,
        "Lift the isolation: all capabilities, all devices, no seccomp policy",
        group="Isolation",
    ),
    Flag(
        "security-opt",
        "",
        LIST,
        "no-new-privileges, seccomp=FILE|unconfined, apparmor=…, label=…, systempaths=unconfined",
        group="Isolation",
    ),
    Flag("pid", "", STRING, "PID namespace: host or container:NAME", group="Isolation"),
    Flag(
        "ipc",
        "",
        STRING,
        "IPC namespace: none, private, shareable, host, container:NAME",
        group="Isolation",
    ),
    Flag("uts", "", STRING, "UTS namespace: host", group="Isolation"),
    Flag("userns", "", STRING, "User namespace: host", group="Isolation"),
    Flag("cgroupns", "", STRING, "Cgroup namespace: host or private", group="Isolation"),
    Flag(
        "sysctl",
        "",
        listing("map", checks.sysctl),
        "Kernel parameter of the container's namespaces",
        group="Isolation",
    ),
    Flag("runtime", "", STRING, "OCI runtime to use", group="Isolation"),
    Flag("isolation", "", STRING, "Windows only", hidden=True),
    Flag("use-api-socket", "", BOOL, "Give the container the daemon's socket", group="Isolation"),
)

LIFE = (
    Flag(
        "rm",
        "",
        BOOL,
        "Remove the container and its anonymous volumes when it has ended",
        group="Life",
    ),
    Flag(
        "restart",
        "",
        STRING,
        "When to start again: no, on-failure[:times], always, unless-stopped",
        default="no",
        group="Life",
    ),
    Flag(
        "pull",
        "",
        STRING,
        "When to pull the image: always, missing, never",
        default="missing",
        group="Life",
    ),
    Flag("quiet", "q", BOOL, "Do not show how the pull goes", group="Life"),
    Flag("platform", "", STRING, "Platform of the image: os/arch[/variant]", group="Life"),
    Flag(
        "disable-content-trust", "", BOOL, "Accepted for compatibility", default=True, hidden=True
    ),
    Flag(
        "health-cmd",
        "",
        STRING,
        "Command that tells whether the container is healthy",
        group="Life",
    ),
    Flag("health-interval", "", DURATION, "Time between two checks", group="Life"),
    Flag("health-timeout", "", DURATION, "Longest that a check may take", group="Life"),
    Flag("health-retries", "", INT, "Failed checks in a row that make it unhealthy", group="Life"),
    Flag(
        "health-start-period",
        "",
        DURATION,
        "Time to come up in which failed checks do not count",
        group="Life",
    ),
    Flag("health-start-interval", "", DURATION, "Time between checks in that period", group="Life"),
    Flag("no-healthcheck", "", BOOL, "Do without the image's health check", group="Life"),
    Flag("log-driver", "", STRING, "Where output is logged", group="Life"),
    Flag("log-opt", "", LIST, "Option of the log driver, such as max-size=10m", group="Life"),
)

SHARED = (*PROCESS, *IDENTITY, *FILES, *NETWORK, *LIMITS, *SECURITY, *LIFE)
