"""TLS to a daemon on TCP, with the certificates where Docker's users keep them."""

from __future__ import annotations

import os
import ssl
from socket import socket

from lading.cli.failures import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from lading.cli.client.sockets import Stream


def wrapper(settings: dict[str, Any]) -> Callable[[Stream, str], Stream]:
    """Make the function that puts TLS on a connected socket.

    `settings` may name `ca`, `cert` and `key` files; without, they are ca.pem, cert.pem and key.pem
    in DOCKER_CERT_PATH or ~/.docker. With `verify`, the daemon's certificate is checked.
    """
    directory = os.environ.get("DOCKER_CERT_PATH") or os.path.expanduser("~/.docker")

    def path(name: str) -> str:
        return settings.get(name) or os.path.join(directory, f"{name}.pem")

    context = ssl.create_default_context()
    if settings.get("verify"):
        _load(path("ca"), context.load_verify_locations, path("ca"))
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if os.path.exists(path("cert")) or settings.get("cert"):
        _load(path("cert"), context.load_cert_chain, path("cert"), path("key"))

    def secure(sock: Stream, host: str) -> Stream:
        plain = socket(fileno=sock.detach())  # type: ignore[attr-defined]
        try:
            return context.wrap_socket(plain, server_hostname=host)
        except ssl.SSLError as error:
            raise CliError(
                f"error during connect: TLS with {host} failed: {error.reason}"
            ) from None

    return secure


def _load(path: str, load: Callable[..., Any], *args: str) -> None:
    try:
        load(*args)
    except OSError as error:
        reason = error.strerror or str(error)
        raise CliError(f"could not read the TLS certificate {path}: {reason}") from None
