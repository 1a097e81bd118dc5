"""Start an engine in a machine on the state that it has, as after a power cut.

`python3 -m lab.agent.engine lading|docker RELEASE` starts the engine that scenarios use, waits
until it answers, and prints its socket. What it keeps on its disk is not touched first.
"""

from __future__ import annotations

import sys

from lab.daemon import Daemon
from lab.lading import Lading
from lab.owndocker import OwnDocker

SLOT = "scn0"
"""The name under which the runner of scenarios has its engine."""


def main() -> None:
    """Start it."""
    name, release = sys.argv[1:3]
    engine: Daemon = Lading(SLOT) if name == "lading" else OwnDocker(release, SLOT)
    engine.uplink.up()
    if not engine.answers():
        engine.start()
    print(f"unix://{engine.socket}")


if __name__ == "__main__":
    main()
