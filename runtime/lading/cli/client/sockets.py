"""Find the daemon and connect to it.

The sockets are those of the C module `_socket`: what `socket` adds to it is not needed, and costs 7
ms to import.
"""

from __future__ import annotations

import os
from _socket import AF_INET, AF_INET6, AF_UNIX, IPPROTO_TCP, SOCK_STREAM, TCP_NODELAY, getaddrinfo
from _socket import error as socket_error
from _socket import socket as raw_socket

from lading.cli.failures import CliError, NoDaemon

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Stream(Protocol):
        """What the client needs of a socket: plain, or with TLS on it."""

        def recv(self, size: int, /) -> bytes:
            """Receive up to `size` bytes, none at the end."""
            ...

        def send(self, data: bytes | memoryview, /) -> int:
            """Send some of the data; gives how much."""
            ...

        def sendall(self, data: bytes | memoryview, /) -> None:
            """Send all of the data."""
            ...

        def shutdown(self, how: int, /) -> None:
            """Close one direction."""
            ...

        def setblocking(self, flag: bool, /) -> None:
            """Choose whether calls wait."""
            ...

        def fileno(self) -> int:
            """Give the descriptor."""
            ...

        def close(self) -> None:
            """Close the socket."""
            ...


DEFAULT_HOST = "unix:///run/lading/lading.sock"
HTTP_PORT, TLS_PORT = 2375, 2376
CLOSE_ON_EXEC = 0o2000000


class Address:
    """Where the daemon listens: a unix socket's path, a host and a port, or neither for ssh."""

    __slots__ = ("host", "path", "port", "text")

    def __init__(self, text: str, *, path: str = "", host: str = "", port: int = 0) -> None:
        self.text = text
        self.path = path
        self.host = host
        self.port = port

    @property
    def is_default(self) -> bool:
        """Tell whether this is the socket that a daemon of root's would listen on."""
        return self.text == DEFAULT_HOST


def choose(given: str) -> str:
    """Choose the daemon's address: `-H`, then LADING_HOST, then DOCKER_HOST, then the default."""
    for text in (given, os.environ.get("LADING_HOST"), os.environ.get("DOCKER_HOST")):
        if text:
            return text
    return DEFAULT_HOST


def parse_address(text: str, *, tls: bool = False) -> Address:
    """Read `unix:///path`, `tcp://host:port`, `http(s)://…` or a bare host; raises CliError."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = ("unix", text) if text.startswith("/") else ("tcp", text)
    if scheme == "unix":
        return Address(text, path=rest or DEFAULT_HOST.partition("://")[2])
    if scheme == "ssh":
        return Address(text)
    if scheme in ("tcp", "http", "https"):
        rest = rest.partition("/")[0]
        host, port = _split_port(rest)
        default = TLS_PORT if tls or scheme == "https" else HTTP_PORT
        if port and not port.isdigit():
            raise CliError(f"invalid port {port!r} in the daemon's address {text!r}")
        return Address(text, host=host or "127.0.0.1", port=int(port or default))
    raise CliError(
        f"the daemon's address {text!r} is of a kind that lading does not speak; "
        "use unix:///path, tcp://host:port or ssh://user@host"
    )


def _split_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":")
    if text.count(":") > 1:
        return text, ""
    host, _, port = text.partition(":")
    return host, port


def connect(address: Address) -> Stream:
    """Open a connection; raises NoDaemon where nothing listens, CliError for other trouble."""
    if address.path:
        return _connect_unix(address)
    if not address.host:
        from lading.cli.client import ssh

        return ssh.connect(address.text)
    try:
        found = getaddrinfo(address.host, address.port, 0, SOCK_STREAM)
    except socket_error as error:
        raise CliError(f"error during connect: lookup {address.host}: {error.args[-1]}") from None
    failure: OSError | None = None
    for family, kind, protocol, _, target in found:
        if family not in (AF_INET, AF_INET6):
            continue
        sock = raw_socket(family, kind | CLOSE_ON_EXEC, protocol)
        try:
            sock.connect(target)
            sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    refused = failure is None or isinstance(failure, ConnectionRefusedError)
    raise NoDaemon(address.text, "" if refused else str(failure))


def _connect_unix(address: Address) -> Stream:
    sock = raw_socket(AF_UNIX, SOCK_STREAM | CLOSE_ON_EXEC)
    try:
        sock.connect(address.path)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        sock.close()
        raise NoDaemon(address.text) from None
    except PermissionError:
        sock.close()
        raise CliError(
            "permission denied while trying to connect to the Lading daemon socket at "
            f"{address.text}: be root, or a member of the socket's group"
        ) from None
    except OSError as error:
        sock.close()
        raise NoDaemon(address.text, error.strerror or str(error)) from None
    return sock
