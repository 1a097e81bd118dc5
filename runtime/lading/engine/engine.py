"""The engine: its parts, put together, and its start and end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.engine.containers import Containers
from lading.engine.events import EventBus
from lading.engine.execs import Execs

if TYPE_CHECKING:
    from lading.engine.settings import Settings


class Engine:
    """A container engine on one root and one run directory.

    Built before the event loop runs; `start` opens the stores and takes over what an earlier
    daemon left, `stop` ends (or with live restore leaves) the containers.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.events = EventBus()
        self.containers = Containers()
        self.execs = Execs()

    async def start(self) -> None:
        """Open the stores, find the containers that run, and apply restart policies."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Stop the containers unless live restore is on, and let go of everything."""
        raise NotImplementedError
