"""Steps that take privileges away: limits, identity, capabilities, seccomp, labels."""

from __future__ import annotations

import os
import signal

from lading.kernel import capabilities, process, scheduling, seccomp
from lading.kernel.errors import Attempt, KernelError
from lading.oci.seccomp_cache import program_for
from lading.oci.spec_linux import LinuxSeccomp
from lading.oci.steps.base import Context, Refused, Step


class ResetSignals(Step, frozen=True):
    """Forget what the runtime does about signals."""

    def describe(self) -> str:
        """Say so."""
        return "reset signal handlers and the signal mask"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Set every signal to its default: ignored ones would stay so over an execve.

        Asking the interpreter takes no system call, and most of them are at their default.
        """
        signal.set_wakeup_fd(-1)
        for number in _CHANGEABLE:
            if signal.getsignal(number) is not signal.SIG_DFL:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


_OF_LIBC = (32, 33)  # the first real-time signals, which are for libc's threads
_FIXED = (signal.SIGKILL, signal.SIGSTOP, *_OF_LIBC)
_CHANGEABLE = tuple(n for n in range(1, signal.NSIG) if n not in _FIXED)


class SetUmask(Step, frozen=True):
    """Set the mask of permissions for new files."""

    mask: int

    def describe(self) -> str:
        """Give it in octal."""
        return f"set the umask to {self.mask:04o}"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Set it."""
        os.umask(self.mask)


class HideFromTracing(Step, frozen=True):
    """Keep processes of the container from looking into this one until the execve."""

    def describe(self) -> str:
        """Say so."""
        return "forbid tracing"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Make it not dumpable (prctl(2)); execve(2) makes it so again."""
        process.set_dumpable(False)


class AllowRlimits(Step, frozen=True):
    """Make room for limits that a process in a user namespace may lower there, but not raise.

    The process, or (`outside`) the new one, sets them when its setup needs no files any more.
    """

    limits: tuple[tuple[str, int, int], ...]
    outside: bool = False

    def describe(self) -> str:
        """Name them."""
        names = [name.removeprefix("RLIMIT_").lower() for name, _, _ in self.limits]
        return f"allow the limits of {', '.join(names)}"

    def execute(self, ctx: Context) -> None:
        """Raise what is too low."""
        for name, _, hard in self.limits:
            process.allow_rlimit(name, hard, ctx.pid if self.outside else 0)


class SetRlimits(Step, frozen=True):
    """Set the resource limits of this process."""

    limits: tuple[tuple[str, int, int], ...]

    def describe(self) -> str:
        """Give each as "nofile 1024:1024"."""
        pairs = [
            f"{name.removeprefix('RLIMIT_').lower()} {_limit(soft)}:{_limit(hard)}"
            for name, soft, hard in self.limits
        ]
        return f"limit {', '.join(pairs)}"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Set them."""
        for name, soft, hard in self.limits:
            process.set_rlimit(name, soft, hard)


def _limit(value: int) -> str:
    return "unlimited" if value in (-1, process.UNLIMITED) else str(value)


class SetOomScore(Step, frozen=True):
    """Say how readily the kernel kills the process when memory runs out."""

    value: int
    outside: bool = False

    def describe(self) -> str:
        """Give the score."""
        return f"set the OOM score adjustment to {self.value}"

    def execute(self, ctx: Context) -> None:
        """Write it."""
        process.set_oom_score_adj(self.value, ctx.pid if self.outside else "self")


class SetScheduler(Step, frozen=True):
    """Set the CPU scheduler's policy."""

    policy: str
    flags: tuple[str, ...] = ()
    nice: int = 0
    priority: int = 0
    runtime: int = 0
    deadline: int = 0
    period: int = 0

    def describe(self) -> str:
        """Name it."""
        return f"schedule by {self.policy}, nice {self.nice}, priority {self.priority}"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Set it."""
        scheduling.set_scheduler(
            self.policy,
            flags=self.flags,
            nice=self.nice,
            priority=self.priority,
            runtime=self.runtime,
            deadline=self.deadline,
            period=self.period,
        )


class SetIOPriority(Step, frozen=True):
    """Set the I/O scheduler's class."""

    io_class: str
    level: int

    def describe(self) -> str:
        """Name it."""
        return f"set the I/O priority to {self.io_class} {self.level}"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Set it."""
        scheduling.set_io_priority(self.io_class, self.level)


class SetAffinity(Step, frozen=True):
    """Bind an exec'd process to CPUs."""

    cpus: tuple[int, ...]

    def describe(self) -> str:
        """List them."""
        return f"run on CPUs {', '.join(map(str, self.cpus))}"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Bind it."""
        with Attempt("run on CPUs", self.cpus):
            os.sched_setaffinity(0, self.cpus)


class SetPersonality(Step, frozen=True):
    """Set the execution domain."""

    domain: str

    def describe(self) -> str:
        """Name it."""
        return f"set the personality {self.domain}"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Set it."""
        process.set_personality(self.domain)


