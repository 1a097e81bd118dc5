"""Daemons that are not ours, out of a Debian tree, beside whatever this machine has.

Such a daemon has its tree as its root, in a mount and a network namespace of its own; its
socket, state and the directories that tests bind are at the same paths inside and outside.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from abc import abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from lab import cgroups
from lab.daemon import Daemon
from lab.shell import LabError, alive, end
from lab.trees import Tree, ensure

_SHARED = ("/tmp", "/var/tmp")


class TreeDaemon(Daemon):
    """One daemon out of a tree; `up` and `down` may be called whatever the state.

    `programs` are how the names of its processes begin, `keeps_state` whether its root stays
    for the next time, and `seconds` how long it may take to answer.
    """

    tree: Tree
    programs: ClassVar[tuple[str, ...]]
    keeps_state: bool
    seconds: float = 60

    @property
    def host(self) -> str:
        """What DOCKER_HOST is set to."""
        return f"unix://{self.socket}"

    @abstractmethod
    def command(self) -> list[str]:
        """The words that start the daemon inside its tree."""

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
        words = [*self.uplink.enter(), "nsenter", namespace, "--", *self.command()]
        self.launch(words, self.seconds)

    @property
    def _holder(self) -> Path:
        return self.run_directory / "mounts.pid"

    def _mounts_holder(self, tree: Path) -> int:
        """The pid of a process that keeps the mount namespace while daemons come and go."""
        with suppress(OSError, ValueError):
            pid = int(self._holder.read_text())
            if alive(pid):
                return pid
        for directory in (self.run_directory, self.root, *map(Path, _SHARED)):
            directory.mkdir(parents=True, exist_ok=True)
            (tree / str(directory)[1:]).mkdir(parents=True, exist_ok=True)
        # It outlives the caller, whose reader would wait for the end of an inherited stream.
        with open(self.log, "ab") as log:
            holder = subprocess.Popen(
                ["unshare", "--mount", "--propagation=private", "sh", "-c", self._script(tree)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert holder.stdout is not None
        with holder.stdout:
            if holder.stdout.readline() != b"ready\n":
                raise LabError(f"the mounts for {self.title} could not be made: see {self.log}")
        self._holder.write_text(str(holder.pid))
        return holder.pid

    def down(self) -> None:
        """End the engine and remove what it left on the host, its state unless that is kept."""
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
        if not self.keeps_state:
            shutil.rmtree(self.root, ignore_errors=True)
        with suppress(OSError):
            self.run_directory.parent.rmdir()

    def _processes(self) -> list[int]:
        """Its helpers, by this engine's directories in their command line.

        A shim whose containerd has gone does not end when its container does.
        """
        marks = (f"{self.run_directory}/".encode(), f"{self.root}/".encode())
        found: list[int] = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError):
                kind = Path(f"/proc/{name}/comm").read_text()
                words = Path(f"/proc/{name}/cmdline").read_bytes()
                if kind.startswith(self.programs) and any(mark in words for mark in marks):
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
