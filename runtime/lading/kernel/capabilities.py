"""Capabilities: names and bits, the five sets of a thread (capabilities(7))."""

from __future__ import annotations

import ctypes
import errno
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lading.kernel.errors import KernelError
from lading.kernel.process import Prctl, prctl
from lading.kernel.syscalls import check, raw

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
"""The capabilities by bit number: `NAMES[0]` is "CAP_CHOWN"."""

BITS: dict[str, int] = {name: bit for bit, name in enumerate(NAMES)}
"""The bit number of each name."""

_VERSION_3 = 0x20080522
_AMBIENT_IS_SET, _AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 1, 2, 4
_LAST_CAP = "/proc/sys/kernel/cap_last_cap"


@dataclass(frozen=True, slots=True)
class CapabilitySets:
    """The five sets of one thread, each as bits (bit 0 is CAP_CHOWN)."""

    effective: int = 0
    permitted: int = 0
    inheritable: int = 0
    bounding: int = 0
    ambient: int = 0


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


_Data = ctypes.c_uint32 * 6  # effective, permitted, inheritable; the low words, then the high


@cache
def last() -> int:
    """Give the highest capability bit that the running kernel knows.

    Read once: a process that drops capabilities may be in a root by then that lacks /proc.
    """
    with open(_LAST_CAP, encoding="ascii") as file:
        return int(file.read())


def supported() -> int:
    """Give all capabilities of the running kernel that have a name here, as bits."""
    return (1 << min(last() + 1, len(NAMES))) - 1


def to_bits(names: Iterable[str]) -> int:
    """Turn names ("CAP_KILL") into bits. Raises KernelError EINVAL for an unknown one."""
    bits = 0
    for name in names:
        if name not in BITS:
            raise KernelError(errno.EINVAL, "use the capability", name)
        bits |= 1 << BITS[name]
    return bits


def to_names(bits: int) -> list[str]:
    """Turn bits into names, in the order of the bits; bits without a name are left out."""
    return [name for bit, name in enumerate(NAMES) if bits >> bit & 1]


def get() -> CapabilitySets:
    """Read the five sets of the calling thread."""
    effective, permitted, inheritable = _get()
    highest = last()
    bounding = sum(1 << bit for bit in range(highest + 1) if prctl(Prctl.CAPBSET_READ, bit) == 1)
    ambient = sum(
        1 << bit
        for bit in range(highest + 1)
        if prctl(Prctl.CAP_AMBIENT, _AMBIENT_IS_SET, bit) == 1
    )
    return CapabilitySets(effective, permitted, inheritable, bounding, ambient)


def set_thread(effective: int, permitted: int, inheritable: int) -> None:
    """Set the three sets of capset(2) of the calling thread."""
    words = [
        value >> shift & 0xFFFFFFFF
        for shift in (0, 32)
        for value in (effective, permitted, inheritable)
    ]
    result = raw("capset", ctypes.byref(_Header(_VERSION_3, 0)), ctypes.byref(_Data(*words)))
    check(result, "capset", f"to {permitted:#x}")


def drop_bounding(keep: int) -> None:
    """Drop from the bounding set every capability of this kernel that is not in *keep* (bits).

    Needs CAP_SETPCAP, so it comes before `set_thread`.
    """
    for bit in range(last() + 1):
        if not keep >> bit & 1:
            name = NAMES[bit] if bit < len(NAMES) else bit
            prctl(Prctl.CAPBSET_DROP, bit, what=name)


def set_ambient(bits: int) -> None:
    """Make *bits* the ambient set; each must be permitted and inheritable already."""
    prctl(Prctl.CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    for bit, name in enumerate(NAMES):
        if bits >> bit & 1:
            prctl(Prctl.CAP_AMBIENT, _AMBIENT_RAISE, bit, what=name)


def _get() -> tuple[int, int, int]:
    data = _Data()
    result = raw("capget", ctypes.byref(_Header(_VERSION_3, 0)), ctypes.byref(data))
    check(result, "capget")
    return (data[0] | data[3] << 32, data[1] | data[4] << 32, data[2] | data[5] << 32)
