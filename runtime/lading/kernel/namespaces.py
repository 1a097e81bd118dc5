"""Namespaces: clone3(2) into new ones, unshare(2), setns(2), and id maps of user namespaces."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from enum import Enum, IntFlag
from typing import TYPE_CHECKING

from lading.kernel.errors import Attempt, KernelError
from lading.kernel.syscalls import check, libc, raw_holding_lock

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_DESCRIPTOR = -1


class CloneFlag(IntFlag):
    """Flags of clone3(2) and unshare(2)."""

    VM = 0x100
    FS = 0x200
    FILES = 0x400
    PIDFD = 0x1000
    VFORK = 0x4000
    PARENT = 0x8000
    NEWTIME = 0x80
    NEWNS = 0x20000
    NEWCGROUP = 0x2000000
    NEWUTS = 0x4000000
    NEWIPC = 0x8000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000
    CLEAR_SIGHAND = 0x100000000
    INTO_CGROUP = 0x200000000


class Namespace(Enum):
    """A kind of namespace: its OCI name as value, its clone flag and its file in /proc/PID/ns."""

    USER = "user"
    MOUNT = "mount"
    PID = "pid"
    NETWORK = "network"
    UTS = "uts"
    IPC = "ipc"
    CGROUP = "cgroup"
    TIME = "time"

    @property
    def flag(self) -> CloneFlag:
        """The CLONE_NEW… flag that makes one."""
        return _FLAGS[self.value]

    @property
    def file(self) -> str:
        """Its name under /proc/PID/ns."""
        return _FILES.get(self.value, self.value)


_FLAGS = {
    "user": CloneFlag.NEWUSER,
    "mount": CloneFlag.NEWNS,
    "pid": CloneFlag.NEWPID,
    "network": CloneFlag.NEWNET,
    "uts": CloneFlag.NEWUTS,
    "ipc": CloneFlag.NEWIPC,
    "cgroup": CloneFlag.NEWCGROUP,
    "time": CloneFlag.NEWTIME,
}
_FILES = {"mount": "mnt", "network": "net"}


class _CloneArgs(ctypes.Structure):
    """struct clone_args of linux/sched.h, in its third version (88 bytes, Linux 5.7)."""

    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    ]


def clone3(
    flags: CloneFlag | int = 0,
    *,
    cgroup_fd: int | None = None,
    exit_signal: int = signal.SIGCHLD,
) -> tuple[int, int]:
    """Fork this process: (the child's pid, its pidfd) in the parent, (0, -1) in the child.

    The pidfd is close-on-exec and always asked for. With *cgroup_fd* (a directory of cgroup v2)
    the child starts in that cgroup. With `CloneFlag.PARENT` the child is a sibling of the caller,
    and *exit_signal* is not used. Where the kernel, or a seccomp filter around us, refuses clone3,
    clone(2) does the same; the child then joins the cgroup itself before it returns.

    Only for processes with one thread: locks held by another would stay locked in the child. The
    interpreter's own fork hooks run as for `os.fork`, so locks, signals and random state are right
    in the child. libc's fork handlers do not run; none of what they mend is used after this
    call except the cached thread id, which only recursive mutexes compare with itself.

    Raises KernelError, with the machine unchanged.
    """
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    pidfd = ctypes.c_int(NO_DESCRIPTOR)
    pid = -1
    try:
        pid = _clone(int(flags) | CloneFlag.PIDFD, pidfd, cgroup_fd, exit_signal)
        number = ctypes.get_errno()
    finally:
        if pid == 0:
            python.PyOS_AfterFork_Child()
        else:
            python.PyOS_AfterFork_Parent()
    if pid == -1:
        raise KernelError(number, "clone3 with flags", hex(flags))
    return pid, NO_DESCRIPTOR if pid == 0 else pidfd.value


def _clone(flags: int, pidfd: ctypes.c_int, cgroup_fd: int | None, exit_signal: int) -> int:
    parent = bool(flags & CloneFlag.PARENT)
    arguments = _CloneArgs(
        flags=flags if cgroup_fd is None else flags | CloneFlag.INTO_CGROUP,
        pidfd=ctypes.addressof(pidfd),
        exit_signal=0 if parent else exit_signal,
        cgroup=0 if cgroup_fd is None else cgroup_fd,
    )
    size = ctypes.sizeof(arguments)
    pid = raw_holding_lock("clone3", ctypes.byref(arguments), size)
    if pid != -1 or ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM, errno.E2BIG):
        return pid
    return _clone_old(flags, pidfd, cgroup_fd, exit_signal)


def _clone_old(flags: int, pidfd: ctypes.c_int, cgroup_fd: int | None, exit_signal: int) -> int:
    """Use clone(2); its CLONE_PIDFD puts the descriptor where the parent's tid would go."""
    word = (flags & ~0xFF) | exit_signal
    pointer = ctypes.byref(pidfd)
    if flags & CloneFlag.NEWTIME or flags > 0xFFFFFFFF:
        return -1  # these bits exist in clone3 only; errno is still that of clone3
    pid = raw_holding_lock("clone", word, 0, pointer, 0, 0)
    if pid == 0 and cgroup_fd is not None:
        _join(cgroup_fd)
    return pid


def _join(cgroup_fd: int) -> None:
    """Move the calling process into the cgroup, or end it: it must not run outside."""
    try:
        procs = os.open("cgroup.procs", os.O_WRONLY | os.O_CLOEXEC, dir_fd=cgroup_fd)
        os.write(procs, b"0")
        os.close(procs)
    except OSError:
        os._exit(126)


def unshare(flags: CloneFlag | int) -> None:
    """Move the calling process into new namespaces of the kinds in *flags* (unshare(2))."""
    check(libc.unshare(ctypes.c_int(int(flags))), "unshare with flags", hex(flags))


def setns(descriptor: int, kind: Namespace | CloneFlag | int = 0) -> None:
    """Enter the namespace behind *descriptor* (setns(2)).

    *descriptor* is an open /proc/PID/ns file, or a pidfd, when *kind* is the union of the
    CLONE_NEW… flags of the namespaces to enter. *kind* 0 accepts whatever the file is.
    """
    flags = kind.flag if isinstance(kind, Namespace) else kind
    check(libc.setns(ctypes.c_int(descriptor), ctypes.c_int(int(flags))), "setns to", descriptor)


def path_of(pid: int | str, kind: Namespace) -> str:
    """Give the /proc path of the *kind* namespace of process *pid* (or "self")."""
    return f"/proc/{pid}/ns/{kind.file}"


def enter(path: str, kind: Namespace) -> None:
    """Enter the namespace of *kind* that *path* names."""
    with Attempt("open namespace", path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        result = libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind.flag))
        check(result, f"setns to {kind.value} namespace", path)
    finally:
        os.close(descriptor)


def write_id_maps(
    pid: int,
    uids: Sequence[tuple[int, int, int]],
    gids: Sequence[tuple[int, int, int]],
    *,
    deny_setgroups: bool = False,
) -> None:
    """Write the id maps of the user namespace of *pid*: (inside, outside, size) each.

    *deny_setgroups* is what an unprivileged writer must do before the gid map
    (user_namespaces(7)).
    """
    if deny_setgroups:
        _write(f"/proc/{pid}/setgroups", "deny")
    for name, mappings in (("gid_map", gids), ("uid_map", uids)):
        if mappings:
            lines = "".join(f"{inside} {outside} {size}\n" for inside, outside, size in mappings)
            _write(f"/proc/{pid}/{name}", lines)


def _write(path: str, text: str) -> None:
    with Attempt("write", path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def sethostname(name: str) -> None:
    """Set the host name of the current UTS namespace."""
    encoded = name.encode()
    check(libc.sethostname(encoded, ctypes.c_size_t(len(encoded))), "sethostname", name)


def setdomainname(name: str) -> None:
    """Set the NIS domain name of the current UTS namespace."""
    encoded = name.encode()
    check(libc.setdomainname(encoded, ctypes.c_size_t(len(encoded))), "setdomainname", name)
