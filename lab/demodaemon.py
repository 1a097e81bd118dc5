"""The daemon of the demonstration: on this host itself, and away again afterwards."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from lab import cgroups
from lab.daemon import Daemon
from lab.paths import program
from lab.shell import LabError, end

_RUN = Path("/run/lading-demo")
SOCKET = _RUN / "lading.sock"
_BRIDGE = "lading-demo0"
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


class DemoDaemon(Daemon):
    """A `ladingd` in the host's own network namespace."""

    def __init__(self) -> None:
        self.name = "lading"
        self.title = "ladingd"
        self.run_directory = _RUN
        self.root = Path("/var/lib/lading-demo")
        self.socket = SOCKET
        self.log = Path("/run/lading-demo.log")
        self.pidfile = _RUN / "lading.pid"
        self.cgroup = "lading-demo"
        self._forwarded = ""

    @property
    def netns(self) -> Path | None:
        """None: the host's."""
        return None

    def up(self) -> None:
        """Start it with an empty state. Raises LabError, also when another one runs."""
        if self.answers():
            raise LabError(f"a demonstration is already going on at {self.socket}")
        self._clear()
        # The daemon lets this host forward packets, as Docker does; `down` puts that back.
        self._forwarded = _FORWARD.read_text()
        self.start()

    def start(self) -> None:
        """Start the daemon and wait until it answers. Raises LabError."""
        self.run_directory.mkdir(parents=True, exist_ok=True)
        command = [
            program("ladingd"),
            f"--root={self.root}",
            f"--run={self.run_directory}",
            f"--host=unix://{self.socket}",
            f"--bridge={_BRIDGE}",
            f"--cgroup-parent=/{self.cgroup}",
            "--live-restore",
        ]
        self.launch(command, 30)

    def down(self) -> None:
        """End it with all it runs, and leave the host as it was."""
        if self.pid:
            end(self.pid, 30)
        self.reap()
        self._clear()
        if self._forwarded and _FORWARD.read_text() != self._forwarded:
            _FORWARD.write_text(self._forwarded)

    def _clear(self) -> None:
        cgroups.remove(self.cgroup)
        # A daemon that ended badly leaves these two; one that ended well has removed them.
        subprocess.run(["ip", "link", "delete", _BRIDGE], capture_output=True)
        table = f"lading-{_BRIDGE}"
        subprocess.run(["nft", "delete", "table", "inet", table], capture_output=True)
        for directory in (self.run_directory, self.root):
            shutil.rmtree(directory, ignore_errors=True)
        self.log.unlink(missing_ok=True)
