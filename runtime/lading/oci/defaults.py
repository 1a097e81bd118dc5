"""What Docker gives every container: mounts, device rules, capabilities, hidden paths.

All of it was read off the config.json that Docker 28.5 hands to its runtime; the seccomp policy
stands in `lading.oci.seccomp_default`.
"""

from __future__ import annotations

import glob
from functools import cache

from lading.kernel import capabilities
from lading.oci.seccomp_default import default_profile
from lading.oci.seccomp_profile import resolve
from lading.oci.spec import (
    OCI_VERSION,
    Linux,
    LinuxCapabilities,
    LinuxDeviceCgroup,
    LinuxNamespace,
    LinuxResources,
    LinuxSeccomp,
    Mount,
    POSIXRlimit,
    Process,
    Root,
    Spec,
)

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The search path of a container whose image sets none."""

CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
"""What root may do in a container without `--privileged`."""

READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""Paths that a container may look at, but not change."""

_MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
_THERMAL_THROTTLE = "/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle"

SHM_SIZE = 64 << 20
"""Bytes of /dev/shm."""


@cache
def available_capabilities() -> int:
    """Give the capabilities that can be given to a container, as bits.

    That is each of the running kernel which the runtime has not lost itself (in a sandbox).
    """
    return capabilities.supported() & capabilities.get().bounding


def all_capabilities() -> list[str]:
    """Give what a privileged container gets: every capability that there is to give."""
    return capabilities.to_names(available_capabilities())


def masked_paths() -> list[str]:
    """Give the paths that a container sees as empty; those of each CPU only where they exist."""
    return [*_MASKED_PATHS, *sorted(glob.glob(_THERMAL_THROTTLE))]


def mounts(
    *, privileged: bool = False, writable_cgroups: bool = False, shm_size: int | None = SHM_SIZE
) -> list[Mount]:
    """Give the mounts of every container, in order.

    A privileged one may write to /sys and to its cgroups. Without *shm_size* (bytes) /dev/shm is
    left to the caller.
    """
    sealed = ["nosuid", "noexec", "nodev"]
    sys_options = sealed if privileged else [*sealed, "ro"]
    cgroup_options = sealed if privileged or writable_cgroups else ["ro", *sealed]
    found = [
        _mount("/proc", "proc", "proc", sealed),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        _mount("/sys", "sysfs", "sysfs", sys_options),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", cgroup_options),
        _mount("/dev/mqueue", "mqueue", "mqueue", sealed),
    ]
    if shm_size is not None:
        found.append(_mount("/dev/shm", "tmpfs", "shm", [*sealed, "mode=1777", f"size={shm_size}"]))
    return found


def device_rules(*, privileged: bool = False) -> list[LinuxDeviceCgroup]:
    """Give the first device rules: all for a privileged container, else none.

    The nodes that every container has (null, zero, full, random, urandom, tty, ptys), and making
    nodes, are let in by the plan.
    """
    return [LinuxDeviceCgroup(allow=privileged, access="rwm")]


def seccomp(capability_names: list[str] | tuple[str, ...]) -> LinuxSeccomp:
    """Give the default filter for a container with that bounding set, on this machine."""
    return resolve(default_profile(), capability_names)


def spec(root: str = "rootfs") -> Spec:
    """Give a spec to begin with: a shell in *root*, confined as Docker does it."""
    held = list(CAPABILITIES)
    return Spec(
        oci_version=OCI_VERSION,
        process=Process(
            terminal=True,
            args=["sh"],
            env=[f"PATH={PATH}", "TERM=xterm"],
            cwd="/",
            capabilities=LinuxCapabilities(bounding=held, effective=held, permitted=held),
            rlimits=[POSIXRlimit(type="RLIMIT_NOFILE", soft=1024, hard=1024)],
            no_new_privileges=True,
        ),
        root=Root(path=root),
        hostname="lading",
        mounts=mounts(),
        linux=Linux(
            resources=LinuxResources(devices=device_rules()),
            namespaces=[
                LinuxNamespace(type=kind)
                for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")
            ],
            masked_paths=masked_paths(),
            readonly_paths=list(READONLY_PATHS),
            seccomp=seccomp(held),
        ),
    )


def _mount(destination: str, kind: str, source: str, options: list[str]) -> Mount:
    return Mount(destination=destination, type=kind, source=source, options=list(options))
