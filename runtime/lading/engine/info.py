"""What the engine and its host are: the facts behind `docker info` and `docker version`."""

from __future__ import annotations

import functools
import os
import platform
import re
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lading import __version__
from lading.engine import apparmor
from lading.engine.settings import Settings
from lading.engine.sysinfo import SysInfo, sysinfo
from lading.files import write_atomically
from lading.kernel import mountinfo

BACKING_NAMES = {"ext2": "extfs", "ext3": "extfs", "ext4": "extfs", "overlay": "overlayfs"}
"""File systems that Docker calls by another name than the kernel."""

INDEX_SERVER = "https://index.docker.io/v1/"

_PLUGINS = {
    "Volume": ["local"],
    "Network": ["bridge", "host", "null"],
    "Authorization": None,
    "Log": ["json-file", "local", "none"],
}
_NO_SWARM = {
    "NodeID": "",
    "NodeAddr": "",
    "LocalNodeState": "inactive",
    "ControlAvailable": False,
    "Error": "",
    "RemoteManagers": None,
}


@dataclass(frozen=True, slots=True)
class Counts:
    """How many containers there are, by state, and how many images."""

    running: int
    paused: int
    stopped: int
    images: int


@dataclass(frozen=True, slots=True)
class Activity:
    """What the daemon is busy with: event listeners, and tasks of its loop."""

    listeners: int
    tasks: int


@functools.cache
def os_release() -> dict[str, str]:
    """Read os-release(5) of the host; empty when there is none."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            lines = Path(path).read_text().splitlines()
        except OSError:
            continue
        pairs = (line.partition("=") for line in lines if "=" in line and line[0] != "#")
        return {key: value.strip("\"'") for key, _, value in pairs}
    return {}


def engine_id(root: Path) -> str:
    """Return the id of the engine on `root`, a UUID that is made once and kept there."""
    path = root / "engine-id"
    try:
        known = path.read_text().strip()
    except FileNotFoundError:
        known = ""
    if known:
        return known
    fresh = str(uuid.uuid4())
    write_atomically(path, fresh.encode(), mode=0o644)
    return fresh


def kernel_version() -> str:
    """Return the release of the running kernel."""
    return platform.release()


@functools.cache
def build_time() -> str:
    """Return when these sources were put here, RFC 3339."""
    changed = (Path(__file__).parents[1] / "__init__.py").stat().st_mtime
    return datetime.fromtimestamp(int(changed), UTC).isoformat()


@functools.cache
def git_commit() -> str:
    """Return the short id of this checkout's commit; empty for an installed package."""
    head = Path(__file__).parents[3] / ".git" / "HEAD"
    try:
        text = head.read_text().strip()
        if text.startswith("ref: "):
            text = (head.parent / text[5:]).read_text().strip()
    except OSError:
        return ""
    return text[:7]


def memory_total() -> int:
    """Return the host's memory in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def driver_status(root: Path) -> list[list[str]]:
    """Return what the overlay2 driver stands on, as pairs of name and value."""
    mount = mountinfo.find(os.path.realpath(root), mountinfo.mountinfo())
    kind = mount.fstype if mount else "unknown"
    redirect = _parameter("redirect_dir")
    return [
        ["Backing Filesystem", BACKING_NAMES.get(kind, kind)],
        ["Supports d_type", "true"],
        ["Using metacopy", "true" if _parameter("metacopy") == "Y" else "false"],
        ["Native Overlay Diff", "false" if redirect == "Y" else "true"],
        ["userxattr", "false"],
    ]


def _parameter(name: str) -> str:
    try:
        return Path("/sys/module/overlay/parameters", name).read_text().strip()
    except OSError:
        return ""


def security_options(settings: Settings, limits: SysInfo) -> list[str]:
    """Return what containers are confined with, in Docker's words."""
    options = ["name=apparmor"] if apparmor.in_use() else []
    options.append("name=seccomp,profile=builtin")
    if limits.cgroup_version == 2 and os.path.exists("/proc/self/ns/cgroup"):
        options.append("name=cgroupns")
    if settings.no_new_privileges:
        options.append("name=no-new-privileges")
    return options


def _forwards_ipv4() -> bool:
    try:
        return Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "1"
    except OSError:
        return False


