"""Real Docker, the reference: out of a Debian tree, beside whatever this machine has."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lab.netns import Uplink
from lab.shell import LabError, alive, wait_until
from lab.treedaemon import TreeDaemon
from lab.trees import Tree

_PACKAGES = (
    "docker.io",
    "iptables",
    "nftables",
    "ca-certificates",
    "iproute2",
    "kmod",
    "mount",
    "procps",
)
NEWEST = "28.5"


@dataclass(frozen=True, slots=True)
class Release:
    """A Docker release and the Debian release that has it."""

    docker: str
    debian: str
    packages: tuple[str, ...]


RELEASES = {
    "20.10": Release("20.10", "bookworm", _PACKAGES),
    "26.1": Release("26.1", "trixie", (*_PACKAGES, "docker-cli")),
    "28.5": Release("28.5", "forky", (*_PACKAGES, "docker-cli")),
}


def tree_of(release: str) -> Tree:
    """The root file system that a reference runs in. Raises LabError: there is no such release."""
    if release not in RELEASES:
        known = ", ".join(RELEASES)
        raise LabError(f"there is no reference engine {release}: choose one of {known}")
    return Tree(RELEASES[release].debian, RELEASES[release].packages)


class Reference(TreeDaemon):
    """One running reference engine.

    The state of the engine that people start by hand, `ref`, stays for the next time.
    """

    programs: ClassVar[tuple[str, ...]] = ("dockerd", "containerd")

    def __init__(self, release: str = NEWEST, name: str = "ref") -> None:
        self.tree = tree_of(release)
        self.name = "docker"
        self.release = RELEASES[release]
        self.title = f"Docker {release}"
        self.keeps_state = name == "ref"
        digits = release.replace(".", "")
        self.uplink = Uplink(f"{name}{digits}")
        self.run_directory = Path(f"/run/lading-reference/{name}-{release}")
        self.root = Path(f"/var/lib/lading-reference/{name}-{release}")
        self.socket = self.run_directory / "docker.sock"
        self.log = self.run_directory / "dockerd.log"
        self.cgroup = f"lading-{name}{digits}"
        self.pidfile = self.run_directory / "docker.pid"

    def start(self) -> None:
        """Start the daemon where its namespaces already are, and wait until it answers."""
        self._forget_containerd()
        super().start()

    def _forget_containerd(self) -> None:
        """Docker 20.10 takes a zombie for a containerd that runs, and waits for it in vain."""
        record = self.run_directory / "exec" / "containerd" / "containerd.pid"
        with suppress(OSError, ValueError, LabError):
            pid = int(record.read_text())
            wait_until(lambda: not alive(pid), 5, "the end of containerd")
            record.unlink()

    def command(self) -> list[str]:
        """The words that start dockerd."""
        return [
            "dockerd",
            f"--host={self.host}",
            "--group=root",
            f"--data-root={self.root}",
            f"--exec-root={self.run_directory}/exec",
            f"--pidfile={self.pidfile}",
            f"--cgroup-parent=/{self.cgroup}",
            "--live-restore",
            "--insecure-registry=10.213.0.0/16",
        ]

    def describe(self) -> str:
        """One JSON line: release, state, socket, log and network namespace."""
        return json.dumps(
            {
                "release": self.release.docker,
                "up": self.answers(),
                "socket": str(self.socket),
                "log": str(self.log),
                "netns": str(self.uplink.path),
                "cgroup": self.cgroup,
            }
        )
