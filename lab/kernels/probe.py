"""What the running kernel really does: each of `OPTIONS` tried, as root, with Python alone.

It runs as a plain file in a machine that is thrown away, and prints JSON: title → whether it
works, or null where this machine can not tell, as with controllers of the other cgroup version.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_BPF, _SECCOMP = 321, 317
_PROG_LOAD, _CGROUP_DEVICE = 5, 15
_ACTION_AVAIL, _KILL = 2, 0
_TRUSTED = b"trusted.lading"

Probe = Callable[[], "bool | None"]


def succeeds(*words: str) -> bool:
    """Whether a program ends with 0."""
    return subprocess.run(words, capture_output=True).returncode == 0


def unshares(option: str) -> Probe:
    """Whether a namespace can be made."""
    return lambda: succeeds("unshare", option, "--fork", "true")


def mounts(kind: str, data: str = "", then: Callable[[Path], bool] = lambda _at: True) -> int:
    """Mount a file system for a moment: 0, or the number of the error; ENOTSUP if `then` fails."""
    with tempfile.TemporaryDirectory(prefix="lading-probe-") as name:
        if _LIBC.mount(b"none", name.encode(), kind.encode(), 0, data.encode()):
            return ctypes.get_errno()
        try:
            return 0 if then(Path(name)) else errno.ENOTSUP
        finally:
            _LIBC.umount2(name.encode(), 2)


def file_system(kind: str) -> Probe:
    """Whether the kernel has a file system, once its module is loaded."""

    def probe() -> bool:
        succeeds("modprobe", kind)
        return kind in Path("/proc/filesystems").read_text().split()

    return probe


def link(kind: str, *words: str) -> Probe:
    """Whether an interface of that kind can be made."""

    def probe() -> bool:
        made = succeeds("ip", "link", "add", "ladprobe", "type", kind, *words)
        succeeds("ip", "link", "delete", "ladprobe")
        return made

    return probe


def upper(kind: str) -> Probe:
    """Whether an interface can be made above another one."""
    return lambda: succeeds(
        "sh", "-c",
        "ip link add ladunder type veth peer name ladpeer; "
        f"ip link add ladprobe link ladunder type {kind}; code=$?; "
        "ip link delete ladprobe; ip link delete ladunder; exit $code",
    )  # fmt: skip


def rule(kind: str, words: str) -> Probe:
    """Whether the packet filter takes a rule, in a table that is gone at once."""
    text = f"""
    table ip ladprobe {{
      chain one {{
        {kind}
        {words}
      }}
    }}
    delete table ip ladprobe
    """
    return lambda: subprocess.run(["nft", "-f", "-"], input=text.encode()).returncode == 0


def _unified() -> Path | None:
    """Where cgroup v2 is mounted, with controllers or not."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        words, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            return Path(words.split()[4])
    return None


def v1_controller(name: str) -> bool | None:
    """Whether v1 has a controller: it can be mounted, or is in use by v2 and could be."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        kind, _, options = line.partition(" - ")[2].partition(" ")
        if kind == "cgroup" and name in options.split()[-1].split(","):
            return True
    error = mounts("cgroup", name)
    if error == errno.EBUSY:
        # v2 has it: whether v1 could is in what the kernel knows by name.
        return None if name in ("memory", "cpuset") else True
    return error == 0


def v2_file(controller: str, name: str) -> Probe:
    """Whether a cgroup has a file when its controller is on."""

    def probe() -> bool | None:
        top = _unified()
        if top is None or controller not in (top / "cgroup.controllers").read_text().split():
            # v1 may have taken it.
            return None if v1_controller(controller.replace("io", "blkio")) else False
        with suppress(OSError):
            (top / "cgroup.subtree_control").write_text(f"+{controller}")
        child = top / "lading-probe"
        child.mkdir(exist_ok=True)
        try:
            return (child / name).exists()
        finally:
            child.rmdir()

    return probe


def any_controller(unified: str, legacy: str) -> Probe:
    """Whether there is a controller, on either version."""

    def probe() -> bool | None:
        def there(at: Path) -> bool:
            return unified in (at / "cgroup.controllers").read_text().split()

        return mounts("cgroup2", then=there) == 0 or v1_controller(legacy)

    return probe


def module(name: str, proof: str) -> Probe:
    """Whether a path is there once a module is loaded."""

    def probe() -> bool:
        succeeds("modprobe", name)
        return os.path.exists(proof)

    return probe


def device_program() -> bool:
    """Whether a program that decides about devices is taken (bpf(2), BPF_PROG_LOAD)."""
    # mov r0, 1; exit
    code = (ctypes.c_ubyte * 16)(0xB7, 0, 0, 0, 1, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0)
    words = (ctypes.c_uint64 * 16)()
    words[0] = _CGROUP_DEVICE | 2 << 32
    words[1], words[2] = (
        ctypes.addressof(code),
        ctypes.addressof(ctypes.create_string_buffer(b"GPL")),
    )
    descriptor = _LIBC.syscall(_BPF, _PROG_LOAD, ctypes.byref(words), ctypes.sizeof(words))
    if descriptor < 0:
        return False
    os.close(descriptor)
    return True


def seccomp_filter() -> bool:
    """Whether filters can end a thread (seccomp(2), SECCOMP_GET_ACTION_AVAIL)."""
    action = ctypes.c_uint32(_KILL)
    return bool(_LIBC.syscall(_SECCOMP, _ACTION_AVAIL, 0, ctypes.byref(action)) == 0)


def event() -> bool:
    """Whether there are event descriptors."""
    descriptor: int = _LIBC.eventfd(0, 0)
    if descriptor < 0:
        return False
    os.close(descriptor)
    return True


def poll() -> bool:
    """Whether many descriptors can be waited for."""
    with select.epoll() as one:
        return one.fileno() >= 0


def tmpfs_attributes() -> bool:
    """Whether files of a tmpfs have extended attributes."""

    def marked(at: Path) -> bool:
        (at / "file").touch()
        return bool(_LIBC.setxattr(bytes(at / "file"), _TRUSTED, b"x", 1, 0) == 0)

    return mounts("tmpfs", then=marked) == 0


def known_symbol(name: str) -> bool:
    """Whether the kernel has a function or a datum of that name."""
    with open("/proc/kallsyms") as lines:
        return any(line.split()[2] == name for line in lines)


def io_weight() -> bool | None:
    """Whether a share of a disk's time can be given on v2."""
    found = [v2_file("io", name)() for name in ("io.weight", "io.bfq.weight")]
    if None in found:
        return None
    return any(found) or (succeeds("modprobe", "bfq") and bool(v2_file("io", "io.bfq.weight")()))


