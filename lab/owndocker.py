"""Real Docker where it is the machine's own: in a machine of the lab, not beside its tools."""

from __future__ import annotations

from lab.daemon import Daemon
from lab.reference import Reference

OWN = "LADING_OWN_DOCKER"
"""Set in the environment where the reference is the machine's own Docker."""


class OwnDocker(Reference):
    """A reference that runs this machine's own `dockerd`."""

    seconds = 180

    def up(self) -> None:
        """Bring the engine up. Raises LabError with its last words when it does not come up."""
        Daemon.up(self)

    def command(self) -> list[str]:
        """The words that start dockerd, with cgroups that it makes itself: as beside other hosts.

        Where systemd runs it would leave them to systemd, which takes no such parent.
        """
        return [*super().command(), "--exec-opt=native.cgroupdriver=cgroupfs"]

    def start(self) -> None:
        """Start the daemon where its namespace already is, and wait until it answers."""
        for directory in (self.run_directory, self.root):
            directory.mkdir(parents=True, exist_ok=True)
        self._forget_containerd()
        self.pidfile.unlink(missing_ok=True)
        self.launch([*self.uplink.enter(), *self.command()], self.seconds)
