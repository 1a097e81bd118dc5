"""Docker's default seccomp policy: which system calls a container may make.

Everything that is not named here is refused with EPERM. What is allowed always is grouped by
subject; below it stands what only some arguments, architectures or capabilities open.
Docker's documentation, "Seccomp security profiles for Docker", says why calls are left out.
"""

from __future__ import annotations

from functools import cache

from lading.oci.seccomp_profile import Architecture, Condition, Profile, Rule
from lading.oci.spec_linux import LinuxSeccompArg

ALWAYS = {
    "open and close": "open openat openat2 creat close close_range dup dup2 dup3 pipe pipe2",
    "read and write": """
        read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek _llseek
        readahead fadvise64 fadvise64_64 sendfile sendfile64 splice tee vmsplice copy_file_range""",
    "sizes and flushing": """
        truncate truncate64 ftruncate ftruncate64 fallocate fsync fdatasync sync syncfs
        sync_file_range""",
    "facts about files": """
        stat stat64 lstat lstat64 fstat fstat64 fstatat64 newfstatat statx access faccessat
        faccessat2 statfs statfs64 fstatfs fstatfs64 statmount listmount name_to_handle_at
        readlink readlinkat getdents getdents64 getcwd""",
    "names of files": """
        link linkat symlink symlinkat rename renameat renameat2 unlink unlinkat mkdir mkdirat rmdir
        mknod mknodat chdir fchdir umask""",
    "owners, modes and times": """
        chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 fchownat lchown lchown32
        utime utimes futimesat utimensat utimensat_time64""",
    "extended attributes": """
        getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr setxattrat
        listxattr llistxattr flistxattr listxattrat
        removexattr lremovexattr fremovexattr removexattrat""",
    "control, locks and watching": """
        fcntl fcntl64 ioctl flock inotify_init inotify_init1 inotify_add_watch inotify_rm_watch
        fanotify_mark""",
    "waiting for descriptors": """
        select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64 epoll_create
        epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2
        eventfd eventfd2""",
    "asynchronous I/O": """
        io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents
        io_pgetevents_time64""",
    "memory": """
        brk mmap mmap2 munmap mremap remap_file_pages mprotect msync madvise mincore mseal mlock
        mlock2 mlockall munlock munlockall memfd_create memfd_secret pkey_alloc pkey_free
        pkey_mprotect map_shadow_stack membarrier cachestat process_mrelease""",
    "processes and threads": """
        fork vfork execve execveat exit exit_group wait4 waitid waitpid getpid getppid gettid
        getpgid getpgrp setpgid getsid setsid pidfd_open pidfd_send_signal prctl set_tid_address
        set_thread_area get_thread_area set_robust_list get_robust_list rseq restart_syscall
        uretprobe riscv_hwprobe""",
    "waiting among threads": """
        futex futex_time64 futex_wait futex_waitv futex_wake futex_requeue""",
    "users and groups": """
        getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32
        getresgid getresgid32 getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid
        setreuid32 setregid setregid32 setresuid setresuid32 setresgid setresgid32 setfsuid
        setfsuid32 setfsgid setfsgid32 setgroups setgroups32""",
    "privileges, only ever to be given up": """
        capget capset seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self""",
    "signals": """
        kill tkill tgkill pause alarm sigaltstack sigprocmask sigreturn signalfd signalfd4
        rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_tgsigqueueinfo rt_sigreturn
        rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64""",
    "scheduling": """
        sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam
        sched_setparam sched_getscheduler sched_setscheduler sched_get_priority_max
        sched_get_priority_min sched_rr_get_interval sched_rr_get_interval_time64 getpriority
        setpriority ioprio_get ioprio_set getcpu""",
    "limits and usage": """
        getrlimit ugetrlimit setrlimit prlimit64 getrusage times sysinfo uname getrandom""",
    "clocks and timers": """
        time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64
        clock_nanosleep clock_nanosleep_time64 nanosleep adjtimex clock_adjtime clock_adjtime64
        getitimer setitimer timer_create timer_delete timer_getoverrun timer_gettime
        timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
        timerfd_gettime64 timerfd_settime timerfd_settime64""",
    "sockets": """
        socketcall socketpair bind listen accept accept4 connect shutdown getsockname getpeername
        getsockopt setsockopt send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg
        recvmmsg_time64""",
    "System V and POSIX messages, semaphores, shared memory": """
        ipc msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat
        shmctl shmdt shmget mq_open mq_unlink mq_notify mq_getsetattr mq_timedreceive
        mq_timedreceive_time64 mq_timedsend mq_timedsend_time64""",
}
"""What every container may call, by subject."""

