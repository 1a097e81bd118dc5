"""The engine's way to networks: make and remove them, connect and disconnect containers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from lading.network.model import (
    Endpoint,
    EndpointRequest,
    Network,
    NetworkOptions,
    NetworkRequest,
)


class NetworkManager:
    """All networks and endpoints of one daemon, kept under *root* (ROOT/network).

    Every method does its work before it returns, in a few milliseconds; none awaits. Safe to call
    from several threads. Failures raise a LadingError with Docker's status and words, and leave
    nothing behind.
    """

    def __init__(self, root: Path, options: NetworkOptions | None = None) -> None:
        raise NotImplementedError

    def start(self, running: Mapping[str, int]) -> list[str]:
        """Take over what an earlier daemon left, and make the default network ready.

        *running* are the containers that still run (id → pid of their init): their endpoints and
        published ports are kept; those of others are removed. Gives warnings for the log.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """Let go of sockets; remove bridges and rules if no endpoint is left, else keep them."""
        raise NotImplementedError

    def create(self, request: NetworkRequest) -> Network:
        """Make a network. Raises Conflict (name), InvalidParameter, Forbidden (pool), NotFound
        (driver), each in Docker's words.
        """
        raise NotImplementedError

    def get(self, reference: str) -> Network:
        """Find a network by full id, name, or unique id prefix, in this order.

        Raises NotFound "network X not found".
        """
        raise NotImplementedError

    def list(self) -> list[Network]:
        """Give all networks, by name."""
        raise NotImplementedError

    def endpoints(self, network_id: str) -> list[Endpoint]:
        """Give the endpoints in a network."""
        raise NotImplementedError

    def endpoints_of(self, container_id: str) -> list[Endpoint]:
        """Give a container's endpoints, by interface name."""
        raise NotImplementedError

    def remove(self, reference: str) -> Network:
        """Remove a network and give what it was. Raises NotFound; Forbidden for predefined ones
        and while endpoints are in it.
        """
        raise NotImplementedError

    def prune(self, keep: Collection[str] = ()) -> list[str]:
        """Remove all networks of users without endpoints, but those with an id in *keep*; names."""
        raise NotImplementedError

    def connect(self, reference: str, request: EndpointRequest) -> Endpoint:
        """Connect a container's network namespace to a network, and publish its ports.

        In `none` and `host` it gets an endpoint without interface; `none` brings `lo` up.
        Raises NotFound, Forbidden ("Address already in use"), LadingError (a port is taken:
        Docker's "Bind for 0.0.0.0:80 failed: port is already allocated").
        """
        raise NotImplementedError

    def disconnect(self, endpoint_id: str, *, pid: int = 0) -> None:
        """Undo `connect`; an endpoint that is gone already is fine.

        *pid* is the container's init when it goes on running: its interface is removed then. Without
        it the kernel removes the interface together with the namespace, which is quicker.
        """
        raise NotImplementedError

    def rename(self, container_id: str, name: str) -> None:
        """Give the container's endpoints its new name, also among their DNS names."""
        raise NotImplementedError
