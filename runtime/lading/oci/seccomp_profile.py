"""Seccomp profiles in Docker's format, and what they come to for one container on this machine.

A profile's rules hold for some architectures, capabilities and kernels only; `resolve` picks those
that hold and gives a plain OCI filter. The format is that of `docker run --security-opt
seccomp=FILE` (Docker's documentation, "Seccomp security profiles for Docker").
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from lading.errors import InvalidParameter
from lading.oci.spec_linux import LinuxSeccomp, LinuxSeccompArg, LinuxSyscall, Uint32

if TYPE_CHECKING:
    from collections.abc import Collection

_KernelVersion = Annotated[str, Meta(pattern=r"^\d+\.\d+$")]


class Condition(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """When a rule holds, or does not: architectures (Go's names), capabilities, kernel."""

    caps: list[str] = []
    arches: list[str] = []
    min_kernel: _KernelVersion | None = None


class Rule(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """An action for system calls; `name` is the old form of a single one."""

    names: list[str] = []
    name: str = ""
    action: str
    errno_ret: Uint32 | None = None
    args: list[LinuxSeccompArg] | None = None
    comment: str = ""
    includes: Condition | None = None
    excludes: Condition | None = None


class Architecture(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """A native architecture with the ones whose programs it runs, too."""

    architecture: str
    sub_architectures: list[str] | None = None


class Profile(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """A profile: what happens to calls without a rule, and the rules."""

    default_action: str
    default_errno_ret: Uint32 | None = None
    architectures: list[str] = []
    arch_map: list[Architecture] = []
    flags: list[str] = []
    listener_path: str = ""
    listener_metadata: str = ""
    syscalls: list[Rule] = []


GO_ARCHITECTURES = {
    "x86_64": "amd64",
    "i386": "x86",
    "i686": "x86",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "loongarch64": "loong64",
    "mips64": "mips64",
}
"""The names that profiles use, by uname's machine."""

_OCI_ARCHITECTURES = {
    "amd64": "SCMP_ARCH_X86_64",
    "x86": "SCMP_ARCH_X86",
    "arm64": "SCMP_ARCH_AARCH64",
    "arm": "SCMP_ARCH_ARM",
    "ppc64le": "SCMP_ARCH_PPC64LE",
    "s390x": "SCMP_ARCH_S390X",
    "riscv64": "SCMP_ARCH_RISCV64",
    "loong64": "SCMP_ARCH_LOONGARCH64",
    "mips64": "SCMP_ARCH_MIPS64",
}


def decode(data: bytes | str) -> Profile:
    """Read a profile. Raises InvalidParameter with Docker's words and the field that is wrong."""
    try:
        profile = msgspec.json.decode(data, type=Profile)
    except msgspec.DecodeError as error:
        raise InvalidParameter(f"decoding seccomp profile failed: {error}") from error
    if profile.architectures and profile.arch_map:
        raise InvalidParameter(
            "use either 'architectures' or 'archMap' in the seccomp profile, not both"
        )
    for rule in profile.syscalls:
        if bool(rule.name) == bool(rule.names):
            raise InvalidParameter(
                "each rule of a seccomp profile needs either 'names' or 'name', and not both"
            )
    return profile


def resolve(
    profile: Profile,
    capabilities: Collection[str],
    *,
    machine: str = "",
    kernel: tuple[int, int] | None = None,
) -> LinuxSeccomp:
    """Give the filter for a container whose bounding set is *capabilities*.

    *machine* (uname's word) and *kernel* (major, minor) are by default this machine's.
    """
    architecture = GO_ARCHITECTURES.get(machine or os.uname().machine, machine)
    version = kernel or running_kernel()
    held = frozenset(capabilities)
    calls = [
        LinuxSyscall(
            names=rule.names or [rule.name],
            action=rule.action,
            errno_ret=rule.errno_ret,
            args=rule.args or [],
        )
        for rule in profile.syscalls
        if _holds(rule, architecture, held, version)
    ]
    return LinuxSeccomp(
        default_action=profile.default_action,
        default_errno_ret=profile.default_errno_ret,
        architectures=profile.architectures or _architectures(profile, architecture),
        flags=profile.flags,
        listener_path=profile.listener_path,
        listener_metadata=profile.listener_metadata,
        syscalls=calls,
    )


def running_kernel() -> tuple[int, int]:
    """Give the running kernel's version: (6, 1)."""
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _holds(
    rule: Rule, architecture: str, capabilities: frozenset[str], kernel: tuple[int, int]
) -> bool:
    excludes, includes = rule.excludes, rule.includes
    if excludes is not None:
        if architecture in excludes.arches or not capabilities.isdisjoint(excludes.caps):
            return False
        if excludes.min_kernel is not None and kernel >= _version(excludes.min_kernel):
            return False
    if includes is not None:
        if includes.arches and architecture not in includes.arches:
            return False
        if not capabilities.issuperset(includes.caps):
            return False
        if includes.min_kernel is not None and kernel < _version(includes.min_kernel):
            return False
    return True


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def _architectures(profile: Profile, architecture: str) -> list[str]:
    native = _OCI_ARCHITECTURES.get(architecture)
    for entry in profile.arch_map:
        if entry.architecture == native:
            return [entry.architecture, *(entry.sub_architectures or ())]
    return []