BY_CAPABILITY = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_ADMIN": """
        mount umount umount2 mount_setattr move_mount open_tree fsopen fsconfig fsmount fspick
        clone clone3 unshare setns sethostname setdomainname bpf perf_event_open syslog
        fanotify_init quotactl quotactl_fd lookup_dcookie lsm_get_self_attr lsm_set_self_attr
        lsm_list_modules""",
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "init_module finit_module delete_module",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": """
        ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp""",
    "CAP_SYS_RAWIO": "iopl ioperm",
    "CAP_SYS_TIME": "settimeofday stime clock_settime clock_settime64",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYS_NICE": "get_mempolicy set_mempolicy set_mempolicy_home_node mbind",
    "CAP_SYSLOG": "syslog",
    "CAP_BPF": "bpf",
    "CAP_PERFMON": "perf_event_open",
}
"""What a capability opens besides."""

BY_ARCHITECTURE = (
    (("ppc64le",), "sync_file_range2 swapcontext"),
    (
        ("arm", "arm64"),
        "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
    ),
    (("amd64", "x32"), "arch_prctl"),
    (("amd64", "x32", "x86"), "modify_ldt"),
    (("s390", "s390x"), "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr"),
    (("riscv64",), "riscv_flush_icache"),
)
"""What exists, or is needed, on some architectures only."""

AF_ALG, AF_VSOCK = 38, 40
"""Socket families that are refused: the kernel's crypto, and the hypervisor's host."""

PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)
"""LINUX, LINUX32, each with UNAME26, and the query for the one in force."""

NEW_NAMESPACES = 0x7E020000
"""The CLONE_NEW… flags of clone(2); each makes a namespace, in which one would be privileged."""

ENOSYS = 38  # of every architecture that Docker runs on

_SUB_ARCHITECTURES = {
    "X86_64": ("X86", "X32"),
    "AARCH64": ("ARM",),
    "MIPS64": ("MIPS", "MIPS64N32"),
    "MIPS64N32": ("MIPS", "MIPS64"),
    "MIPSEL64": ("MIPSEL", "MIPSEL64N32"),
    "MIPSEL64N32": ("MIPSEL", "MIPSEL64"),
    "S390X": ("S390",),
    "RISCV64": (),
    "LOONGARCH64": (),
}


@cache
def default_profile() -> Profile:
    """Build the policy as a profile, for `seccomp_profile.resolve`."""
    return Profile(
        default_action="SCMP_ACT_ERRNO",
        default_errno_ret=1,
        arch_map=[
            Architecture(
                architecture=f"SCMP_ARCH_{native}",
                sub_architectures=[f"SCMP_ARCH_{name}" for name in others] or None,
            )
            for native, others in _SUB_ARCHITECTURES.items()
        ],
        syscalls=[
            _allow(" ".join(ALWAYS.values())),
            _allow(
                "ptrace process_vm_readv process_vm_writev", includes=Condition(min_kernel="4.8")
            ),
            *_by_arguments(),
            *(_allow(calls, includes=Condition(arches=[*a])) for a, calls in BY_ARCHITECTURE),
            *(_allow(calls, includes=Condition(caps=[c])) for c, calls in BY_CAPABILITY.items()),
            *_clone(),
        ],
    )


def _by_arguments() -> list[Rule]:
    families = ((AF_ALG, "LT"), (AF_ALG + 1, "EQ"), (AF_VSOCK, "GT"))
    sockets = [_allow("socket", argument=_compare(0, value, op)) for value, op in families]
    return sockets + [
        _allow("personality", argument=_compare(0, value, "EQ")) for value in PERSONALITIES
    ]


def _clone() -> list[Rule]:
    """Let processes be made, but no namespaces; the flags of clone3 cannot be looked at."""
    on_s390 = ["s390", "s390x"]
    admin = ["CAP_SYS_ADMIN"]
    flags_first = _compare(0, NEW_NAMESPACES, "MASKED_EQ")
    flags_second = _compare(1, NEW_NAMESPACES, "MASKED_EQ")
    return [
        _allow("clone", argument=flags_first, excludes=Condition(caps=admin, arches=on_s390)),
        _allow(
            "clone",
            argument=flags_second,
            includes=Condition(arches=on_s390),
            excludes=Condition(caps=admin),
        ),
        Rule(
            names=["clone3"],
            action="SCMP_ACT_ERRNO",
            errno_ret=ENOSYS,
            excludes=Condition(caps=admin),
        ),
    ]


def _allow(
    calls: str,
    *,
    argument: LinuxSeccompArg | None = None,
    includes: Condition | None = None,
    excludes: Condition | None = None,
) -> Rule:
    return Rule(
        names=calls.split(),
        action="SCMP_ACT_ALLOW",
        args=[argument] if argument else None,
        includes=includes,
        excludes=excludes,
    )


def _compare(index: int, value: int, operator: str) -> LinuxSeccompArg:
    return LinuxSeccompArg(index=index, value=value, op=f"SCMP_CMP_{operator}")
