"""Seccomp: compile an OCI profile to a BPF program with libseccomp, and load it (seccomp(2))."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Argument(Protocol):
    """OCI LinuxSeccompArg: compares one argument of the call."""

    @property
    def index(self) -> int:
        """Which argument, 0 to 5."""

    @property
    def value(self) -> int:
        """What it is compared with; for SCMP_CMP_MASKED_EQ the mask."""

    @property
    def value_two(self) -> int:
        """For SCMP_CMP_MASKED_EQ what the masked argument is compared with."""

    @property
    def op(self) -> str:
        """The comparison: "SCMP_CMP_EQ" and so on."""


class Rule(Protocol):
    """OCI LinuxSyscall: an action for the named calls when all arguments match."""

    @property
    def names(self) -> Sequence[str]:
        """Names of system calls."""

    @property
    def action(self) -> str:
        """The action: "SCMP_ACT_ALLOW" and so on."""

    @property
    def errno_ret(self) -> int | None:
        """For SCMP_ACT_ERRNO and SCMP_ACT_TRACE the number; None is EPERM."""

    @property
    def args(self) -> Sequence[Argument] | None:
        """Conditions that must all hold; several on one argument are alternatives, as in runc."""


class Profile(Protocol):
    """OCI LinuxSeccomp."""

    @property
    def default_action(self) -> str:
        """What happens to a call that no rule names."""

    @property
    def default_errno_ret(self) -> int | None:
        """The number for a default action SCMP_ACT_ERRNO; None is EPERM."""

    @property
    def architectures(self) -> Sequence[str] | None:
        """More architectures to filter besides the native one: "SCMP_ARCH_X86" and so on."""

    @property
    def flags(self) -> Sequence[str] | None:
        """Flags for seccomp(2): "SECCOMP_FILTER_FLAG_LOG" and so on."""

    @property
    def syscalls(self) -> Sequence[Rule] | None:
        """The rules."""


def compile_profile(profile: Profile) -> bytes:
    """Compile *profile* to the bytes of a BPF program; takes milliseconds, so cache by content.

    System calls that libseccomp does not know are skipped, as runc does.
    Raises KernelError EINVAL for an unknown action, operator or architecture.
    """
    raise NotImplementedError


def flags_of(profile: Profile) -> int:
    """Give the flags for `load` that *profile* names; an unknown one raises KernelError EINVAL."""
    raise NotImplementedError


def load(program: bytes, flags: int = 0) -> int:
    """Filter the calling thread by *program* from now on.

    Needs no_new_privs or CAP_SYS_ADMIN. Returns the notification descriptor when *flags* has
    NEW_LISTENER, else 0.
    """
    raise NotImplementedError
