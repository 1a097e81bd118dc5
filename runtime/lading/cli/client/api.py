"""The Engine API as commands use it: versioned paths, JSON, streams and hijacked connections."""

from __future__ import annotations

import os

from lading.cli import fastjson
from lading.cli.client.http import Connection, Response
from lading.cli.client.sockets import Address, connect
from lading.cli.failures import ApiError, CliError, NoDaemon

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from lading.cli.client.sockets import Stream

#: The version of the API that these commands are written for.
API_VERSION = "1.51"
TOO_NEW = "Maximum supported API version is "
HIJACK = {"Connection": "Upgrade", "Upgrade": "tcp"}
SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~/:@,")


def quote(text: str, safe: frozenset[str] = SAFE) -> str:
    """Escape text for a path or a query."""
    return "".join(c if c in safe else "".join(f"%{b:02X}" for b in c.encode()) for c in text)


def query(values: dict[str, Any]) -> str:
    """Encode query parameters.

    Empty ones are left out, lists repeat, mappings become JSON, switches 1.
    """
    pairs: list[str] = []
    for name, value in values.items():
        if value is None or value is False or value == "" or value in ([], {}):
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                item = fastjson.dumps(item)  # noqa: PLW2901
            shown = "1" if item is True else quote(str(item))
            pairs.append(f"{name}={shown}")
    return "?" + "&".join(pairs) if pairs else ""


class Client:
    """A daemon to talk to; connections are opened when needed and used again.

    No round trip is spent on asking for the daemon's version: the newest is tried, and the daemon's
    own taken when it says that it is older. Only what cannot be sent twice (a hijacked connection,
    a stream) asks first.
    """

    def __init__(self, address: Address, *, start: Callable[[Address], None] | None = None) -> None:
        self.address = address
        self.version = os.environ.get("DOCKER_API_VERSION", "").lstrip("v") or API_VERSION
        self._fixed = self.version if "DOCKER_API_VERSION" in os.environ else ""
        self._settled = bool(self._fixed)
        self._idle: Connection | None = None
        self._start = start
        self.secure: Callable[[Stream, str], Stream] | None = None
        self.extra_headers: dict[str, str] = {}

    def _connection(self) -> Connection:
        if self._idle:
            connection, self._idle = self._idle, None
            return connection
        return Connection(self.open_stream())

    def open_stream(self) -> Stream:
        """Connect to the daemon, starting it where that may be; raises NoDaemon, CliError."""
        try:
            sock = connect(self.address)
        except NoDaemon:
            if not self._start:
                raise
            self._start(self.address)
            sock = connect(self.address)
        return self.secure(sock, self.address.host) if self.secure else sock

    def _target(self, path: str, values: dict[str, Any] | None) -> str:
        return f"/v{self.version}{path}{query(values or {})}"

    def settle(self) -> None:
        """Make sure that the daemon speaks the version of our requests."""
        if self._settled:
            return
        response = self._exchange("HEAD", "/_ping", {}, None)
        self._keep(response)
        theirs = response.headers.get("api-version", "")
        if theirs and _numbers(theirs) < _numbers(self.version):
            self.version = theirs
        self._settled = True

    def _exchange(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes | Iterable[bytes] | None,
    ) -> Response:
        reused = self._idle is not None
        connection = self._connection()
        headers = {**self.extra_headers, **headers}
        try:
            connection.send(method, target, headers, body)
            return connection.response(method)
        except (BrokenPipeError, ConnectionResetError, CliError):
            connection.close()
            again = reused and not connection.buffer and (body is None or isinstance(body, bytes))
            if not again:
                raise
        connection = self._connection()
        connection.send(method, target, headers, body)
        return connection.response(method)

    def _keep(self, response: Response) -> None:
        if not response.finished:
            response.read()
        if response.reusable and self._idle is None:
            self._idle = response.connection
        else:
            response.connection.close()

    def request(
        self,
        method: str,
        path: str,
        values: dict[str, Any] | None = None,
        *,
        body: Any = None,
        stream: Iterable[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        """Send a request and give the checked response, its body unread.

        `body` is sent as JSON, `stream` as it comes. Raises ApiError for a refusal.
        """
        sent = dict(headers or {})
        payload: bytes | Iterable[bytes] | None = stream
        if body is not None:
            sent["Content-Type"] = "application/json"
            payload = fastjson.dumps(body).encode("utf-8", "surrogateescape")
        if stream is not None:
            self.settle()
        response = self._exchange(method, self._target(path, values), sent, payload)
        try:
            response.check()
        except ApiError as error:
            self._keep(response)
            if not self._older(error):
                raise
            response = self._exchange(method, self._target(path, values), sent, payload).check()
        self._settled = True
        return response

    def _older(self, error: ApiError) -> bool:
        """Take the daemon's version if it says that ours is too new for it."""
        if self._settled or error.http_status != 400 or TOO_NEW not in error.reason:
            return False
        self.version = error.reason.partition(TOO_NEW)[2].split(",")[0].strip(". ")
        self._settled = True
        return True

    def begin(
        self, method: str, path: str, values: dict[str, Any] | None = None
    ) -> Callable[[], Response]:
        """Send a request on a connection of its own.

        What is given waits for the checked response.
        """
        self.settle()
        connection = Connection(self.open_stream())
        connection.send(method, self._target(path, values), dict(self.extra_headers), None)
        return lambda: connection.response(method).check()

    def json(
        self,
        method: str,
        path: str,
        values: dict[str, Any] | None = None,
        *,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Send a request and decode the answer."""
        response = self.request(method, path, values, body=body, headers=headers)
        decoded = response.json()
        self._keep(response)
        return decoded

    def get(self, path: str, values: dict[str, Any] | None = None) -> Any:
        """Get a resource."""
        return self.json("GET", path, values)

    def post(self, path: str, values: dict[str, Any] | None = None, *, body: Any = None) -> Any:
        """Do something with a resource."""
        return self.json("POST", path, values, body=body)

    def delete(self, path: str, values: dict[str, Any] | None = None) -> Any:
        """Remove a resource."""
        return self.json("DELETE", path, values)

    def get_raw(self, path: str, values: dict[str, Any] | None = None) -> bytes:
        """Get a resource as the bytes that the daemon sent."""
        response = self.request("GET", path, values)
        data = response.read()
        self._keep(response)
        return data

    def hijack(
        self, path: str, values: dict[str, Any] | None = None, *, body: Any = None
    ) -> Hijacked:
        """Turn a connection into the two-way stream of a container or a process in it."""
        self.settle()
        payload = b"" if body is None else fastjson.dumps(body).encode("utf-8", "surrogateescape")
        headers = {**HIJACK, "Content-Type": "application/json", **self.extra_headers}
        connection = Connection(self.open_stream())
        connection.send("POST", self._target(path, values), headers, payload)
        connection.response("POST").check()
        return Hijacked(connection)


class Hijacked:
    """A raw connection to a container; `early` is what came together with the response's head."""

    __slots__ = ("early", "sock")

    def __init__(self, connection: Connection) -> None:
        self.sock = connection.sock
        self.early = bytes(connection.buffer)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]
