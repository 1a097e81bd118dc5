"""What engines leave on a host: mounts, cgroups, interfaces, rules, namespaces, processes.

A snapshot before and one after show what a run left behind.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from lab import netns

_MARK = "lading"

Snapshot = Mapping[str, frozenset[str]]


def snapshot() -> Snapshot:
    """What of the host engines change, by kind."""
    return {kind: frozenset(look()) for kind, look in _KINDS.items()}


def left_behind(before: Snapshot, after: Snapshot) -> list[str]:
    """One sentence for each thing that is there now and was not."""
    return [
        f"{kind} left behind: {name}"
        for kind, now in after.items()
        for name in sorted(now - before[kind])
    ]


def _mounts() -> Iterable[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        yield line.split()[4]


def _cgroups() -> Iterable[str]:
    """Those with our mark in their name: by that alone, as each may be in many hierarchies."""
    for _directory, children, _files in os.walk("/sys/fs/cgroup"):
        yield from (name for name in children if _MARK in name)


def _interfaces() -> Iterable[str]:
    return os.listdir("/sys/class/net")


def _namespaces() -> Iterable[str]:
    with suppress(FileNotFoundError):
        return os.listdir("/run/netns")
    return []


def _rules() -> Iterable[str]:
    done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True)
    return done.stdout.splitlines()


def _processes() -> Iterable[str]:
    """Daemons, shims and what runs out of engines' directories, not those who ran us."""
    marks = (b"/ladingd", b"lading-lab/", b"lading-reference/", b"lading-demo/", b"lading-shim")
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            words = Path(f"/proc/{name}/cmdline").read_bytes()
            if any(mark in words for mark in marks) and b"pytest" not in words:
                yield f"{name} {words.replace(bytes(1), b' ').decode(errors='replace')[:120]}"


def _settings() -> Iterable[str]:
    yield f"net.ipv4.ip_forward={netns.forwarding()}"


_KINDS: Mapping[str, Callable[[], Iterable[str]]] = {
    "mount": _mounts,
    "cgroup": _cgroups,
    "interface": _interfaces,
    "network namespace": _namespaces,
    "nftables table": _rules,
    "process": _processes,
    "setting": _settings,
}
