"""Networks and endpoints on disk: one JSON file each, written atomically."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from lading.files import TEMPORARY, explaining, write_atomically
from lading.network.model import Endpoint, Network

Record = TypeVar("Record", Network, Endpoint)


class Store:
    """The files below *root*: `networks/<id>.json` and `endpoints/<id>.json`."""

    def __init__(self, root: Path) -> None:
        self._networks = root / "networks"
        self._endpoints = root / "endpoints"
        for directory in (self._networks, self._endpoints):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def networks(self) -> list[Network]:
        """Read all networks; a file that is no such record is left alone and not given."""
        return list(_records(self._networks, Network))

    def endpoints(self) -> list[Endpoint]:
        """Read all endpoints."""
        return list(_records(self._endpoints, Endpoint))

    def save_network(self, network: Network) -> None:
        """Write a network, so that it is there after a crash of the machine, too."""
        with explaining(f"write the record of network {network.name}"):
            write_atomically(self._networks / f"{network.id}.json", msgspec.json.encode(network))

    def save_endpoint(self, endpoint: Endpoint) -> None:
        """Write an endpoint; it ends with the machine, so it is not forced to disk."""
        path = self._endpoints / f"{endpoint.id}.json"
        with explaining("write the record of a network's endpoint"):
            write_atomically(path, msgspec.json.encode(endpoint), durable=False)

    def forget_network(self, network_id: str) -> None:
        """Remove a network's file."""
        with suppress(FileNotFoundError):
            (self._networks / f"{network_id}.json").unlink()

    def forget_endpoint(self, endpoint_id: str) -> None:
        """Remove an endpoint's file."""
        with suppress(FileNotFoundError):
            (self._endpoints / f"{endpoint_id}.json").unlink()


def _records(directory: Path, kind: type[Record]) -> Iterator[Record]:
    for path in sorted(directory.iterdir()):
        if path.name.startswith(TEMPORARY):
            path.unlink(missing_ok=True)
        elif path.suffix == ".json":
            with suppress(msgspec.DecodeError):
                yield msgspec.json.decode(path.read_bytes(), type=kind)
