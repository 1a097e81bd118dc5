"""The OCI runtime spec, typed: what config.json of a bundle says.

Source: OCI runtime-spec 1.2, config.md. Names are OCI's in snake case, so `cgroups_path` is
"cgroupsPath" in JSON. Fields that are not known here are ignored, as OCI asks; fields that have
their default are left out when encoding.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
from msgspec import Meta

from lading.errors import InvalidParameter
from lading.oci import OCI_VERSION
from lading.oci.spec_linux import (
    Linux,
    LinuxBlockIO,
    LinuxCPU,
    LinuxDevice,
    LinuxDeviceCgroup,
    LinuxHugepageLimit,
    LinuxIDMapping,
    LinuxIntelRdt,
    LinuxInterfacePriority,
    LinuxMemory,
    LinuxNamespace,
    LinuxNetwork,
    LinuxPersonality,
    LinuxPids,
    LinuxRdma,
    LinuxResources,
    LinuxSeccomp,
    LinuxSeccompArg,
    LinuxSyscall,
    LinuxThrottleDevice,
    LinuxTimeOffset,
    LinuxWeightDevice,
    Uint32,
    Uint64,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "OCI_VERSION",
    "Box",
    "ExecCPUAffinity",
    "Hook",
    "Hooks",
    "Linux",
    "LinuxBlockIO",
    "LinuxCPU",
    "LinuxCapabilities",
    "LinuxDevice",
    "LinuxDeviceCgroup",
    "LinuxHugepageLimit",
    "LinuxIDMapping",
    "LinuxIOPriority",
    "LinuxIntelRdt",
    "LinuxInterfacePriority",
    "LinuxMemory",
    "LinuxNamespace",
    "LinuxNetwork",
    "LinuxPersonality",
    "LinuxPids",
    "LinuxRdma",
    "LinuxResources",
    "LinuxSeccomp",
    "LinuxSeccompArg",
    "LinuxSyscall",
    "LinuxThrottleDevice",
    "LinuxTimeOffset",
    "LinuxWeightDevice",
    "Mount",
    "POSIXRlimit",
    "Process",
    "Root",
    "Scheduler",
    "Spec",
    "User",
    "decode",
    "decode_process",
    "decode_resources",
    "encode",
    "load",
]


class Box(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """The size of a terminal in characters."""

    height: Uint32
    width: Uint32


class User(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """Ids as the container sees them; `umask` None is 0022."""

    uid: Uint32 = 0
    gid: Uint32 = 0
    umask: Annotated[int, Meta(ge=0, le=0o777)] | None = None
    additional_gids: list[Uint32] = []


class LinuxCapabilities(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """The five sets, each as names ("CAP_KILL")."""

    bounding: list[str] = []
    effective: list[str] = []
    inheritable: list[str] = []
    permitted: list[str] = []
    ambient: list[str] = []


class POSIXRlimit(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """A resource limit; `type` is "RLIMIT_NOFILE" and so on."""

    type: str
    soft: Uint64
    hard: Uint64


class Scheduler(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """How the kernel schedules the process (sched_setattr(2)); times in nanoseconds."""

    policy: str
    nice: Annotated[int, Meta(ge=-20, le=19)] = 0
    priority: Uint32 = 0
    flags: list[str] = []
    runtime: Uint64 = 0
    deadline: Uint64 = 0
    period: Uint64 = 0


class LinuxIOPriority(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """The I/O scheduling class ("IOPRIO_CLASS_BE") and level (ioprio_set(2))."""

    class_: str = msgspec.field(name="class")
    priority: int = 0


class ExecCPUAffinity(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """CPUs for an exec'd process, before and after it entered the cgroup ("0-2,4")."""

    initial: str = ""
    final: str = ""


class Process(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """The process to run: its arguments, environment, user and privileges."""

    cwd: str
    args: list[str] = []
    env: list[str] = []
    terminal: bool = False
    console_size: Box | None = None
    user: User = msgspec.field(default_factory=User)
    capabilities: LinuxCapabilities | None = None
    rlimits: list[POSIXRlimit] = []
    no_new_privileges: bool = False
    apparmor_profile: str = ""
    oom_score_adj: Annotated[int, Meta(ge=-1000, le=1000)] | None = None
    selinux_label: str = ""
    scheduler: Scheduler | None = None
    io_priority: LinuxIOPriority | None = None
    exec_cpu_affinity: ExecCPUAffinity | None = msgspec.field(default=None, name="execCPUAffinity")


class Root(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """The container's root file system; a relative path starts at the bundle."""

    path: str
    readonly: bool = False


class Mount(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """A mount inside the container, in fstab's words; mappings make it an id-mapped one."""

    destination: str
    type: str = ""
    source: str = ""
    options: list[str] = []
    uid_mappings: list[LinuxIDMapping] = []
    gid_mappings: list[LinuxIDMapping] = []


class Hook(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """A program to run at one point of the container's life; `timeout` in seconds."""

    path: str
    args: list[str] = []
    env: list[str] = []
    timeout: Annotated[int, Meta(gt=0)] | None = None


class Hooks(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """Programs by the point of the container's life at which they run."""

    prestart: list[Hook] = []
    create_runtime: list[Hook] = []
    create_container: list[Hook] = []
    start_container: list[Hook] = []
    poststart: list[Hook] = []
    poststop: list[Hook] = []


class Spec(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """A container's configuration, all of config.json."""

    oci_version: str
    root: Root | None = None
    process: Process | None = None
    hostname: str = ""
    domainname: str = ""
    mounts: list[Mount] = []
    hooks: Hooks | None = None
    annotations: dict[str, str] = {}
    linux: Linux | None = None


_T = TypeVar("_T")
_encoder = msgspec.json.Encoder()
_AT = re.compile(r" - at `\$?\.?(.*)`$")


def decode(data: bytes | str, where: str = "the OCI spec") -> Spec:
    """Read config.json's text. Raises InvalidParameter, naming *where* and the field's path."""
    return _decode(data, Spec, where)


def decode_process(data: bytes | str, where: str = "the OCI process") -> Process:
    """Read a process, as `exec` gets it. Raises InvalidParameter."""
    return _decode(data, Process, where)


def decode_resources(data: bytes | str, where: str = "the OCI resources") -> LinuxResources:
    """Read limits, as `update` gets them. Raises InvalidParameter."""
    return _decode(data, LinuxResources, where)


def encode(record: msgspec.Struct) -> bytes:
    """Give *record* as JSON on one line."""
    return _encoder.encode(record)


def load(bundle: Path) -> Spec:
    """Read config.json of *bundle*. Raises InvalidParameter when it is missing or wrong."""
    path = bundle / "config.json"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidParameter(f"cannot read the bundle's {path}: {error.strerror}") from error
    return decode(data, str(path))


def _decode(data: bytes | str, kind: type[_T], where: str) -> _T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        text = str(error)
        found = _AT.search(text)
        field = f" {found[1]}:" if found and found[1] else ""
        reason = _AT.sub("", text).replace("`", "")
        raise InvalidParameter(f"{where}:{field} {_lower(reason)}") from error
    except msgspec.DecodeError as error:
        raise InvalidParameter(f"{where} is not valid JSON: {_lower(str(error))}") from error


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
