"""HTTP/1.1 as far as the Engine API needs it, on an open socket.

`Connection` sends requests and reads the heads of responses; `Response` reads bodies, whole or as
they come.
"""

from __future__ import annotations

from lading.cli import fastjson
from lading.cli.failures import ApiError, CliError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from lading.cli.client.sockets import Stream

CHUNK = 65536
NO_BODY = frozenset((101, 204, 304))


def head_of(method: str, target: str, headers: dict[str, str]) -> bytes:
    """Make the bytes of a request's head."""
    lines = [f"{method} {target} HTTP/1.1", "Host: lading"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


class Connection:
    """One connection to the daemon, and what of its bytes was read but not used yet."""

    __slots__ = ("buffer", "sock")

    def __init__(self, sock: Stream) -> None:
        self.sock = sock
        self.buffer = bytearray()

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()

    def fill(self) -> bool:
        """Read more bytes into the buffer; False at the end of the stream."""
        data = self.sock.recv(CHUNK)
        self.buffer += data
        return bool(data)

    def line(self) -> bytes:
        """Read a line, without its end; raises CliError if the connection ends in it."""
        while (end := self.buffer.find(b"\n")) < 0:
            if not self.fill():
                raise CliError("the daemon closed the connection in the middle of its answer")
        line = bytes(self.buffer[:end]).rstrip(b"\r")
        del self.buffer[: end + 1]
        return line

    def take(self, size: int) -> bytes:
        """Give up to `size` bytes, at least one unless the stream has ended."""
        if not self.buffer:
            self.fill()
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def send(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes | Iterable[bytes] | None,
    ) -> None:
        """Send a request; a body that is not bytes is sent in chunks as it is made.

        A daemon that answers before it has read all of a body may close the connection; its answer
        is then still to be read, so that is no error here.
        """
        headers = {"User-Agent": "lading", **headers}
        if body is None or isinstance(body, bytes):
            if body is not None or method == "POST":
                headers["Content-Length"] = str(len(body or b""))
            self.sock.sendall(head_of(method, target, headers) + (body or b""))
            return
        headers["Transfer-Encoding"] = "chunked"
        self.sock.sendall(head_of(method, target, headers))
        try:
            for data in body:
                if data:
                    self.sock.sendall(b"%x\r\n" % len(data))
                    self.sock.sendall(data)
                    self.sock.sendall(b"\r\n")
            self.sock.sendall(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            return

    def response(self, method: str) -> Response:
        """Read the head of a response; raises CliError if what answers is not HTTP."""
        while True:
            try:
                status_line = self.line()
            except ConnectionResetError:
                raise CliError("the daemon closed the connection without an answer") from None
            version, _, rest = status_line.partition(b" ")
            status = rest[:3]
            if not version.startswith(b"HTTP/1.") or not status.isdigit():
                raise CliError("what listens at the daemon's address does not speak HTTP")
            headers = self._headers()
            if status != b"100":
                return Response(self, method, int(status), headers)

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        while line := self.line():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        return headers


class Response:
    """A response whose body is read on demand.

    `finished` says that the connection can be used again.
    """

    __slots__ = ("_left", "chunked", "connection", "finished", "headers", "status")

    def __init__(
        self, connection: Connection, method: str, status: int, headers: dict[str, str]
    ) -> None:
        self.connection = connection
        self.status = status
        self.headers = headers
        self.chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        length = headers.get("content-length")
        self._left: int | None = int(length) if length and not self.chunked else None
        if self.chunked:
            self._left = 0
        self.finished = (
            method == "HEAD" or status in NO_BODY or (length == "0" and not self.chunked)
        )

    @property
    def reusable(self) -> bool:
        """Tell whether another request may follow on the connection."""
        return self.finished and self.headers.get("connection", "").lower() != "close"

    def some(self) -> bytes:
        """Give the next bytes of the body as they come; b"" at its end."""
        if self.finished:
            return b""
        if self.chunked and self._left == 0 and not self._next_chunk():
            return b""
        data = self.connection.take(CHUNK if self._left is None else min(CHUNK, self._left))
        if self._left is None:
            self.finished = not data
            return data
        if not data:
            self.finished = True
            raise CliError("the daemon closed the connection in the middle of its answer")
        self._left -= len(data)
        if self._left == 0:
            if self.chunked:
                self.connection.line()
            else:
                self.finished = True
        return data

    def _next_chunk(self) -> bool:
        size = int(self.connection.line().partition(b";")[0] or b"0", 16)
        self._left = size
        if size:
            return True
        while self.connection.line():
            pass
        self.finished = True
        return False

    def parts(self) -> Iterator[bytes]:
        """Give the body piece by piece."""
        while data := self.some():
            yield data

    def read(self) -> bytes:
        """Give the whole body."""
        return b"".join(self.parts())

    def json(self) -> Any:
        """Decode the whole body, None if it is empty; raises CliError if it is not JSON."""
        body = self.read()
        try:
            return fastjson.loads(body) if body.strip() else None
        except ValueError as error:
            raise CliError(f"the daemon's answer is {error}") from None

    def values(self) -> Iterator[Any]:
        """Decode a body that is one JSON value a line, as each line comes."""
        rest = b""
        for data in self.parts():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line.strip():
                    yield fastjson.loads(line)
        if rest.strip():
            yield fastjson.loads(rest)

    def check(self) -> Response:
        """Raise ApiError if the daemon refused; give the response itself otherwise."""
        if self.status < 400:
            return self
        body = self.read()
        try:
            reason = str(fastjson.loads(body)["message"])
        except (ValueError, KeyError, TypeError):
            reason = body.decode("utf-8", "replace").strip() or f"status {self.status}"
        raise ApiError(self.status, reason)
