"""Processes: pidfds, waiting, prctl(2), limits, identity, OOM score, descriptors."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from lading.kernel.errors import Attempt, KernelError
from lading.kernel.pseudofiles import write_value
from lading.kernel.syscalls import check, fail, libc, raw

if TYPE_CHECKING:
    from collections.abc import Sequence

P_PIDFD = 3


class Prctl(IntEnum):
    """Operations of prctl(2) used here."""

    SET_PDEATHSIG = 1
    SET_DUMPABLE = 4
    SET_KEEPCAPS = 8
    SET_NAME = 15
    CAPBSET_READ = 23
    CAPBSET_DROP = 24
    SET_CHILD_SUBREAPER = 36
    SET_NO_NEW_PRIVS = 38
    GET_NO_NEW_PRIVS = 39
    CAP_AMBIENT = 47


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: `code` by exit, or `signal` (then `core` tells of a core dump)."""

    pid: int
    code: int = 0
    signal: int = 0
    core: bool = False

    @property
    def status(self) -> int:
        """The shell's number, and Docker's: the exit code, or 128 + the signal."""
        return 128 + self.signal if self.signal else self.code


def prctl(operation: Prctl, second: int = 0, third: int = 0, what: object = "") -> int:
    """Call prctl(2) with up to two arguments; the remaining ones are 0."""
    result = libc.prctl(operation, second, third, 0, 0)
    return int(result) if result != -1 else fail(f"prctl {operation.name}", what)


libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]


def set_child_subreaper(on: bool = True) -> None:
    """Make orphaned descendants become children of this process."""
    prctl(Prctl.SET_CHILD_SUBREAPER, int(on))


def set_parent_death_signal(number: int) -> None:
    """Have the kernel send *number* to this process when the thread that made it ends; 0: none."""
    prctl(Prctl.SET_PDEATHSIG, number)


def set_no_new_privileges() -> None:
    """Give up gaining privileges by execve(2), for good."""
    prctl(Prctl.SET_NO_NEW_PRIVS, 1)


def no_new_privileges() -> bool:
    """Tell whether `set_no_new_privileges` is in force."""
    return prctl(Prctl.GET_NO_NEW_PRIVS) == 1


def set_dumpable(on: bool) -> None:
    """Let others of the same user trace this process and read its /proc files, or not."""
    prctl(Prctl.SET_DUMPABLE, int(on))


def set_keep_capabilities(on: bool) -> None:
    """Keep the permitted capabilities over the next change of user id away from 0."""
    prctl(Prctl.SET_KEEPCAPS, int(on))


def set_name(name: str) -> None:
    """Set the name of this thread as ps shows it (15 bytes at most)."""
    buffer = ctypes.create_string_buffer(name.encode()[:15])
    prctl(Prctl.SET_NAME, ctypes.addressof(buffer), what=name)


def pidfd_open(pid: int) -> int:
    """Give a pidfd of *pid*, close-on-exec; ESRCH when there is none."""
    with Attempt("pidfd_open", pid):
        return os.pidfd_open(pid)


def pidfd_send_signal(pidfd: int, number: int) -> None:
    """Send signal *number* to the process behind *pidfd*; ESRCH when it has been reaped."""
    with Attempt(f"send signal {int(number)} to pidfd", pidfd):
        signal.pidfd_send_signal(pidfd, number)


def pidfd_getfd(pidfd: int, descriptor: int) -> int:
    """Duplicate *descriptor* of the process behind *pidfd* into this one (Linux 5.6)."""
    return check(raw("pidfd_getfd", pidfd, descriptor, 0), "pidfd_getfd", descriptor)


def wait_pidfd(pidfd: int, *, block: bool = True) -> Exit | None:
    """Reap the child behind *pidfd*; None if not *block* and it still runs.

    Raises KernelError ECHILD when it is no child of ours or was reaped already.
    """
    options = os.WEXITED | (0 if block else os.WNOHANG)
    with Attempt("wait for pidfd", pidfd):
        return _exit_of(os.waitid(P_PIDFD, pidfd, options))


def wait_pid(pid: int, *, block: bool = True) -> Exit | None:
    """Reap the child *pid*; None if not *block* and it still runs."""
    options = os.WEXITED | (0 if block else os.WNOHANG)
    with Attempt("wait for process", pid):
        return _exit_of(os.waitid(os.P_PID, pid, options))


def reap_any() -> Exit | None:
    """Reap one ended child, whichever; None when none has ended or there is none."""
    try:
        return _exit_of(os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG))
    except ChildProcessError:
        return None


def _exit_of(result: os.waitid_result | None) -> Exit | None:
    if result is None or result.si_pid == 0:
        return None
    if result.si_code == os.CLD_EXITED:
        return Exit(result.si_pid, code=result.si_status)
    core = result.si_code == os.CLD_DUMPED
    return Exit(result.si_pid, signal=result.si_status, core=core)