class ForbidNewPrivileges(Step, frozen=True):
    """Give up gaining privileges by execve(2)."""

    def describe(self) -> str:
        """Say so."""
        return "set no_new_privs"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Set it."""
        process.set_no_new_privileges()


class CompileSeccomp(Step, frozen=True):
    """Compile the seccomp filter, or take it from the cache."""

    profile: LinuxSeccomp

    def describe(self) -> str:
        """Count the rules."""
        return f"compile a seccomp filter of {len(self.profile.syscalls)} rules"

    def execute(self, ctx: Context) -> None:
        """Do it before the clone: the process shall not load libseccomp."""
        ctx.filter = program_for(self.profile, ctx.cache)


class LoadSeccomp(Step, frozen=True):
    """Filter the system calls from now on."""

    flags: int

    def describe(self) -> str:
        """Say so."""
        return "load the seccomp filter"

    def execute(self, ctx: Context) -> None:
        """Load what the runtime compiled."""
        seccomp.load(ctx.filter, self.flags)


class DropBoundingSet(Step, frozen=True):
    """Drop capabilities for good."""

    keep: int

    def describe(self) -> str:
        """Count what stays."""
        return f"keep {self.keep.bit_count()} capabilities in the bounding set"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Drop all others."""
        capabilities.drop_bounding(self.keep)


class BecomeUser(Step, frozen=True):
    """Become the container's user; capabilities are kept over the change."""

    uid: int
    gid: int
    groups: tuple[int, ...]

    def describe(self) -> str:
        """Give the ids."""
        more = f" with groups {', '.join(map(str, self.groups))}" if self.groups else ""
        return f"become user {self.uid}, group {self.gid}{more}"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Change all ids."""
        process.set_keep_capabilities(True)
        process.set_identity(self.uid, self.gid, self.groups)
        process.set_keep_capabilities(False)


class SetCapabilities(Step, frozen=True):
    """Set the four other sets, as bits."""

    effective: int
    permitted: int
    inheritable: int
    ambient: int

    def describe(self) -> str:
        """Count them."""
        ambient = f", {self.ambient.bit_count()} of them ambient" if self.ambient else ""
        return f"keep {self.effective.bit_count()} effective capabilities{ambient}"

    def execute(self, ctx: Context) -> None:  # noqa: ARG002
        """Set them."""
        capabilities.set_thread(self.effective, self.permitted, self.inheritable)
        if self.ambient:
            capabilities.set_ambient(self.ambient)


_APPARMOR = "/sys/kernel/security/apparmor"
_LABEL_FILES = ("/proc/self/attr/apparmor/exec", "/proc/self/attr/exec")


class OpenLabelFile(Step, frozen=True):
    """Open the file by which a label for the program is asked for, on the host's own /proc."""

    module: str

    def describe(self) -> str:
        """Say so."""
        return f"open the file for the {self.module} label"

    def execute(self, ctx: Context) -> None:
        """Open it, or say that the host lacks the security module."""
        paths = _LABEL_FILES if self.module == "AppArmor" else _LABEL_FILES[1:]
        if self.module == "AppArmor" and not os.path.isdir(_APPARMOR):
            raise Refused("an AppArmor profile is asked for, but AppArmor is not enabled", 0)
        for path in paths:
            try:
                ctx.label_file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            return
        raise Refused(f"a label is asked for, but {self.module} is not enabled", 0)


class SetLabel(Step, frozen=True):
    """Ask for the program's label: an AppArmor profile or an SELinux context."""

    module: str
    label: str

    def describe(self) -> str:
        """Give it."""
        return f"ask for the {self.module} label {self.label}"

    def execute(self, ctx: Context) -> None:
        """Write it: it holds from the next execve on."""
        text = f"exec {self.label}" if self.module == "AppArmor" else self.label
        try:
            os.write(ctx.label_file, text.encode())
        except OSError as error:
            call = f"apply the {self.module} label"
            raise KernelError(error.errno or 0, call, self.label) from error
