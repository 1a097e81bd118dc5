"""From a process to a plan: the steps that run one more process in a running container."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from lading.errors import InvalidParameter
from lading.kernel.namespaces import Namespace, path_of
from lading.oci.checks import check_process
from lading.oci.plan import Plan
from lading.oci.plan_process import Identity
from lading.oci.spec_linux import Linux
from lading.oci.steps.cgroups import EnterCgroupOf
from lading.oci.steps.clone import Clone
from lading.oci.steps.namespaces import BecomeNamespaceRoot, EnterContainer, JoinKeyring
from lading.oci.steps.privileges import (
    CompileSeccomp,
    HideFromTracing,
    ResetSignals,
    SetAffinity,
    SetUmask,
)
from lading.oci.steps.terminal import OpenContainerTerminal, StartSession

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.oci.spec import Process
    from lading.oci.steps.base import Step

_BUILDING_UMASK = 0o022
_CPU_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


def plan_exec(
    process: Process,
    linux: Linux | None,
    *,
    container_id: str,
    pid: int,
    has_cgroup: bool,
    kinds: tuple[Namespace, ...],
    preserve_fds: int = 0,
) -> Plan:
    """Plan *process* in the container whose first process is *pid* and whose spec has *linux*.

    *kinds* are the namespaces in which *pid* is not with us. Raises InvalidParameter.
    """
    check_process(process)
    linux = linux or Linux()
    identity = Identity(process, linux, first_free_descriptor=3 + preserve_fds)
    joins = ((Namespace.PID.value, path_of(pid, Namespace.PID)),)
    return Plan(
        prepare=tuple(_prepare(process, linux, pid)),
        clone=Clone(0, joins if Namespace.PID in kinds else ()),
        outfit=(),
        setup=tuple(_setup(process, identity, container_id, pid, kinds, has_cgroup=has_cgroup)),
        run=tuple(identity.execute()),
    )


def foreign_namespaces(pid: int) -> tuple[Namespace, ...]:
    """Give the kinds of namespaces in which process *pid* is not with us."""
    return tuple(kind for kind in Namespace if _identity(pid, kind) != _identity("self", kind))


def _identity(pid: int | str, kind: Namespace) -> tuple[int, int]:
    try:
        facts = os.stat(path_of(pid, kind))
    except FileNotFoundError:
        return 0, 0  # a kernel without this kind has one for all
    return facts.st_dev, facts.st_ino


def _prepare(process: Process, linux: Linux, pid: int) -> Iterator[Step]:
    if linux.seccomp is not None:
        yield CompileSeccomp(linux.seccomp)
    if process.terminal:
        size = process.console_size
        yield OpenContainerTerminal(pid, size.height if size else 0, size.width if size else 0)


def _setup(
    process: Process,
    identity: Identity,
    container_id: str,
    pid: int,
    kinds: tuple[Namespace, ...],
    *,
    has_cgroup: bool,
) -> Iterator[Step]:
    affinity = process.exec_cpu_affinity
    yield ResetSignals()
    yield HideFromTracing()
    yield SetUmask(_BUILDING_UMASK)
    if affinity is not None and affinity.initial:
        yield SetAffinity(parse_cpus(affinity.initial))
    if has_cgroup:
        yield EnterCgroupOf(pid)
    if affinity is not None and affinity.final:
        yield SetAffinity(parse_cpus(affinity.final))
    yield from identity.oom_score(outside=False)
    if Namespace.USER in kinds:
        yield from identity.allow_limits(outside=False)
    yield from identity.before_root()
    flags = 0
    for kind in kinds:
        if kind is not Namespace.PID:
            flags |= int(kind.flag)
    yield EnterContainer(pid, flags)
    if Namespace.USER in kinds:
        yield BecomeNamespaceRoot()
    yield StartSession()
    yield JoinKeyring(f"_ses.{container_id}")
    yield from identity.connect()
    yield from identity.confine()


def parse_cpus(text: str) -> tuple[int, ...]:
    """Parse a list of CPUs, "0-2,4". Raises InvalidParameter."""
    found: list[int] = []
    for part in text.replace(" ", "").split(","):
        match = _CPU_RANGE.fullmatch(part)
        if match is None:
            raise InvalidParameter(f"{text!r} is not a list of CPUs like 0-2,4")
        first = int(match[1])
        found += range(first, int(match[2] or first) + 1)
    return tuple(found)
