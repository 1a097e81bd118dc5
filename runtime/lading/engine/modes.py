"""Namespace modes as HostConfig writes them: `host`, `private`, `container:<id>`, a network."""

from __future__ import annotations

NONE = "none"
HOST = "host"
BRIDGE = "bridge"
PRIVATE = "private"
SHAREABLE = "shareable"
_CONTAINER = "container:"


def container_of(mode: str) -> str | None:
    """Give the container whose namespace a mode joins, None for any other mode."""
    return mode.removeprefix(_CONTAINER) if mode.startswith(_CONTAINER) else None


def is_user_defined(network_mode: str) -> bool:
    """Tell whether a network mode names a network that somebody created."""
    return (
        network_mode not in ("", "default", NONE, HOST, BRIDGE)
        and container_of(network_mode) is None
    )
