"""The sockets that the API is served on: `unix://PATH`, `tcp://HOST:PORT` and `fd://`."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from lading.api.notify import passed_sockets
from lading.errors import InvalidParameter, LadingError

GROUP = "docker"
"""Members of this group may use the socket, where the group exists."""

BACKLOG = 128


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; `path` for unix sockets, `host` and `port` for TCP."""

    scheme: str
    path: str = ""
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `-H` takes; raises InvalidParameter for anything else."""
        scheme, separator, rest = text.partition("://")
        if separator and scheme == "unix" and rest.startswith("/"):
            return cls("unix", path=rest)
        if separator and scheme == "fd":
            return cls("fd")
        if separator and scheme == "tcp":
            with contextlib.suppress(ValueError):
                parts = urlsplit(text)
                if parts.port and not parts.path:
                    return cls("tcp", host=parts.hostname or "", port=parts.port)
        raise InvalidParameter(
            f"cannot listen on {text!r}: give unix:///PATH, tcp://HOST:PORT or fd://"
        )

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix://{self.path}"
        if self.scheme == "tcp":
            host = f"[{self.host}]" if ":" in self.host else self.host
            return f"tcp://{host}:{self.port}"
        return "fd://"


class Listeners:
    """Listening sockets; unix ones appear at their path only when the daemon is ready."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self._hidden: list[tuple[Path, Path]] = []
        self._shown: list[tuple[Path, int]] = []

    def open(self, addresses: list[Address]) -> None:
        """Listen on every address; on a failure none stays open. Raises LadingError.

        Unix sockets have a name beside their own until `show`, so that nobody connects before the
        daemon is ready, and a stale socket is replaced in one step.
        """
        try:
            for address in addresses:
                if address.scheme == "unix":
                    self._open_unix(Path(address.path))
                elif address.scheme == "tcp":
                    self._open_tcp(address)
                else:
                    self._take_passed()
        except BaseException:
            self.close()
            raise

    def show(self) -> None:
        """Give unix sockets their name: the daemon is ready. Raises LadingError."""
        while self._hidden:
            fresh, path = self._hidden.pop()
            inode = fresh.stat().st_ino
            try:
                fresh.rename(path)
            except OSError as error:
                fresh.unlink()
                raise _refusal(f"unix://{path}", error) from None
            self._shown.append((path, inode))

    def close(self) -> None:
        """Stop listening and remove the unix sockets that are still ours."""
        for listener in self.sockets:
            listener.close()
        self.sockets.clear()
        for fresh, _ in self._hidden:
            fresh.unlink(missing_ok=True)
        self._hidden.clear()
        for path, inode in self._shown:
            with contextlib.suppress(OSError):
                if path.stat().st_ino == inode:
                    path.unlink()
        self._shown.clear()

    def _open_unix(self, path: Path) -> None:
        refuse_if_served(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            fresh.unlink(missing_ok=True)
            listener.bind(str(fresh))
            os.chown(fresh, 0 if os.geteuid() == 0 else -1, _group_id())
            fresh.chmod(0o660)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            fresh.unlink(missing_ok=True)
            raise _refusal(f"unix://{path}", error) from None
        self.sockets.append(listener)
        self._hidden.append((fresh, path))

    def _open_tcp(self, address: Address) -> None:
        try:
            found = socket.getaddrinfo(
                address.host or None,
                address.port,
                type=socket.SOCK_STREAM,
                flags=socket.AI_PASSIVE,
            )
            family, kind, protocol, _, where = found[0]
            listener = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
        except OSError as error:
            raise _refusal(str(address), error) from None
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            raise _refusal(str(address), error) from None
        self.sockets.append(listener)

    def _take_passed(self) -> None:
        passed = passed_sockets()
        if not passed:
            raise LadingError(
                "cannot listen on fd://: the service manager passed no socket (LISTEN_FDS)"
            )
        self.sockets.extend(passed)


def refuse_if_served(path: Path) -> None:
    """Raise LadingError if somebody accepts connections on a unix socket; a stale one is fine."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except OSError as error:
            if error.errno != errno.EAGAIN:
                return
    raise LadingError(f"another daemon already serves unix://{path}; give this one another -H")


def _refusal(address: str, error: OSError) -> LadingError:
    return LadingError(f"cannot listen on {address}: {error.strerror or error}")


def _group_id() -> int:
    """Return the id of the group that may use the socket, -1 to leave it where there is none."""
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return -1
