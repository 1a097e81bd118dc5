"""What every daemon that the lab starts has: a pid file, a log, a way to start and to be killed."""

from __future__ import annotations

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lab.http import ping
from lab.netns import Uplink
from lab.shell import LabError, alive, end, wait_until


class Daemon(ABC):
    """A daemon with Docker's API in a network namespace of its own.

    `title` is what messages call it, `root` its state and `run_directory` its sockets; `cgroup`
    is the cgroup at the top of each hierarchy that its containers are in.
    """

    title: str
    root: Path
    run_directory: Path
    socket: Path
    log: Path
    cgroup: str
    uplink: Uplink
    pidfile: Path
    _process: subprocess.Popen[bytes] | None = None

    @property
    def netns(self) -> Path | None:
        """The network namespace it runs in."""
        return self.uplink.path

    @property
    def pid(self) -> int:
        """The daemon's pid on the host, 0 when it does not run."""
        with suppress(OSError, ValueError):
            pid = int(self.pidfile.read_text())
            return pid if alive(pid) else 0
        return 0

    @abstractmethod
    def start(self) -> None:
        """Start the daemon where its namespaces already are, and wait until it answers."""

    @abstractmethod
    def down(self) -> None:
        """End the engine with all it runs, and leave the host as it was."""

    def up(self) -> None:
        """Bring the engine up where it is not.

        Raises LabError with the daemon's last words when it does not come up.
        """
        if self.answers():
            return
        self.down()
        self.uplink.up()
        try:
            self.start()
        except BaseException:
            self.down()
            raise

    def answers(self) -> bool:
        """Whether the daemon answers `GET /_ping`."""
        return ping(self.socket)

    def kill(self) -> None:
        """`kill -9` of the daemon and of nothing else."""
        pid = self.pid
        if pid:
            os.kill(pid, signal.SIGKILL)
            self.reap()
            wait_until(lambda: not alive(pid), 10, f"the end of {self.title}")

    def reap(self) -> None:
        """Wait for a daemon that we started and that is about to end."""
        if self._process is not None:
            self._process.wait()

    def launch(self, command: Sequence[str], seconds: float) -> None:
        """Start the daemon's command and wait until it answers.

        Raises LabError with the daemon's last words when it ends instead.
        """
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._process = process
        try:
            wait_until(lambda: process.poll() is not None or self.answers(), seconds, self.title)
        except LabError:
            # One that has not said its pid yet is not found by it.
            end(process.pid, 5)
            raise
        if process.poll() is not None:
            raise LabError(f"{self.title} did not start: {self._last_words()}")

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = self.log.read_text(errors="replace").strip().splitlines()
            return lines[-1] if lines else "it wrote nothing"
        return "it wrote nothing"