def warnings(limits: SysInfo, *, forwarding: bool, addresses: Sequence[str]) -> list[str]:
    """Return what Docker warns of: limits that this kernel lacks, a socket open to everyone."""
    checks = (
        (limits.memory_limit, "WARNING: No memory limit support"),
        (limits.swap_limit, "WARNING: No swap limit support"),
        (limits.cpu_cfs, "WARNING: No cpu cfs quota support"),
        (limits.cpu_cfs, "WARNING: No cpu cfs period support"),
        (limits.cpu_shares, "WARNING: No cpu shares support"),
        (limits.cpuset, "WARNING: No cpuset support"),
        (limits.blkio_throttle or limits.cgroup_version == 1,
         "WARNING: No io.max support"),
        (forwarding, "WARNING: IPv4 forwarding is disabled"),
    )  # fmt: skip
    found = [text for works, text in checks if not works]
    found += [
        f"WARNING: API is accessible on http://{address.removeprefix('tcp://')} without encryption."
        for address in addresses
        if address.startswith("tcp://")
    ]
    return found


def info(
    settings: Settings,
    counts: Counts,
    activity: Activity,
) -> dict[str, Any]:
    """Return what `GET /info` shows (API definition SystemInfo)."""
    limits = sysinfo()
    release = os_release()
    forwarding = _forwards_ipv4()
    return {
        "ID": engine_id(settings.root),
        "Containers": counts.running + counts.paused + counts.stopped,
        "ContainersRunning": counts.running,
        "ContainersPaused": counts.paused,
        "ContainersStopped": counts.stopped,
        "Images": counts.images,
        "Driver": "overlay2",
        "DriverStatus": driver_status(settings.root),
        "Plugins": _PLUGINS,
        **_limits(limits),
        "IPv4Forwarding": forwarding,
        "Debug": settings.debug,
        "NFd": len(os.listdir("/proc/self/fd")),
        "NGoroutines": activity.tasks,
        "SystemTime": datetime.now().astimezone().isoformat(),
        "LoggingDriver": settings.log_driver,
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": str(limits.cgroup_version),
        "NEventsListener": activity.listeners,
        "KernelVersion": kernel_version(),
        "OperatingSystem": release.get("PRETTY_NAME", "Linux"),
        "OSVersion": release.get("VERSION_ID", ""),
        "OSType": sys.platform,
        "Architecture": platform.machine(),
        "IndexServerAddress": INDEX_SERVER,
        "RegistryConfig": _registries(settings.insecure_registries, settings.registry_mirrors),
        "NCPU": limits.cpus,
        "MemTotal": memory_total(),
        "GenericResources": None,
        "DockerRootDir": str(settings.root),
        "HttpProxy": _proxy("http_proxy"),
        "HttpsProxy": _proxy("https_proxy"),
        "NoProxy": _proxy("no_proxy"),
        "Name": platform.node(),
        "Labels": list(settings.labels),
        "ExperimentalBuild": False,
        "ServerVersion": __version__,
        "Runtimes": {settings.default_runtime: {"path": "lading-oci"}},
        "DefaultRuntime": settings.default_runtime,
        "Swarm": _NO_SWARM,
        "LiveRestoreEnabled": settings.live_restore,
        "Isolation": "",
        "InitBinary": os.path.basename(settings.init_path),
        "ContainerdCommit": {"ID": ""},
        "RuncCommit": {"ID": git_commit()},
        "InitCommit": {"ID": ""},
        "SecurityOptions": security_options(settings, limits),
        "FirewallBackend": {"Driver": "nftables"},
        "CDISpecDirs": [],
        "Warnings": warnings(limits, forwarding=forwarding, addresses=settings.hosts) or None,
    }


def _limits(limits: SysInfo) -> dict[str, bool]:
    return {
        "MemoryLimit": limits.memory_limit,
        "SwapLimit": limits.swap_limit,
        "KernelMemoryTCP": False,
        "CpuCfsPeriod": limits.cpu_cfs,
        "CpuCfsQuota": limits.cpu_cfs,
        "CPUShares": limits.cpu_shares,
        "CPUSet": limits.cpuset,
        "PidsLimit": limits.pids_limit,
        "OomKillDisable": limits.oom_kill_disable,
    }


def _registries(insecure: Sequence[str], mirrors: Sequence[str]) -> dict[str, Any]:
    networks = [entry for entry in insecure if re.fullmatch(r"[0-9a-fA-F.:]+/\d+", entry)]
    hosts = [entry for entry in insecure if entry not in networks]
    configs: dict[str, Any] = {
        host: {"Name": host, "Mirrors": [], "Secure": False, "Official": False} for host in hosts
    }
    configs["docker.io"] = {
        "Name": "docker.io",
        "Mirrors": list(mirrors),
        "Secure": True,
        "Official": True,
    }
    return {
        "IndexConfigs": configs,
        "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8", *networks],
        "Mirrors": list(mirrors) or None,
    }


def _proxy(name: str) -> str:
    return os.environ.get(name.upper(), os.environ.get(name, ""))
