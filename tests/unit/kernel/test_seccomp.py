from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from lading.kernel import process, seccomp, seccomp_bpf
from lading.kernel.errors import KernelError
from lading.kernel.syscalls import libc

from .conftest import InChild


@dataclass(frozen=True)
class Argument:
    index: int
    value: int
    op: str = "SCMP_CMP_EQ"
    value_two: int = 0


@dataclass(frozen=True)
class Rule:
    names: Sequence[str]
    action: str = "SCMP_ACT_ALLOW"
    errno_ret: int | None = None
    args: Sequence[Argument] | None = None


@dataclass(frozen=True)
class Profile:
    default_action: str = "SCMP_ACT_ALLOW"
    default_errno_ret: int | None = None
    architectures: Sequence[str] | None = None
    flags: Sequence[str] | None = None
    syscalls: Sequence[Rule] | None = None


def filtered(profile: Profile) -> None:
    process.set_no_new_privileges()
    seccomp.load(seccomp.compile_profile(profile), seccomp.flags_of(profile))


def test_refuses_a_call_with_the_given_errno(in_child: InChild) -> None:
    rules = [
        Rule(["chdir"], "SCMP_ACT_ERRNO", errno.ENOTTY),
        Rule(["mkdir", "mkdirat", "no_such_call"], "SCMP_ACT_ERRNO"),
    ]

    def work() -> None:
        filtered(Profile(syscalls=rules))
        with pytest.raises(OSError, match=os.strerror(errno.ENOTTY)):
            os.chdir("/")
        with pytest.raises(PermissionError):
            os.mkdir("/tmp/lading-test-never")
        os.stat("/")

    in_child(work)


def test_conditions_on_different_arguments_must_all_hold(in_child: InChild) -> None:
    conditions = [Argument(0, 1), Argument(1, 2)]
    rules = [Rule(["dup2", "dup3"], "SCMP_ACT_ERRNO", errno.EXDEV, conditions)]

    def work() -> None:
        filtered(Profile(syscalls=rules))
        os.dup2(1, 30)
        with pytest.raises(OSError, match=os.strerror(errno.EXDEV)):
            os.dup2(1, 2)

    in_child(work)


def test_conditions_on_one_argument_are_alternatives(in_child: InChild) -> None:
    conditions = [Argument(0, 0x2, "SCMP_CMP_EQ"), Argument(0, 0x5, "SCMP_CMP_GT")]
    rules = [Rule(["close"], "SCMP_ACT_ERRNO", errno.EXDEV, conditions)]

    def work() -> None:
        copies = [os.dup2(1, number) for number in (40, 41)]
        filtered(Profile(syscalls=rules))
        for descriptor in (2, *copies):
            with pytest.raises(OSError, match=os.strerror(errno.EXDEV)):
                os.close(descriptor)
        os.close(0)

    in_child(work)


def test_masked_comparison(in_child: InChild) -> None:
    condition = Argument(1, 0xF00, "SCMP_CMP_MASKED_EQ", 0x300)
    rules = [Rule(["kill"], "SCMP_ACT_ERRNO", errno.EXDEV, [condition])]

    def work() -> None:
        filtered(Profile(syscalls=rules))
        results = []
        for number in (0x300, 0x301, 0x400):
            libc.kill(os.getpid(), number)
            results.append(ctypes.get_errno())
        assert results == [errno.EXDEV, errno.EXDEV, errno.EINVAL]

    in_child(work)


def test_kill_process(in_child: InChild) -> None:
    def work() -> None:
        pid = os.fork()
        if pid == 0:
            filtered(Profile(syscalls=[Rule(["sync"], "SCMP_ACT_KILL_PROCESS")]))
            os.sync()
            os._exit(0)
        ended = process.wait_pid(pid)
        assert ended is not None
        assert ended.signal == signal.SIGSYS

    in_child(work)


ALLOWED = [
    Rule(["read", "write", "exit_group", "exit", "getpid", "rt_sigreturn", "mmap", "munmap"])
]


def test_calls_newer_than_the_profile_answer_enosys(in_child: InChild) -> None:
    """The highest call named is exit_group (231 on x86_64, 94 on aarch64); brk is below it."""

    def work() -> None:
        filtered(Profile("SCMP_ACT_ERRNO", syscalls=ALLOWED))
        numbers = []
        for number in (900, 83):  # 83 is mkdir on x86_64, fdatasync on the others
            libc.syscall(ctypes.c_long(number), ctypes.c_long(0), ctypes.c_long(0))
            numbers.append(ctypes.get_errno())
        os._exit(0 if numbers == [errno.ENOSYS, errno.EPERM] else 1)

    in_child(work)


def test_prologue_jumps_land_at_its_end() -> None:
    x32 = 0x4000003E
    code = seccomp_bpf.unknown_calls_prologue(
        {0xC000003E: 450, x32: 0x400001C2, 0x40000003: 449}, x32
    )
    program = [struct.unpack_from("=HBBI", code, at) for at in range(0, len(code), 8)]

    def run(architecture: int, number: int) -> str:
        position, accumulator = 0, 0
        while position < len(program):
            operation, true, false, constant = program[position]
            position += 1
            if operation == 0x20:
                accumulator = {0: number, 4: architecture}[constant]
            elif operation == 0x05:
                position += constant
            elif operation == 0x06:
                return "enosys" if constant == 0x50000 | errno.ENOSYS else "other"
            else:
                comparison = {0x15: "__eq__", 0x25: "__gt__", 0x35: "__ge__"}[operation]
                position += true if getattr(accumulator, comparison)(constant) else false
        assert position == len(program)
        return "on"

    assert run(0xC000003E, 450) == "on"
    assert run(0xC000003E, 451) == "enosys"
    assert run(0xC000003E, 0x400001C2) == "on"
    assert run(0xC000003E, 0x400001C3) == "enosys"
    assert run(0x40000003, 449) == "on"
    assert run(0x40000003, 450) == "enosys"
    assert run(0xC00000B7, 999) == "on"


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (Profile("SCMP_ACT_DANCE"), "use the seccomp action SCMP_ACT_DANCE"),
        (Profile(architectures=["SCMP_ARCH_VAX"]), "seccomp architecture SCMP_ARCH_VAX"),
        (
            Profile(syscalls=[Rule(["read"], "SCMP_ACT_LOG", None, [Argument(0, 0, "SCMP_X")])]),
            "operator SCMP_X",
        ),
    ],
)
def test_what_is_not_known_is_refused(profile: Profile, said: str) -> None:
    with pytest.raises(KernelError, match=said) as caught:
        seccomp.compile_profile(profile)
    assert caught.value.errno == errno.EINVAL


def test_flags() -> None:
    assert seccomp.flags_of(Profile()) == 4
    log_and_sync = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"]
    assert seccomp.flags_of(Profile(flags=log_and_sync)) == 3
    with pytest.raises(KernelError, match="NO_SUCH"):
        seccomp.flags_of(Profile(flags=["NO_SUCH"]))


def test_a_broken_program_is_refused(in_child: InChild) -> None:
    def work() -> None:
        process.set_no_new_privileges()
        with pytest.raises(KernelError, match="load seccomp filter"):
            seccomp.load(b"\0" * 8)

    in_child(work)
