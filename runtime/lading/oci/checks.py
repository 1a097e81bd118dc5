"""What a spec must hold beyond its types, before anything is done on its behalf.

Every check raises InvalidParameter with one sentence; where clients know runc's words, these are
used. Source: OCI runtime-spec 1.2.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lading.errors import InvalidParameter
from lading.kernel.devices import KINDS
from lading.kernel.namespaces import Namespace
from lading.kernel.process import RLIMITS

if TYPE_CHECKING:
    from lading.oci.spec import Process, Spec
    from lading.oci.spec_linux import Linux, LinuxResources

_NAMESPACES = {kind.value for kind in Namespace}
_SYSTEMD_PATH = re.compile(r"^[^/:]*:[^/:]*:[^/:]*$")
_CLOCKS = ("monotonic", "boottime")
_IPC_SYSCTLS = frozenset(
    f"kernel.{name}"
    for name in (
        "msgmax",
        "msgmnb",
        "msgmni",
        "sem",
        "shmall",
        "shmmax",
        "shmmni",
        "shm_rmid_forced",
    )
)
_ID = re.compile(r"^[\w+.-]+$", re.ASCII)


def check_id(container_id: str) -> None:
    """Refuse an id that could not be a directory's name."""
    if not _ID.match(container_id) or container_id in (".", ".."):
        raise InvalidParameter(
            f"invalid container ID format: {container_id!r} has characters other than letters, "
            "digits and _ + - ."
        )


def check(spec: Spec) -> None:
    """Check a container's whole spec."""
    if not spec.oci_version.startswith("1."):
        raise InvalidParameter(f"ociVersion {spec.oci_version!r} is not supported, 1.x is")
    if spec.root is None or not spec.root.path:
        raise InvalidParameter("the spec lacks root.path, the container's file system")
    if spec.process is None:
        raise InvalidParameter("the spec lacks process, what to run")
    if spec.linux is None:
        raise InvalidParameter("the spec lacks its linux section")
    check_process(spec.process)
    _check_namespaces(spec, spec.linux)
    _check_sysctls(spec.linux)
    _check_devices(spec.linux)
    if _SYSTEMD_PATH.match(spec.linux.cgroups_path):
        raise InvalidParameter(
            f"cgroupsPath {spec.linux.cgroups_path!r} is for the systemd cgroup driver; "
            "only cgroupfs paths are supported"
        )
    _check_unsupported(spec.linux)
    for mount in spec.mounts:
        if not mount.destination or "\0" in mount.destination + mount.source:
            raise InvalidParameter(f"invalid mount destination {mount.destination!r}")


def check_process(process: Process) -> None:
    """Check a process: one of a spec, or one to be exec'd."""
    if not process.args:
        raise InvalidParameter("args must not be empty")
    if not process.cwd.startswith("/"):
        raise InvalidParameter(f"cwd must be an absolute path, not {process.cwd!r}")
    for text in (*process.args, *process.env, process.cwd):
        if "\0" in text:
            raise InvalidParameter(f"{text!r} has a NUL byte")
    for entry in process.env:
        if "=" not in entry[1:]:
            raise InvalidParameter(f"environment variable {entry!r} is not of the form NAME=value")
    names = [limit.type for limit in process.rlimits]
    for name in names:
        if name not in RLIMITS:
            raise InvalidParameter(f"{name!r} is not a resource limit, RLIMIT_NOFILE would be one")
        if names.count(name) > 1:
            raise InvalidParameter(f"rlimit {name} is given twice")


def _check_unsupported(linux: Linux) -> None:
    """Refuse what OCI has and this runtime has not: to leave it out silently would be worse."""
    resources = linux.resources
    for name, given in (
        ("linux.intelRdt", linux.intel_rdt),
        ("linux.resources.rdma", resources is not None and resources.rdma),
        ("linux.resources.network", resources is not None and _names_classes(resources)),
        ("linux.seccomp.listenerPath", linux.seccomp is not None and linux.seccomp.listener_path),
        ("linux.personality.flags", linux.personality is not None and linux.personality.flags),
    ):
        if given:
            raise InvalidParameter(f"{name} is not supported by this runtime")
    rules = linux.seccomp.syscalls if linux.seccomp is not None else []
    if any(rule.action == "SCMP_ACT_NOTIFY" for rule in rules):
        raise InvalidParameter("seccomp action SCMP_ACT_NOTIFY is not supported by this runtime")


def _names_classes(resources: LinuxResources) -> bool:
    network = resources.network
    return network is not None and bool(network.class_id or network.priorities)


def _check_namespaces(spec: Spec, linux: Linux) -> None:
    kinds = [namespace.type for namespace in linux.namespaces]
    for kind in kinds:
        if kind not in _NAMESPACES:
            known = ", ".join(sorted(_NAMESPACES))
            raise InvalidParameter(f"namespace {kind!r} does not exist; there are {known}")
        if kinds.count(kind) > 1:
            raise InvalidParameter(f"malformed spec file: duplicated ns {kind!r}")
    if "mount" not in kinds:
        raise InvalidParameter("a container needs a mount namespace of its own")
    if "uts" not in kinds and (spec.hostname or spec.domainname):
        raise InvalidParameter("unable to set hostname without a private UTS namespace")
    _check_user_namespace(linux, kinds)
    if linux.time_offsets and "time" not in kinds:
        raise InvalidParameter("time namespace offsets specified, but time namespace isn't enabled")
    for clock in linux.time_offsets:
        if clock not in _CLOCKS:
            raise InvalidParameter(f"time offset for {clock!r}: the clocks are monotonic, boottime")


def _check_user_namespace(linux: Linux, kinds: list[str]) -> None:
    mapped = bool(linux.uid_mappings and linux.gid_mappings)
    joined = any(n.type == "user" and n.path for n in linux.namespaces)
    if "user" in kinds and not joined and not mapped:
        raise InvalidParameter("a new user namespace needs uidMappings and gidMappings")
    if "user" not in kinds and (linux.uid_mappings or linux.gid_mappings):
        raise InvalidParameter(
            "user namespace mappings specified, but user namespace isn't enabled"
        )


def _check_sysctls(linux: Linux) -> None:
    """Let only sysctls through that are the container's own: others would change the host."""
    kinds = {namespace.type for namespace in linux.namespaces}
    for given in linux.sysctl:
        key = given if "." in given.split("/")[0] else given.replace("/", ".")
        if key in _IPC_SYSCTLS or key.startswith("fs.mqueue."):
            if "ipc" in kinds:
                continue
            raise InvalidParameter(f'sysctl "{given}" is not allowed in the hosts ipc namespace')
        if key.startswith("net."):
            if "network" in kinds:
                continue
            raise InvalidParameter(f'sysctl "{given}" not allowed in host network namespace')
        if key == "kernel.domainname" and "uts" in kinds:
            continue
        if key == "kernel.hostname":
            raise InvalidParameter(
                f'sysctl "{given}" is not allowed as it conflicts with the OCI "hostname" field'
            )
        if key.startswith("user.") and "user" in kinds:
            continue
        raise InvalidParameter(f'sysctl "{given}" is not in a separate kernel namespace')


def _check_devices(linux: Linux) -> None:
    for device in linux.devices:
        if not device.path.startswith("/"):
            raise InvalidParameter(f"device path {device.path!r} is not absolute")
        if device.type not in KINDS:
            raise InvalidParameter(
                f"device {device.path} has type {device.type!r}, not c, b, u or p"
            )
