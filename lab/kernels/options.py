"""What a container engine asks of a kernel, and what is lost without it.

Sources: the kernel's Kconfig help texts; namespaces(7), cgroups(7), seccomp(2).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Need(Enum):
    """How much an engine depends on something."""

    REQUIRED = "required"
    LIMITS = "limits"
    NETWORK = "network"
    SECURITY = "security"
    OPTIONAL = "optional"


Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Option:
    """A requirement: any one of `symbols` fulfils it.

    `since` and `until` bound the kernel versions (major, minor; `until` exclusive) in which
    the symbols exist; outside of them nothing is asked. `cost` says what is lost without it.
    """

    title: str
    symbols: tuple[str, ...]
    need: Need
    cost: str
    since: Version = (0, 0)
    until: Version = (999, 0)

    def applies_to(self, version: Version) -> bool:
        """Whether a kernel of this version can have the option at all."""
        return self.since <= version < self.until


def _required(title: str, symbol: str, cost: str, **bounds: Version) -> Option:
    return Option(title, (symbol,), Need.REQUIRED, cost, **bounds)


def _limit(title: str, symbols: str, cost: str, **bounds: Version) -> Option:
    return Option(title, tuple(symbols.split()), Need.LIMITS, cost, **bounds)


def _network(title: str, symbols: str, cost: str) -> Option:
    return Option(title, tuple(symbols.split()), Need.NETWORK, cost)


def _security(title: str, symbols: str, cost: str) -> Option:
    return Option(title, tuple(symbols.split()), Need.SECURITY, cost)


def _optional(title: str, symbols: str, cost: str) -> Option:
    return Option(title, tuple(symbols.split()), Need.OPTIONAL, cost)


_NO_START = "no container starts"

OPTIONS: tuple[Option, ...] = (
    _required("namespaces", "NAMESPACES", _NO_START),
    _required("hostname namespace", "UTS_NS", _NO_START),
    _required("IPC namespace", "IPC_NS", _NO_START),
    _required("process namespace", "PID_NS", _NO_START),
    _required("network namespace", "NET_NS", _NO_START),
    _required("control groups", "CGROUPS", _NO_START),
    _required("overlay file system", "OVERLAY_FS", "no overlay2 store: no image can be used"),
    _required("tmpfs", "TMPFS", "no /dev and no --tmpfs: no container starts"),
    _required("POSIX message queues", "POSIX_MQUEUE", "no /dev/mqueue: no container starts"),
    _required("eventfd", "EVENTFD", "no OOM notification"),
    _required("epoll", "EPOLL", "no daemon runs"),
    _limit("memory limits", "MEMCG", "-m, --memory-swap and OOM reports"),
    _limit(
        "memory limits under cgroup v1",
        "MEMCG_V1",
        "-m on a v1 hierarchy; it works on v2",
        since=(6, 11),
    ),
    _limit(
        "CPU sets under cgroup v1",
        "CPUSETS_V1",
        "--cpuset-cpus on a v1 hierarchy; it works on v2",
        since=(6, 12),
    ),
    _limit("swap limits", "MEMCG_SWAP", "--memory-swap", until=(6, 1)),
    _limit("CPU shares", "FAIR_GROUP_SCHED", "--cpu-shares"),
    _limit("CPU quotas", "CFS_BANDWIDTH", "--cpus, --cpu-quota"),
    _limit("CPU sets", "CPUSETS", "--cpuset-cpus, --cpuset-mems"),
    _limit("process limits", "CGROUP_PIDS", "--pids-limit"),
    _limit("freezer", "CGROUP_FREEZER", "docker pause on cgroup v1"),
    _limit("block I/O limits", "BLK_CGROUP", "--blkio-weight, --device-read-bps"),
    _limit("block I/O throttling", "BLK_DEV_THROTTLING", "--device-read-bps, --device-write-iops"),
    _limit("huge page limits", "CGROUP_HUGETLB", "limits on huge pages"),
    _limit("realtime scheduling", "RT_GROUP_SCHED", "--cpu-rt-runtime"),
    _network("virtual Ethernet pairs", "VETH", "only --network none and host"),
    _network("bridges", "BRIDGE", "only --network none and host"),
    _network("nftables", "NF_TABLES", "no published ports, no way out of a bridge network"),
    _network("address translation", "NFT_NAT NF_NAT", "no published ports"),
    _network("masquerading", "NFT_MASQ", "no way out of a bridge network"),
    _network("connection tracking", "NF_CONNTRACK", "no address translation"),
    _network("bridge filtering", "BRIDGE_NETFILTER", "isolation between ports of one bridge"),
    _network("VXLAN", "VXLAN", "overlay networks between hosts"),
    _network("macvlan", "MACVLAN", "the macvlan network driver"),
    _network("ipvlan", "IPVLAN", "the ipvlan network driver"),
    _security("system call filters", "SECCOMP_FILTER", "containers run without seccomp"),
    _security("user namespaces", "USER_NS", "userns-remap and rootless engines"),
    _security("device rules", "CGROUP_DEVICE CGROUP_BPF", "containers may open any device"),
    _security("device rules on cgroup v2", "CGROUP_BPF", "containers on v2 may open any device"),
    _security("AppArmor", "SECURITY_APPARMOR", "AppArmor profiles"),
    _security("SELinux", "SECURITY_SELINUX", "SELinux labels"),
    _security("keyrings", "KEYS", "session keyrings of their own"),
    _optional("cgroup namespace", "CGROUPS", "--cgroupns=private"),
    _optional("checkpoints", "CHECKPOINT_RESTORE", "checkpoint and restore"),
    _optional("extended attributes on tmpfs", "TMPFS_XATTR", "overlay upper layers on tmpfs"),
    _optional("FUSE", "FUSE_FS", "fuse-overlayfs for rootless engines"),
    _optional("erofs", "EROFS_FS", "erofs layers"),
    _optional("io.weight", "BLK_CGROUP_IOCOST IOSCHED_BFQ", "--blkio-weight on cgroup v2"),
)
