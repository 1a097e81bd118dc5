"""An engine that somebody else started, known by its socket alone."""

from __future__ import annotations

from pathlib import Path

from lab.http import ping
from lab.shell import LabError


class External:
    """Any engine with Docker's API; it is neither started nor ended here."""

    def __init__(self, socket: Path) -> None:
        self.name = "external"
        self.socket = socket
        self.root = Path("/nonexistent/the-root-of-an-external-engine-is-not-known")
        self.cgroup = "the-cgroup-of-an-external-engine-is-not-known"
        self.netns: Path | None = None

    @property
    def pid(self) -> int:
        """0: the daemon is not ours."""
        return 0

    def up(self) -> None:
        """Raise LabError unless the engine answers."""
        if not ping(self.socket):
            raise LabError(f"no engine answers on {self.socket}")

    def kill(self) -> None:
        """Refuse: the daemon is not ours to kill."""
        raise LabError("an external engine is not killed: run this scenario on docker or lading")

    def start(self) -> None:
        """Check that it still answers."""
        self.up()

    def down(self) -> None:
        """Leave it running."""
