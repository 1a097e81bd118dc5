"""The files that tell a container its names and name servers: hosts, resolv.conf, hostname."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def hosts(
    entries: Iterable[tuple[str, str]] = (),
    extra: Iterable[tuple[str, str]] = (),
) -> str:
    """Build /etc/hosts: *entries* are the container's own (address, names), *extra* --add-host's."""
    raise NotImplementedError


def resolv_conf(
    host_text: str,
    *,
    servers: Sequence[str] = (),
    search: Sequence[str] = (),
    options: Sequence[str] = (),
    internal: bool = False,
    legacy: bool = True,
) -> str:
    """Build /etc/resolv.conf from the host's, with what the user or daemon gave in its place.

    *internal* is for user-defined networks: the name server is 127.0.0.11 and the others are
    where it forwards to.
    """
    raise NotImplementedError


def hostname(name: str) -> str:
    """Build /etc/hostname."""
    raise NotImplementedError
