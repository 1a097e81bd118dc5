"""Which namespaces a container gets of its own, and whose it joins."""

from __future__ import annotations

from collections.abc import Callable

from lading.engine import modes
from lading.engine.model import HostConfig
from lading.oci.spec import LinuxNamespace

PidOf = Callable[[str], int]
"""Gives the host pid of a container's first process; raises Conflict if it does not run."""


def namespaces(host: HostConfig, pid_of: PidOf) -> list[LinuxNamespace]:
    """List the namespaces of a container; those that are not listed are the host's."""
    kinds = (
        ("pid", host.pid_mode),
        ("ipc", host.ipc_mode),
        ("uts", host.uts_mode),
        ("network", host.network_mode),
        ("cgroup", host.cgroupns_mode),
    )
    found = [LinuxNamespace(type="mount")]
    for kind, mode in kinds:
        donor = modes.container_of(mode)
        if donor is not None:
            found.append(LinuxNamespace(type=kind, path=namespace_path(pid_of(donor), kind)))
        elif mode != modes.HOST:
            found.append(LinuxNamespace(type=kind))
    return found


_FILES = {"network": "net", "mount": "mnt"}


def namespace_path(pid: int, kind: str) -> str:
    """Give the file by which a process's namespace is joined; `kind` is in OCI's words."""
    return f"/proc/{pid}/ns/{_FILES.get(kind, kind)}"
