"""Further processes in running containers: `docker exec`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lading.engine.attach import Session
    from lading.engine.model import ExecConfig, ExecStartConfig


@dataclass(slots=True)
class Exec:
    """An exec instance; `exit_code` is None until it ended, `pid` 0 unless it runs."""

    id: str
    container_id: str
    config: ExecConfig
    running: bool = False
    exit_code: int | None = None
    pid: int = 0
    can_remove: bool = field(default=False)


class Execs:
    """The exec instances of an engine; they live as long as their container and the daemon."""

    def create(self, ref: str, config: ExecConfig) -> str:
        """Prepare a process in a running container; returns the exec's id."""
        raise NotImplementedError

    async def start(self, exec_id: str, options: ExecStartConfig) -> Session | None:
        """Start it; gives its streams, or None when `options.detach`."""
        raise NotImplementedError

    def get(self, exec_id: str) -> Exec:
        """Find an exec; raises NotFound `No such exec instance: x`."""
        raise NotImplementedError

    async def resize(self, exec_id: str, height: int, width: int) -> None:
        """Set the size of an exec's terminal in characters."""
        raise NotImplementedError
