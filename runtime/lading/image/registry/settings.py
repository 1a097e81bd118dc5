"""Where a registry is reached and whom it is to trust: endpoints, mirrors, certificates, logins."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lading.image.reference import DEFAULT_DOMAIN, Reference

CERTIFICATE_DIRECTORIES = (Path("/etc/lading/certs.d"), Path("/etc/docker/certs.d"))
_HUB = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login: a name and a password, or an identity token in the password's place."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.username or self.identity_token or self.registry_token)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One base URL to try for a registry; without `verify` its certificate may be anyone's."""

    url: str
    host: str
    verify: bool
    mirror: bool = False


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """The daemon's registry options.

    `insecure` holds hosts (with or without a port) and CIDR networks; `mirrors` base URLs that
    stand in for Docker Hub when pulling. `patience` is how many seconds a registry may be silent,
    `pause` how many pass before a failed request is made again the first time.
    """

    insecure: Sequence[str] = ()
    mirrors: Sequence[str] = ()
    patience: float = 60.0
    pause: float = 0.5
    certificates: Sequence[Path] = CERTIFICATE_DIRECTORIES

    def endpoints(self, reference: Reference, *, pull: bool) -> Iterator[Endpoint]:
        """The endpoints to try for `reference`, in order."""
        host = reference.domain
        if host == DEFAULT_DOMAIN:
            for mirror in self.mirrors if pull else ():
                bare = mirror.partition("://")[2].rstrip("/")
                yield Endpoint(mirror.rstrip("/"), bare, not self.is_insecure(bare), mirror=True)
            host = _HUB
        insecure = self.is_insecure(host)
        yield Endpoint(f"https://{host}", host, verify=not insecure)
        if insecure:
            yield Endpoint(f"http://{host}", host, verify=False)

    def is_insecure(self, host: str) -> bool:
        """Whether `host[:port]` may answer over plain HTTP or with an unknown certificate.

        Loopback always may, as with Docker.
        """
        name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
        if name == "localhost" or host in self.insecure or name in self.insecure:
            return True
        try:
            address = ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return address.is_loopback or any(_in_network(address, one) for one in self.insecure)

    def certificate_files(self, host: str) -> tuple[list[Path], list[tuple[Path, Path]]]:
        """The CA files, and the (certificate, key) pairs of clients, kept for `host`."""
        authorities: list[Path] = []
        clients: list[tuple[Path, Path]] = []
        for directory in self.certificates:
            authorities += sorted((directory / host).glob("*.crt"))
            certificates = sorted((directory / host).glob("*.cert"))
            clients += [(path, path.with_suffix(".key")) for path in certificates]
        return authorities, clients


def _in_network(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
