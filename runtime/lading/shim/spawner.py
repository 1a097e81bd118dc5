"""The spawner: a small single-threaded process that forks a shim per container.

`ladingd` calls `fork_spawner` first of all, before it imports the engine or starts a loop, so that what is forked stays small.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class SpawnerHandle:
    """The daemon's hold of its spawner: its pid, and the SOCK_SEQPACKET connection to it."""

    pid: int
    sock: socket.socket


def fork_spawner() -> SpawnerHandle:
    """Fork the spawner; to be called by a process that has neither threads nor an event loop yet."""
    raise NotImplementedError
