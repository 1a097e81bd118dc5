"""Seccomp: compile an OCI profile to a BPF program with libseccomp, and load it (seccomp(2)).

Source: OCI runtime-spec 1.2, config-linux.md, "Seccomp". libseccomp, through pyseccomp, is loaded
only to compile; `load` needs the program's bytes alone.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING, Any, Protocol

from lading.kernel.errors import KernelError
from lading.kernel.seccomp_bpf import INSTRUCTION_SIZE, unknown_calls_prologue
from lading.kernel.syscalls import check, raw

if TYPE_CHECKING:
    from collections.abc import Sequence


SECCOMP_SET_MODE_FILTER = 1
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_NEW_LISTENER": 8,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
}
"""Flags of seccomp(2) by OCI's name; NEW_LISTENER is ours to set, for a notify action."""

ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
}
"""Actions by OCI's name."""

OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
"""Comparisons by OCI's name."""

_LET_PASS = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY")
_OPTIMIZE, _BINARY_TREE = 8, 2  # SCMP_FLTATR_CTL_OPTIMIZE: O(log n) checks for each call


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

    System calls that libseccomp does not know are skipped. When calls are refused by default,
    those with a number above all that the profile names answer ENOSYS, so that a libc newer than
    libseccomp falls back to older calls instead of reporting EPERM.
    Raises KernelError EINVAL for an unknown action, operator or architecture, ENOENT without
    libseccomp.
    """
    library = _pyseccomp()
    default = _action(profile.default_action, profile.default_errno_ret)
    with_target = f"seccomp profile with default {profile.default_action}"
    try:
        program = library.SyscallFilter(default)
        architectures = _architectures(library, profile)
        for token in architectures[1:]:
            if program.exist_arch(token) is False:
                program.add_arch(token)
        _set_attribute(program, _OPTIMIZE, _BINARY_TREE)
        for rule in profile.syscalls or ():
            _add_rule(library, program, rule, default)
        compiled = _export(program)
    except OSError as error:
        if isinstance(error, KernelError):
            raise
        raise KernelError(error.errno or errno.EINVAL, "compile", with_target) from error
    if profile.default_action in _LET_PASS:
        return compiled
    return _prologue(library, profile, architectures) + compiled


def flags_of(profile: Profile) -> int:
    """Give the flags for `load` that *profile* names; an unknown one raises KernelError EINVAL.

    A profile without flags gets SPEC_ALLOW, as runc does: a filter shall not slow a container by
    switching speculative store bypass off, which kernels since 5.16 do not do themselves.
    """
    if not profile.flags:
        return FLAGS["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]
    word = 0
    for name in profile.flags:
        word |= _known(FLAGS, name, "seccomp flag")
    return word


def load(program: bytes, flags: int = 0) -> int:
    """Filter the calling thread by *program* from now on.

    Needs no_new_privs or CAP_SYS_ADMIN. Returns the notification descriptor when *flags* has
    NEW_LISTENER, else 0.
    """
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = _Program(len(program) // INSTRUCTION_SIZE, ctypes.addressof(buffer))
    result = raw("seccomp", SECCOMP_SET_MODE_FILTER, flags, ctypes.byref(fprog))
    return check(result, "load seccomp filter with flags", hex(flags))


class _Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def _pyseccomp() -> Any:
    """Import pyseccomp without its search for the library, which would run ldconfig and gcc."""
    from ctypes import util

    search = util.find_library
    names = {"c": None, "seccomp": "libseccomp.so.2"}
    util.find_library = names.get  # type: ignore[assignment]
    try:
        import pyseccomp
    except OSError as error:
        raise KernelError(errno.ENOENT, "load the library", "libseccomp.so.2") from error
    finally:
        util.find_library = search
    return pyseccomp


def _architectures(library: Any, profile: Profile) -> list[int]:
    """Give libseccomp's tokens, the native one first."""
    native = library.system_arch()
    tokens = [native]
    for name in profile.architectures or ():
        token = getattr(library.Arch, name.removeprefix("SCMP_ARCH_"), None)
        if token is None:
            raise KernelError(errno.EINVAL, "use the seccomp architecture", name)
        if token not in (0, native):
            tokens.append(token)
    return tokens


def _add_rule(library: Any, program: Any, rule: Rule, default: int) -> None:
    """Add one OCI rule; one that says the same as the default is refused by libseccomp, so skip."""
    action = _action(rule.action, rule.errno_ret)
    if action == default:
        return
    conditions = [_condition(library, argument) for argument in rule.args or ()]
    indices = [argument.index for argument in rule.args or ()]
    alternatives = len(set(indices)) < len(indices)
    for name in rule.names:
        number = library.resolve_syscall(library.Arch.NATIVE, name)
        if number == -1:
            continue
        if alternatives:
            for condition in conditions:
                program.add_rule(action, number, condition)
        else:
            program.add_rule(action, number, *conditions)


def _condition(library: Any, argument: Argument) -> Any:
    operator = _known(OPERATORS, argument.op, "seccomp operator")
    return library.Arg(argument.index, operator, argument.value, argument.value_two or 0)


def _action(name: str, number: int | None) -> int:
    word = _known(ACTIONS, name, "seccomp action")
    if name in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"):
        return word | (errno.EPERM if number is None else number & 0xFFFF)
    return word


def _known(table: dict[str, int], name: str, what: str) -> int:
    if name not in table:
        raise KernelError(errno.EINVAL, f"use the {what}", name)
    return table[name]


def _set_attribute(program: Any, attribute: int, value: int) -> None:
    """Set an attribute that libseccomp before 2.5 lacks: only the speed depends on it."""
    try:
        program.set_attr(attribute, value)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.EEXIST):
            raise


def _export(program: Any) -> bytes:
    with open(os.memfd_create("lading-seccomp"), "r+b", buffering=0) as file:
        program.export_bpf(file)
        file.seek(0)
        return file.read()


def _prologue(library: Any, profile: Profile, architectures: list[int]) -> bytes:
    """Give the instructions that answer ENOSYS to calls newer than any the profile names."""
    names = {name for rule in profile.syscalls or () for name in rule.names}
    highest: dict[int, int] = {}
    for token in architectures:
        numbers = [library.resolve_syscall(token, name) for name in names]
        highest[token] = max(numbers, default=-1)
    return unknown_calls_prologue({t: n for t, n in highest.items() if n >= 0}, library.Arch.X32)
