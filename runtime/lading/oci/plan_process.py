"""Which steps make the process what the spec says: its streams, limits, identity, program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.errors import InvalidParameter
from lading.kernel import capabilities, seccomp
from lading.kernel.errors import KernelError
from lading.oci import defaults
from lading.oci.spec import LinuxCapabilities
from lading.oci.steps.execution import (
    CloseDescriptors,
    EnterDirectory,
    Execute,
    FindExecutable,
    PrepareEnvironment,
    SealImports,
)
from lading.oci.steps.privileges import (
    AllowRlimits,
    BecomeUser,
    DropBoundingSet,
    ForbidNewPrivileges,
    LoadSeccomp,
    OpenLabelFile,
    SetCapabilities,
    SetIOPriority,
    SetLabel,
    SetOomScore,
    SetPersonality,
    SetRlimits,
    SetScheduler,
    SetUmask,
)
from lading.oci.steps.terminal import ConnectStdio, ConnectTerminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.oci.spec import Process
    from lading.oci.spec_linux import Linux
    from lading.oci.steps.base import Step

_DEFAULT_UMASK = 0o022


class Identity:
    """Puts the steps for one process in order; `linux` is that of its container."""

    def __init__(self, process: Process, linux: Linux, *, first_free_descriptor: int) -> None:
        self.process = process
        self.linux = linux
        self.first_free_descriptor = first_free_descriptor
        self.label = self._label()

    def _label(self) -> tuple[str, str] | None:
        if self.process.apparmor_profile and self.process.apparmor_profile != "unconfined":
            return "AppArmor", self.process.apparmor_profile
        if self.process.selinux_label:
            return "SELinux", self.process.selinux_label
        return None

    def allow_limits(self, *, outside: bool) -> Iterator[Step]:
        """Have resource limits allowed, by the runtime or by the process while it still may."""
        if self.process.rlimits:
            yield AllowRlimits(self._limits(), outside)

    def _limits(self) -> tuple[tuple[str, int, int], ...]:
        return tuple((limit.type, limit.soft, limit.hard) for limit in self.process.rlimits)

    def oom_score(self, *, outside: bool) -> Iterator[Step]:
        """Give the OOM score adjustment, set by the runtime or by the process itself."""
        if self.process.oom_score_adj is not None:
            yield SetOomScore(self.process.oom_score_adj, outside)

    def before_root(self) -> Iterator[Step]:
        """Give what comes before the container's root is ours: it needs the host's own files."""
        yield CloseDescriptors(self.first_free_descriptor)
        if self.label is not None:
            yield OpenLabelFile(self.label[0])
        yield SealImports()

    def connect(self) -> Iterator[Step]:
        """Give what connects the standard streams."""
        uid = self.process.user.uid
        yield ConnectTerminal(uid) if self.process.terminal else ConnectStdio(uid)

    def confine(self) -> Iterator[Step]:
        """Give all steps from limits to the executable file, in the order that works.

        No step from the limits on opens a file. Seccomp without no_new_privs needs
        privileges, so it comes before they are dropped; with it, last of all.
        """
        process = self.process
        entries = dict(entry.partition("=")[::2] for entry in process.env)
        yield PrepareEnvironment(tuple(entries.items()), process.user.uid)
        if process.rlimits:
            yield SetRlimits(self._limits())
        if process.scheduler is not None:
            s = process.scheduler
            yield SetScheduler(
                s.policy, tuple(s.flags), s.nice, s.priority, s.runtime, s.deadline, s.period
            )
        if process.io_priority is not None:
            yield SetIOPriority(process.io_priority.class_, process.io_priority.priority)
        if self.linux.personality is not None:
            yield SetPersonality(self.linux.personality.domain)
        umask = _DEFAULT_UMASK if process.user.umask is None else process.user.umask
        yield SetUmask(umask)
        if process.no_new_privileges:
            yield ForbidNewPrivileges()
        else:
            yield from self._seccomp()
        yield from self._identity()
        yield FindExecutable(process.args[0])

    def _identity(self) -> Iterator[Step]:
        user, given = self.process.user, self.process.capabilities
        sets = given or LinuxCapabilities()
        yield DropBoundingSet(_bits(sets.bounding))
        yield EnterDirectory(self.process.cwd)
        yield BecomeUser(user.uid, user.gid, tuple(user.additional_gids))
        yield EnterDirectory(self.process.cwd, again=True)
        permitted, inheritable = _bits(sets.permitted), _bits(sets.inheritable)
        yield SetCapabilities(
            effective=_bits(sets.effective) & permitted,
            permitted=permitted,
            inheritable=inheritable,
            ambient=_bits(sets.ambient) & permitted & inheritable,
        )

    def _seccomp(self) -> Iterator[Step]:
        profile = self.linux.seccomp
        if profile is None:
            return
        try:
            flags = seccomp.flags_of(profile)
        except KernelError as error:
            raise InvalidParameter(f"linux.seccomp.flags: {error}") from error
        yield LoadSeccomp(flags)

    def execute(self) -> Iterator[Step]:
        """Give the last steps."""
        if self.process.no_new_privileges:
            yield from self._seccomp()
        if self.label is not None:
            yield SetLabel(*self.label)
        yield Execute(tuple(self.process.args))


def _bits(names: list[str]) -> int:
    """Turn names into bits; what this kernel or we ourselves lack cannot be given."""
    known = capabilities.to_bits(name for name in names if name in capabilities.BITS)
    return known & defaults.available_capabilities()
