"""Lading's own daemon, out of the checkout's environment, in a network namespace of its own."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from lab import cgroups
from lab.daemon import Daemon
from lab.netns import Uplink
from lab.paths import RESULTS, RUN, program
from lab.shell import end, wait_until


class Lading(Daemon):
    """One `ladingd`; `up` and `down` may be called whatever the state."""

    def __init__(self, name: str = "eng") -> None:
        self.name = "lading"
        self.title = "ladingd"
        self.uplink = Uplink(f"l{name}")
        self.run_directory = RUN / name
        self.root = Path(f"/var/lib/lading-lab/{name}")
        self.socket = self.run_directory / "lading.sock"
        self.pidfile = self.run_directory / "lading.pid"
        self.log = RESULTS / "logs" / f"{name}.log"
        self.cgroup = f"lading-l{name}"

    def start(self) -> None:
        """Start the daemon where its namespace already is, and wait until it answers."""
        for directory in (self.run_directory, self.log.parent):
            directory.mkdir(parents=True, exist_ok=True)
        command = [
            *self.uplink.enter(),
            program("ladingd"),
            f"--root={self.root}",
            f"--run={self.run_directory}",
            f"--host=unix://{self.socket}",
            f"--cgroup-parent=/{self.cgroup}",
            "--live-restore",
            "--insecure-registry=10.213.0.0/16",
        ]
        self.launch(command, 30)

    def down(self) -> None:
        """End the engine, its containers and its state, and leave the host as it was."""
        if self.pid:
            end(self.pid, 30)
        self.reap()
        cgroups.remove(self.cgroup)
        self._await_helpers()
        self.uplink.down()
        for directory in (self.run_directory, self.root):
            shutil.rmtree(directory, ignore_errors=True)
        with suppress(OSError):
            self.root.parent.rmdir()

    def _await_helpers(self) -> None:
        """Shims end after their containers; end those that do not."""
        with suppress(Exception):
            wait_until(lambda: not self.helpers(), 5, "the end of the shims")
        for pid in self.helpers():
            end(pid, 2)

    def helpers(self) -> list[int]:
        """The processes that have this engine's directories in their command line."""
        marks = (f"{self.run_directory}/".encode(), f"{self.root}/".encode())
        found: list[int] = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError):
                words = Path(f"/proc/{name}/cmdline").read_bytes()
                if int(name) != os.getpid() and any(mark in words for mark in marks):
                    found.append(int(name))
        return found
