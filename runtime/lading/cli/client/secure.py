"""TLS to a daemon on TCP, with the certificates where Docker's users keep them."""

from __future__ import annotations

import os
import socket
import ssl

from lading.cli.failures import CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from lading.cli.client.sockets import Stream


class SecureSocket(ssl.SSLSocket):
    """A TLS connection that is used as a plain one: half-closed, and without blocking."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Receive; raises BlockingIOError where a plain socket would, CliError for a refusal."""
        try:
            return super().recv(buflen, flags)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLError as error:
            raise CliError(f"error during connect: the daemon said: {_reason(error)}") from None

    def send(self, data: Any, flags: int = 0) -> int:
        """Send some; raises BlockingIOError where a plain socket would."""
        try:
            return super().send(data, flags)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            raise BlockingIOError from None

    def shutdown(self, how: int) -> None:
        """End our direction by a close_notify, without waiting for the other one to end."""
        if how != socket.SHUT_WR:
            super().shutdown(how)
            return
        self.setblocking(False)
        try:
            self.unwrap()
        except ssl.SSLError:
            # It also wants the other side's close_notify, and finds that, or data, still to come;
            # both are there for `recv`.
            return


def wrapper(settings: dict[str, Any]) -> Callable[[Stream, str], Stream]:
    """Make the function that puts TLS on a connected socket; raises CliError.

    `settings` may name `ca`, `cert` and `key` files; without, they are ca.pem, cert.pem and key.pem
    in DOCKER_CERT_PATH or ~/.docker, the latter two only if they are there. With `verify`, the
    daemon's certificate has to be signed by that CA, and by no other, for the host's name; with
    `public`, by one of those that this machine trusts.
    """
    directory = os.environ.get("DOCKER_CERT_PATH") or os.path.expanduser("~/.docker")

    def path(name: str) -> str:
        return settings.get(name) or os.path.join(directory, f"{name}.pem")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = SecureSocket
    if settings.get("public"):
        context.load_default_certs()
    elif settings.get("verify"):
        _load(path("ca"), context.load_verify_locations, path("ca"))
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.get("cert") or settings.get("key") or os.path.exists(path("cert")):
        _load(path("cert"), context.load_cert_chain, path("cert"), path("key"))

    def secure(sock: Stream, host: str) -> Stream:
        plain = socket.socket(fileno=sock.detach())  # type: ignore[attr-defined]
        try:
            return context.wrap_socket(plain, server_hostname=host)
        except OSError as error:
            plain.close()
            raise CliError(
                f"error during connect: TLS with {host} failed: {_reason(error)}"
            ) from None

    return secure


def _reason(error: OSError) -> str:
    """Put OpenSSL's trouble in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    reason = (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or str(error)
    if reason == "WRONG_VERSION_NUMBER":
        return "it does not speak TLS"
    return reason.lower().replace("_", " ")


def _load(path: str, load: Callable[..., Any], *args: str) -> None:
    try:
        load(*args)
    except OSError as error:
        raise CliError(f"could not read the TLS certificate {path}: {_reason(error)}") from None
