"""Podman's service, out of a Debian tree: another engine that speaks Docker's API."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from lab.netns import Uplink
from lab.treedaemon import TreeDaemon
from lab.trees import Tree

_TREE = Tree(
    "trixie",
    (
        "podman",
        "golang-github-containers-common",
        "runc",
        "conmon",
        "netavark",
        "aardvark-dns",
        "nftables",
        "iptables",
        "iproute2",
        "procps",
        "mount",
        "ca-certificates",
        "kmod",
    ),
)


class Podman(TreeDaemon):
    """One `podman system service`, with state of its own."""

    programs: ClassVar[tuple[str, ...]] = ("podman", "conmon", "aardvark")
    keeps_state = False

    def __init__(self, name: str = "pod") -> None:
        self.tree = _TREE
        self.name = "podman"
        self.title = "Podman"
        self.uplink = Uplink(f"p{name}")
        self.run_directory = Path(f"/run/lading-reference/podman-{name}")
        self.root = Path(f"/var/lib/lading-reference/podman-{name}")
        self.socket = self.run_directory / "podman.sock"
        self.log = self.run_directory / "podman.log"
        # The name is Podman's own: nothing changes it.
        self.cgroup = "libpod_parent"
        self.pidfile = self.run_directory / "podman.pid"

    def launch(self, command: Sequence[str], seconds: float) -> None:
        """Start it, and keep its pid, which it writes nowhere."""
        super().launch(command, seconds)
        assert self._process is not None
        self.pidfile.write_text(str(self._process.pid))

    def command(self) -> list[str]:
        """The words that start the service, which never ends for want of callers."""
        return [
            "env",
            "PODMAN_IGNORE_CGROUPSV1_WARNING=1",
            "podman",
            f"--root={self.root}",
            f"--runroot={self.run_directory}/storage",
            f"--tmpdir={self.run_directory}/tmp",
            f"--network-config-dir={self.root}/networks",
            "--cgroup-manager=cgroupfs",
            "--events-backend=file",
            # crun, which it prefers, refuses a host with cgroups of both versions.
            "--runtime=runc",
            "system",
            "service",
            "--time=0",
            self.host,
        ]
