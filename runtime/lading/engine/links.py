"""Legacy links (`--link`): a container on the default network knows others by aliases.

Kept in HostConfig as Docker shows them: `/other:/container/alias`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lading.engine import modes
from lading.engine.inherited import Finder
from lading.engine.model import Container
from lading.engine.ports import Port, parse_port
from lading.errors import InvalidParameter, LadingError, NotFound


@dataclass(frozen=True, slots=True)
class Link:
    """Another container, running in the default network, and what it is called."""

    alias: str
    owner: str
    other: Container

    @property
    def address(self) -> str:
        """The other's address in the default network."""
        return self.other.network_settings.networks[modes.BRIDGE].ip_address

    @property
    def hosts_entry(self) -> tuple[str, str]:
        """The line of /etc/hosts."""
        names = [self.alias, self.other.config.hostname, self.other.name]
        return self.address, " ".join(dict.fromkeys(names))

    def environment(self) -> Iterator[str]:
        """Give the variables that tell of the other's ports and environment."""
        prefix = self.alias.replace("-", "_").upper()
        ports = sorted(parse_port(port) for port in self.other.config.exposed_ports or {})
        if ports:
            yield f"{prefix}_PORT={self._url(ports[0])}"
        for port in ports:
            name = f"{prefix}_PORT_{port.number}_{port.protocol.upper()}"
            yield f"{name}={self._url(port)}"
            yield f"{name}_ADDR={self.address}"
            yield f"{name}_PORT={port.number}"
            yield f"{name}_PROTO={port.protocol}"
        yield f"{prefix}_NAME=/{self.owner}/{self.alias}"
        for variable in self.other.config.env or ():
            name, equals, value = variable.partition("=")
            if equals and name not in ("HOME", "PATH"):
                yield f"{prefix}_ENV_{name}={value}"

    def _url(self, port: Port) -> str:
        return f"{port.protocol}://{self.address}:{port.number}"


def settled_links(specs: list[str] | None, owner: str, find: Finder) -> list[str] | None:
    """Write links as they are kept; `specs` are `other[:alias]`.

    Raises InvalidParameter for a container that is not there.
    """
    if not specs:
        return specs
    found = []
    for spec in specs:
        ref, _, alias = spec.partition(":")
        try:
            name = find(ref.removeprefix("/")).name
        except (NotFound, InvalidParameter) as error:
            raise InvalidParameter(f"could not get container for {ref}: {error}") from None
        found.append(f"/{name}:/{owner}/{alias.rpartition('/')[2] or name}")
    return found


def active_links(record: Container, find: Finder) -> list[Link]:
    """Look up a container's links; raises LadingError if one of the others does not run."""
    links = []
    for spec in record.host_config.links or ():
        name, _, path = spec.partition(":")
        alias = path.rpartition("/")[2]
        try:
            other = find(name.removeprefix("/"))
        except NotFound:
            # A link ends with the container that it leads to.
            continue
        if not other.running or modes.BRIDGE not in other.network_settings.networks:
            raise LadingError(
                f"Cannot link to a non running container: {name} AS /{record.name}/{alias}"
            )
        links.append(Link(alias, record.name, other))
    return links
