"""From a spec to a plan: the ordered list of steps that start a container.

A plan can be printed, compared, and carried out by `lading.oci.launch`. Making one touches
nothing, and what it says depends on the spec and on the host's cgroup hierarchy alone.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

import msgspec

from lading.errors import InvalidParameter
from lading.kernel.namespaces import CloneFlag, Namespace
from lading.oci.checks import check, check_id
from lading.oci.plan_mounts import RootPlanner, id_map
from lading.oci.plan_process import Identity
from lading.oci.plan_resources import with_default_devices
from lading.oci.steps.base import Step
from lading.oci.steps.cgroups import AddToCgroup, ApplyLimits, CreateCgroup, EnterCgroup
from lading.oci.steps.clone import Clone
from lading.oci.steps.execution import SealImports
from lading.oci.steps.hooks import AwaitRuntimeHooks, LearnPid, RunHooks
from lading.oci.steps.namespaces import (
    BecomeNamespaceRoot,
    JoinKeyring,
    JoinMountNamespace,
    RaiseLoopback,
    SetDomainname,
    SetHostname,
    SetTimeOffsets,
    UnshareCgroupNamespace,
    WriteIdMaps,
    WriteSysctl,
)
from lading.oci.steps.privileges import CompileSeccomp, HideFromTracing, ResetSignals, SetUmask
from lading.oci.steps.sync import (
    AwaitRuntime,
    AwaitStart,
    AwaitStartFifo,
    MakeStartFifo,
    ReportReady,
)
from lading.oci.steps.terminal import StartSession

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.kernel.cgroups import Hierarchy
    from lading.oci.spec import Spec
    from lading.oci.spec_linux import Linux

_AT_CLONE = ("mount", "network", "uts", "ipc", "pid", "user")
"""The kinds that clone3(2) makes; a cgroup or time namespace is made by the process itself."""

_BUILDING_UMASK = 0o022


class Plan(msgspec.Struct, frozen=True):
    """The steps of one start, in the order of their execution.

    `prepare` and `outfit` are the runtime's, before and after the process exists; `setup` and
    `run` are the process's own, before and after the start. `runtime_hooks` are run by the
    runtime in the middle of `setup`.
    """

    prepare: tuple[Step, ...]
    clone: Clone
    outfit: tuple[Step, ...]
    setup: tuple[Step, ...]
    run: tuple[Step, ...]
    runtime_hooks: tuple[Step, ...] = ()

    def placed(self) -> Iterator[tuple[str, Step]]:
        """Give all steps with where each is executed, "runtime" or "container"."""
        for step in (*self.prepare, self.clone, *self.outfit):
            yield "runtime", step
        for step in self.setup:
            yield "container", step
            if isinstance(step, AwaitRuntimeHooks):
                for hook in self.runtime_hooks:
                    yield "runtime", hook
        for step in self.run:
            yield "container", step

    def describe(self) -> str:
        """Tell the plan, one step a line."""
        return "\n".join(
            f"{number:3} {where:9} {step.name:22} {step.describe()}"
            for number, (where, step) in enumerate(self.placed(), 1)
        )


def cgroup_path(spec: Spec, container_id: str) -> str:
    """Give the path of the container's cgroup below the hierarchies' roots."""
    asked = spec.linux.cgroups_path if spec.linux is not None else ""
    path = posixpath.normpath(posixpath.join("/", asked or f"lading/{container_id}"))
    if path == "/":
        raise InvalidParameter(f"cgroupsPath {asked!r} is the root of the hierarchy")
    return path


def plan(
    spec: Spec,
    *,
    container_id: str,
    bundle: str,
    hierarchy: Hierarchy | None,
    exec_fifo: bool = False,
    pivot: bool = True,
    preserve_fds: int = 0,
) -> Plan:
    """Plan the start of a container.

    *hierarchy* is the host's, None where no cgroups are mounted. Raises InvalidParameter for a
    spec that contradicts itself or OCI.
    """
    check_id(container_id)
    check(spec)
    assert spec.linux is not None
    assert spec.process is not None
    return _Planner(
        spec,
        spec.linux,
        Identity(spec.process, spec.linux, first_free_descriptor=3 + preserve_fds),
        RootPlanner(spec, spec.linux, bundle, hierarchy, pivot=pivot),
        container_id=container_id,
        has_cgroup=hierarchy is not None,
        exec_fifo=exec_fifo,
    ).plan()


class _Planner:
    """The order of all steps of a container's first process."""

    def __init__(
        self,
        spec: Spec,
        linux: Linux,
        identity: Identity,
        root: RootPlanner,
        *,
        container_id: str,
        has_cgroup: bool,
        exec_fifo: bool,
    ) -> None:
        self.spec = spec
        self.linux = linux
        self.identity = identity
        self.root = root
        self.container_id = container_id
        self.has_cgroup = has_cgroup
        self.exec_fifo = exec_fifo
        self.hooks = spec.hooks
        self.new = {n.type for n in linux.namespaces if not n.path}
        self.joined = {n.type: n.path for n in linux.namespaces if n.path}
        self.maps_ids = "user" in self.new
        self.in_user_namespace = "user" in self.new or "user" in self.joined

    def plan(self) -> Plan:
        """Put everything together."""
        return Plan(
            prepare=tuple(self._prepare()),
            clone=self._clone(),
            outfit=tuple(self._outfit()),
            setup=tuple(self._setup()),
            run=tuple(self._run()),
            runtime_hooks=tuple(self._runtime_hooks()),
        )

    def _prepare(self) -> Iterator[Step]:
        if self.has_cgroup:
            yield CreateCgroup(cgroup_path(self.spec, self.container_id))
            resources = with_default_devices(self.linux.resources)
            if resources is not None:
                yield ApplyLimits(resources)
        if self.linux.seccomp is not None:
            yield CompileSeccomp(self.linux.seccomp)
        yield from self.root.opened_by_runtime()
        if self.exec_fifo:
            yield MakeStartFifo()

    def _clone(self) -> Clone:
        flags = CloneFlag(0)
        for kind in _AT_CLONE:
            if kind in self.new:
                flags |= Namespace(kind).flag
        apart = ("user", "mount")
        joins = tuple((k, path) for k, path in self.joined.items() if k not in apart)
        return Clone(int(flags), joins, self.joined.get("user", ""))

    def _outfit(self) -> Iterator[Step]:
        if self.maps_ids:
            yield WriteIdMaps(id_map(self.linux.uid_mappings), id_map(self.linux.gid_mappings))
        if self.in_user_namespace:
            if self.has_cgroup:
                yield AddToCgroup()
            yield from self.identity.oom_score(outside=True)
            yield from self.identity.allow_limits(outside=True)

    def _setup(self) -> Iterator[Step]:
        yield ResetSignals()
        yield HideFromTracing()
        yield SetUmask(_BUILDING_UMASK)
        yield from self._enter_namespaces()
        yield StartSession()
        yield JoinKeyring(f"_ses.{self.container_id}")
        yield from self._network_and_names()
        yield from self.root.root()
        yield from self.root.mount_all()
        yield from self.root.devices()
        yield from self.root.terminal()
        yield from self._container_hooks()
        yield from self.root.protect()
        yield from self.identity.before_root()
        yield from self.root.enter()
        yield from self.identity.connect()
        yield from self.identity.confine()
        yield ReportReady()

    def _enter_namespaces(self) -> Iterator[Step]:
        if self.in_user_namespace:
            yield AwaitRuntime()
            yield BecomeNamespaceRoot()
        else:
            if self.has_cgroup:
                yield EnterCgroup()
            yield from self.identity.oom_score(outside=False)
        if "mount" in self.joined:
            yield SealImports()
            yield JoinMountNamespace(self.joined["mount"])
        if "cgroup" in self.new:
            yield UnshareCgroupNamespace()
        if "time" in self.new:
            offsets = self.linux.time_offsets.items()
            yield SetTimeOffsets(tuple((clock, o.secs, o.nanosecs) for clock, o in offsets))

    def _network_and_names(self) -> Iterator[Step]:
        if "network" in self.new:
            yield RaiseLoopback()
        for key, value in self.linux.sysctl.items():
            yield WriteSysctl(key, value)
        if self.spec.hostname:
            yield SetHostname(self.spec.hostname)
        if self.spec.domainname:
            yield SetDomainname(self.spec.domainname)

    def _runtime_hooks(self) -> Iterator[Step]:
        if self.hooks is not None:
            for point, hooks in (
                ("prestart", self.hooks.prestart),
                ("createRuntime", self.hooks.create_runtime),
            ):
                if hooks:
                    yield RunHooks(point, tuple(hooks))

    def _container_hooks(self) -> Iterator[Step]:
        if any(True for _ in self._runtime_hooks()):
            yield AwaitRuntimeHooks()
        if self.hooks is None:
            return
        if self.hooks.create_container or self.hooks.start_container:
            yield LearnPid()
        if self.hooks.create_container:
            yield RunHooks("createContainer", tuple(self.hooks.create_container))

    def _run(self) -> Iterator[Step]:
        yield AwaitStartFifo() if self.exec_fifo else AwaitStart()
        if self.hooks is not None and self.hooks.start_container:
            yield RunHooks("startContainer", tuple(self.hooks.start_container))
        yield from self.identity.execute()
