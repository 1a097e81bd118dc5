"""Real Docker, the reference: out of a Debian tree, beside whatever this machine has.

The daemon has its tree as its root, in a mount and a network namespace of its own; its
socket, state and the directories that tests bind are at the same paths inside and outside.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab import cgroups
from lab.daemon import Daemon
from lab.netns import Uplink
from lab.shell import LabError, alive, end
from lab.trees import Tree, ensure

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
_SHARED = ("/tmp", "/var/tmp")
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


class Reference(Daemon):
    """One running reference engine; `up` and `down` may be called whatever the state."""

    def __init__(self, release: str = NEWEST, name: str = "ref") -> None:
        self.tree = tree_of(release)
        self.name = "docker"
        self.release = RELEASES[release]
        self.title = f"Docker {release}"
        self._kept = name == "ref"
        digits = release.replace(".", "")
        self.uplink = Uplink(f"{name}{digits}")
        self.run_directory = Path(f"/run/lading-reference/{name}-{release}")
        self.root = Path(f"/var/lib/lading-reference/{name}-{release}")
        self.socket = self.run_directory / "docker.sock"
        self.log = self.run_directory / "dockerd.log"
        self.cgroup = f"lading-{name}{digits}"
        self.pidfile = self.run_directory / "docker.pid"
        self._holder = self.run_directory / "mounts.pid"

    @property
    def host(self) -> str:
        """What DOCKER_HOST is set to."""
        return f"unix://{self.socket}"

    def up(self) -> None:
        """Bring the engine up, making its tree first if need be.

        Raises LabError with the daemon's last words when it does not come up.
        """
        ensure(self.tree)
        super().up()

    def start(self) -> None:
        """Start the daemon where its namespaces already are, and wait until it answers."""
        shutil.copyfile("/etc/resolv.conf", self.tree.path / "etc/resolv.conf")
        self.pidfile.unlink(missing_ok=True)
        namespace = f"--mount=/proc/{self._mounts_holder(self.tree.path)}/ns/mnt"
        self.launch([*self.uplink.enter(), "nsenter", namespace, "--", *self._daemon()], 60)

    def _mounts_holder(self, tree: Path) -> int:
        """The pid of a process that keeps the mount namespace while daemons come and go."""
        with suppress(OSError, ValueError):
            pid = int(self._holder.read_text())
            if alive(pid):
                return pid
        for directory in (self.run_directory, self.root, *map(Path, _SHARED)):
            directory.mkdir(parents=True, exist_ok=True)
            (tree / str(directory)[1:]).mkdir(parents=True, exist_ok=True)
        holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation=private", "sh", "-c", self._script(tree)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert holder.stdout is not None
        with holder.stdout:
            if holder.stdout.readline() != b"ready\n":
                raise LabError(f"the mounts for Docker {self.release.docker} could not be made")
        self._holder.write_text(str(holder.pid))
        return holder.pid

    def down(self) -> None:
        """End the engine and remove what it left on the host.

        The state of the engine that people start by hand, `ref`, stays for the next time.
        """
        if self.pid:
            end(self.pid, 30)
        self.reap()
        cgroups.remove(self.cgroup)
        for pid in self._processes():
            end(pid, 2)
        with suppress(OSError, ValueError):
            end(int(self._holder.read_text()), 2)
        self.uplink.down()
        shutil.rmtree(self.run_directory, ignore_errors=True)
        if not self._kept:
            shutil.rmtree(self.root, ignore_errors=True)
        with suppress(OSError):
            self.run_directory.parent.rmdir()

    def _processes(self) -> list[int]:
        """The daemons and shims that have this engine's directories in their command line.

        A shim whose containerd has gone does not end when its container does.
        """
        marks = (f"{self.run_directory}/".encode(), f"{self.root}/".encode())
        found: list[int] = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError):
                kind = Path(f"/proc/{name}/comm").read_text()
                words = Path(f"/proc/{name}/cmdline").read_bytes()
                if kind.startswith(("dockerd", "containerd")) and any(m in words for m in marks):
                    found.append(int(name))
        return found

    def _script(self, tree: Path) -> str:
        binds = [str(self.run_directory), str(self.root), *_SHARED]
        lines = [
            "set -e",
            f"mount --bind {tree} {tree}",
            f"mount -t proc proc {tree}/proc",
            f"mount --rbind /sys {tree}/sys",
            f"mount --rbind /dev {tree}/dev",
            *(f"mount --rbind {path} {tree}{path}" for path in binds),
            # A chroot would not do: runc's pivot_root wants the namespace's own root.
            f"cd {tree}",
            "mkdir -p old-root",
            "pivot_root . old-root",
            "umount --lazy /old-root",
            "echo ready",
            "exec sleep infinity > /dev/null",
        ]
        return "\n".join(lines)

    def _daemon(self) -> list[str]:
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
