"""Lading's own daemon, out of the checkout's environment, in a network namespace of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from lab import cgroups
from lab.http import ping
from lab.netns import Uplink
from lab.paths import program
from lab.shell import LabError, alive, end, wait_until


class Lading:
    """One `ladingd`; `up` and `down` may be called whatever the state."""

    def __init__(self, name: str = "eng") -> None:
        self.name = "lading"
        self.uplink = Uplink(f"l{name}")
        self.netns: Path | None = self.uplink.path
        self.run_directory = Path(f"/run/lading-lab/{name}")
        self.root = Path(f"/var/lib/lading-lab/{name}")
        self.socket = self.run_directory / "lading.sock"
        self.log = Path(f"/run/lading-lab/{name}.log")
        self.cgroup = f"lading-l{name}"
        self.daemon: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The daemon's pid on the host, 0 when it does not run."""
        with suppress(OSError, ValueError):
            pid = int((self.run_directory / "lading.pid").read_text())
            return pid if alive(pid) else 0
        return 0

    def up(self) -> None:
        """Bring the engine up with a state of its own.

        Raises LabError with the daemon's last words when it does not come up.
        """
        if ping(self.socket):
            return
        self.down()
        self.uplink.up()
        try:
            self.start()
        except BaseException:
            self.down()
            raise

    def start(self) -> None:
        """Start the daemon where its namespace already is, and wait until it answers."""
        self.run_directory.mkdir(parents=True, exist_ok=True)
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
        with open(self.log, "ab") as log:
            daemon = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.daemon = daemon
        wait_until(lambda: daemon.poll() is not None or ping(self.socket), 30, "ladingd")
        if daemon.poll() is not None:
            raise LabError(f"ladingd did not start: {self._last_words()}")

    def kill(self) -> None:
        """`kill -9` of the daemon alone."""
        pid = self.pid
        if pid:
            os.kill(pid, signal.SIGKILL)
            if self.daemon is not None:
                self.daemon.wait()
            wait_until(lambda: not alive(pid), 10, "the end of ladingd")

    def down(self) -> None:
        """End the engine, its containers and its state, and leave the host as it was."""
        if self.pid:
            end(self.pid, 30)
        if self.daemon is not None:
            self.daemon.wait()
        cgroups.remove(self.cgroup)
        self.uplink.down()
        for directory in (self.run_directory, self.root):
            shutil.rmtree(directory, ignore_errors=True)
        with suppress(OSError):
            self.root.parent.rmdir()

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = self.log.read_text(errors="replace").strip().splitlines()
            return lines[-1] if lines else "it wrote nothing"
        return "it wrote nothing"