def start_time(pid: int | str) -> int:
    """Give the start time of *pid* in clock ticks since boot: with the pid it names one process.

    Raises KernelError (ENOENT or ESRCH) when there is no such process.
    """
    return int(_stat_fields(pid)[19])


def state(pid: int | str) -> str:
    """Give the one-letter state of *pid* ("R", "S", "Z" …; proc_pid_stat(5))."""
    return _stat_fields(pid)[0]


def _stat_fields(pid: int | str) -> list[str]:
    path = f"/proc/{pid}/stat"
    with Attempt("read", path), open(path, "rb") as file:
        text = file.read().decode("ascii", "replace")
    return text[text.rindex(")") + 2 :].split()


RLIMITS = {
    name: getattr(resource, name)
    for name in dir(resource)
    if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"
} | {
    "RLIMIT_LOCKS": 10,
    "RLIMIT_SIGPENDING": 11,
    "RLIMIT_MSGQUEUE": 12,
    "RLIMIT_NICE": 13,
    "RLIMIT_RTPRIO": 14,
    "RLIMIT_RTTIME": 15,
}
"""The kernel's number of each resource limit, by OCI's name."""

UNLIMITED = 0xFFFFFFFFFFFFFFFF


def set_rlimit(name: str, soft: int, hard: int, pid: int = 0) -> None:
    """Set the resource limit *name* ("RLIMIT_NOFILE"); `UNLIMITED` or -1 for none (prlimit(2)).

    Raises KernelError EINVAL for an unknown name.
    """
    if name not in RLIMITS:
        raise KernelError(errno.EINVAL, "set resource limit", name)
    pair = tuple(
        resource.RLIM_INFINITY if value in (-1, UNLIMITED) else value for value in (soft, hard)
    )
    try:
        resource.prlimit(pid, RLIMITS[name], (pair[0], pair[1]))
    except ValueError as error:
        call = f"set {name} to {soft}:{hard}"
        raise KernelError(errno.EINVAL, call) from error
    except OSError as error:
        raise KernelError(error.errno or errno.EPERM, f"set {name} to {soft}:{hard}") from error


def allow_rlimit(name: str, hard: int, pid: int = 0) -> None:
    """Let a process set *name* as high as *hard* by itself; what holds for it now stays.

    Raises KernelError EINVAL for an unknown name, EPERM without CAP_SYS_RESOURCE on the host.
    """
    if name not in RLIMITS:
        raise KernelError(errno.EINVAL, "allow resource limit", name)
    unlimited = resource.RLIM_INFINITY
    wanted = unlimited if hard in (-1, UNLIMITED) else hard
    soft, most = resource.prlimit(pid, RLIMITS[name])
    if most != unlimited and (wanted == unlimited or wanted > most):
        set_rlimit(name, soft, wanted, pid)


def set_oom_score_adj(value: int, pid: int | str = "self") -> None:
    """Set how readily the kernel kills *pid* when memory runs out (-1000 … 1000)."""
    write_value(f"/proc/{pid}/oom_score_adj", str(value))


PERSONALITIES = {"LINUX": 0x0, "LINUX32": 0x8}


def set_personality(domain: str) -> None:
    """Set the execution domain by OCI's name, "LINUX" or "LINUX32" (personality(2))."""
    if domain not in PERSONALITIES:
        raise KernelError(errno.EINVAL, "set personality", domain)
    number = ctypes.c_ulong(PERSONALITIES[domain])
    check(libc.personality(number), "set personality", domain)


CLOSE_RANGE_CLOEXEC = 4


def close_range(first: int, last: int = 0xFFFFFFFF, *, cloexec: bool = False) -> None:
    """Close all descriptors from *first* to *last*, or mark them close-on-exec instead.

    Where close_range(2) is missing (before 5.9; the flag: 5.11), /proc/self/fd tells them.
    """
    if raw("close_range", first, last, CLOSE_RANGE_CLOEXEC if cloexec else 0) == 0:
        return
    for name in os.listdir("/proc/self/fd"):
        number = int(name)
        if not first <= number <= last:
            continue
        try:
            os.set_inheritable(number, False) if cloexec else os.close(number)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise


def set_identity(uid: int, gid: int, groups: Sequence[int]) -> None:
    """Become *uid*:*gid* with exactly the supplementary *groups*, in the order that works."""
    with Attempt("set supplementary groups", list(groups)):
        os.setgroups(list(groups))
    with Attempt("set group id", gid):
        os.setresgid(gid, gid, gid)
    with Attempt("set user id", uid):
        os.setresuid(uid, uid, uid)


KEYCTL_JOIN_SESSION_KEYRING = 1


def join_session_keyring(name: str) -> None:
    """Get a session keyring of our own called *name*, so that no key leaks in (keyrings(7))."""
    check(raw("keyctl", KEYCTL_JOIN_SESSION_KEYRING, name.encode()), "join session keyring", name)
