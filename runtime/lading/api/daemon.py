"""`ladingd`: the daemon's entry, which forks the spawner before anything large is imported."""

from __future__ import annotations

import os
import sys

from lading.api.options import parse
from lading.errors import InvalidParameter, LadingError
from lading.oci.protect import execute_from_readonly_mount


def main() -> None:
    """Run the daemon and exit with its status; what it forks is out of containers' reach."""
    execute_from_readonly_mount()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the daemon until it is told to end; returns its exit status.

    1 for a start that failed, 2 for a command line or configuration that cannot be.
    """
    try:
        options = parse(arguments)
        require_root()
        from lading.shim.spawner import fork_spawner

        spawner = fork_spawner()
        from lading.api.service import serve

        serve(options, spawner)
    except LadingError as error:
        print(f"ladingd: {error.message}", file=sys.stderr)
        return 2 if isinstance(error, InvalidParameter) else 1
    return 0


def require_root() -> None:
    """Raise LadingError for anybody else: containers are made of what only root may do."""
    if os.geteuid() != 0:
        raise LadingError("ladingd needs root: run it as sudo ladingd")


if __name__ == "__main__":
    main()
