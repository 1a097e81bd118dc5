"""What the lab wants of an engine under test, whichever it is."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Engine(Protocol):
    """A running container engine with Docker's API, in a network namespace of its own.

    `name` is `docker`, `lading` or what a user called it; `root` its state directory; `cgroup`
    the name of the cgroup at the top of the hierarchies that its containers are in; `netns` the
    network namespace it runs in (None: the host's).
    """

    name: str
    socket: Path
    root: Path
    cgroup: str

    @property
    def netns(self) -> Path | None:
        """The network namespace it runs in."""
        ...

    @property
    def pid(self) -> int:
        """The daemon's pid on the host; 0 when it does not run or is not ours."""
        ...

    def up(self) -> None:
        """Bring it up, and wait until it answers."""
        ...

    def kill(self) -> None:
        """`kill -9` of the daemon alone."""
        ...

    def start(self) -> None:
        """Start the daemon again after `kill`."""
        ...

    def down(self) -> None:
        """End it with everything it runs, and leave the host as it was."""
        ...
