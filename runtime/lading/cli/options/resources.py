"""Limits: what `run` and `update` have in common, and what only `run` has."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lading.cli.flags import Options

#: Option and field of the API, for limits that a running container can get.
UPDATABLE = {
    "memory": "Memory",
    "memory-swap": "MemorySwap",
    "memory-reservation": "MemoryReservation",
    "cpus": "NanoCpus",
    "cpu-shares": "CpuShares",
    "cpu-period": "CpuPeriod",
    "cpu-quota": "CpuQuota",
    "cpu-rt-period": "CpuRealtimePeriod",
    "cpu-rt-runtime": "CpuRealtimeRuntime",
    "cpuset-cpus": "CpusetCpus",
    "cpuset-mems": "CpusetMems",
    "pids-limit": "PidsLimit",
    "blkio-weight": "BlkioWeight",
}

DEVICE_LIMITS = {
    "blkio-weight-device": "BlkioWeightDevice",
    "device-read-bps": "BlkioDeviceReadBps",
    "device-write-bps": "BlkioDeviceWriteBps",
    "device-read-iops": "BlkioDeviceReadIOps",
    "device-write-iops": "BlkioDeviceWriteIOps",
}

WINDOWS = {
    "cpu-count": "CpuCount",
    "cpu-percent": "CpuPercent",
    "io-maxbandwidth": "IOMaximumBandwidth",
    "io-maxiops": "IOMaximumIOps",
}


def updatable(options: Options) -> dict[str, Any]:
    """Give the limits that were asked for."""
    return {field: options.value(name) for name, field in UPDATABLE.items() if options.value(name)}


def all_limits(options: Options) -> dict[str, Any]:
    """Give all resources that were asked for; raises ValueError for a swappiness out of range."""
    swappiness = options.number("memory-swappiness")
    if swappiness != -1 and not 0 <= swappiness <= 100:
        raise ValueError(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
    limits = updatable(options)
    for name, field in {**DEVICE_LIMITS, **WINDOWS}.items():
        if value := options.value(name):
            limits[field] = value
    if swappiness != -1:
        limits["MemorySwappiness"] = swappiness
    if options.given("oom-kill-disable"):
        limits["OomKillDisable"] = options.on("oom-kill-disable")
    if ulimits := options.items("ulimit"):
        last = {limit["Name"]: limit for limit in ulimits}
        limits["Ulimits"] = [last[name] for name in sorted(last)]
    if parent := options.text("cgroup-parent"):
        limits["CgroupParent"] = parent
    return limits


def restart_policy(text: str) -> dict[str, Any]:
    """Read `on-failure:3`; raises ValueError."""
    if not text:
        return {}
    name, colon, count = text.partition(":")
    if colon and not name:
        raise ValueError("invalid restart policy format: no policy provided before colon")
    if not count:
        return {"Name": name}
    try:
        return {"Name": name, "MaximumRetryCount": int(count)}
    except ValueError:
        raise ValueError(
            "invalid restart policy format: maximum retry count must be an integer"
        ) from None