def realtime() -> bool | None:
    """Whether groups have realtime budgets, which only v1 shows."""
    top = Path("/sys/fs/cgroup/cpu,cpuacct")
    return (top / "cpu.rt_runtime_us").exists() if top.is_dir() else None


PROBES: Mapping[str, Probe] = {
    "namespaces": lambda: os.path.isdir("/proc/self/ns"),
    "hostname namespace": unshares("--uts"),
    "IPC namespace": unshares("--ipc"),
    "process namespace": unshares("--pid"),
    "network namespace": unshares("--net"),
    "control groups": file_system("cgroup2"),
    "overlay file system": file_system("overlay"),
    "tmpfs": lambda: mounts("tmpfs") == 0,
    "POSIX message queues": lambda: mounts("mqueue") == 0,
    "eventfd": event,
    "epoll": poll,
    "memory limits": any_controller("memory", "memory"),
    "memory limits under cgroup v1": lambda: v1_controller("memory"),
    "CPU sets under cgroup v1": lambda: v1_controller("cpuset"),
    "swap limits": v2_file("memory", "memory.swap.max"),
    "CPU shares": v2_file("cpu", "cpu.weight"),
    "CPU quotas": v2_file("cpu", "cpu.max"),
    "CPU sets": any_controller("cpuset", "cpuset"),
    "process limits": any_controller("pids", "pids"),
    "freezer": lambda: v1_controller("freezer"),
    "block I/O limits": any_controller("io", "blkio"),
    "block I/O throttling": v2_file("io", "io.max"),
    "huge page limits": any_controller("hugetlb", "hugetlb"),
    "realtime scheduling": realtime,
    "virtual Ethernet pairs": link("veth", "peer", "name", "ladpeer"),
    "bridges": link("bridge"),
    "nftables": rule("", "counter"),
    "address translation": rule("type nat hook prerouting priority 0;", "tcp dport 1 dnat to :2"),
    "masquerading": rule("type nat hook postrouting priority 0;", "masquerade"),
    "connection tracking": rule("", "ct state established counter"),
    "bridge filtering": module("br_netfilter", "/proc/sys/net/bridge/bridge-nf-call-iptables"),
    "VXLAN": link("vxlan", "id", "7", "dstport", "4789", "local", "127.0.0.1"),
    "macvlan": upper("macvlan"),
    "ipvlan": upper("ipvlan"),
    "system call filters": seccomp_filter,
    "user namespaces": unshares("--user"),
    "device rules": lambda: device_program() or v1_controller("devices"),
    "device rules on cgroup v2": device_program,
    "AppArmor": lambda: os.path.isdir("/sys/module/apparmor"),
    "SELinux": lambda: known_symbol("selinux_state"),
    "keyrings": lambda: os.path.exists("/proc/keys"),
    "cgroup namespace": unshares("--cgroup"),
    "checkpoints": lambda: os.path.exists("/proc/sys/kernel/ns_last_pid"),
    "extended attributes on tmpfs": tmpfs_attributes,
    "FUSE": file_system("fuse"),
    "erofs": file_system("erofs"),
    "io.weight": io_weight,
}


def main() -> None:
    """Try all, in order, and print what was found."""
    print(json.dumps({title: probe() for title, probe in PROBES.items()}))


if __name__ == "__main__":
    main()
