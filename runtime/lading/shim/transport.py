"""How messages travel: one SOCK_SEQPACKET packet each, JSON, descriptors by SCM_RIGHTS.

A message too large for a packet (an exec with a large environment) travels in a memfd, which is
then the packet's last descriptor; the packet's first byte tells which of the two it is.
"""

from __future__ import annotations

import array
import os
import socket
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from lading.shim.protocol import Request, ShimMessage, SpawnFailed, SpawnRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

INLINE, IN_MEMFD = b"J", b"M"
LARGEST_INLINE = 64 * 1024
"""Bytes of JSON in a packet; a socket buffer has 208 KiB unless the host says otherwise."""
MOST_DESCRIPTORS = 4

_encoder = msgspec.json.Encoder()
_MessageT = TypeVar("_MessageT")


class Packet:
    """A message made ready for sending; it can be tried again until the socket takes it."""

    __slots__ = ("_descriptors", "_memfd", "_parts")

    def __init__(self, message: msgspec.Struct, descriptors: Sequence[int] = ()) -> None:
        data = _encoder.encode(message)
        self._memfd = -1
        self._descriptors = list(descriptors)
        self._parts = (INLINE, data)
        if len(data) > LARGEST_INLINE:
            self._memfd = _memfd_with(data)
            self._descriptors.append(self._memfd)
            self._parts = (IN_MEMFD, b"")

    def send(self, sock: socket.socket) -> None:
        """Send it; raises BlockingIOError when the socket is full, OSError when it is broken."""
        ancillary = []
        if self._descriptors:
            rights = array.array("i", self._descriptors)
            ancillary.append((socket.SOL_SOCKET, socket.SCM_RIGHTS, rights))
        sock.sendmsg(self._parts, ancillary, socket.MSG_NOSIGNAL)
        self.close()

    def close(self) -> None:
        """Drop what it holds; the descriptors that were given to it stay their owner's."""
        if self._memfd >= 0:
            os.close(self._memfd)
            self._memfd = -1


class Reader(Generic[_MessageT]):
    """Receives one kind of messages."""

    def __init__(self, kind: type[_MessageT]) -> None:
        self._decoder = msgspec.json.Decoder(kind)

    def receive(self, sock: socket.socket) -> tuple[_MessageT, list[int]] | None:
        """Receive a message and its descriptors (the caller's now); None when the peer hung up.

        Raises BlockingIOError when there is none yet, and msgspec.DecodeError for what is no
        message: the descriptors are closed then.
        """
        data, descriptors = _receive(sock)
        if not data:
            return None
        try:
            body = data[1:]
            if data[:1] == IN_MEMFD:
                body = _content_of(descriptors.pop())
            return self._decoder.decode(body), descriptors
        except BaseException:
            for descriptor in descriptors:
                os.close(descriptor)
            raise


def spawn_requests() -> Reader[SpawnRequest]:
    """Give the reader of the spawner's end."""
    return Reader(SpawnRequest)


def spawn_failures() -> Reader[SpawnFailed]:
    """Give the reader of the daemon's end of the spawner's connection."""
    return Reader(SpawnFailed)


def requests() -> Reader[Request]:
    """Give the reader of a shim's end."""
    reader: Reader[Request] = Reader(Request)  # type: ignore[arg-type]  # a union is no class
    return reader


def shim_messages() -> Reader[ShimMessage]:
    """Give the reader of the daemon's end of a shim's connection."""
    reader: Reader[ShimMessage] = Reader(ShimMessage)  # type: ignore[arg-type]  # as above
    return reader


def encoded(value: object) -> msgspec.Raw:
    """Encode what a Reply carries, or a part of a request."""
    return msgspec.Raw(_encoder.encode(value))


def _receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Receive a packet; unlike with socket.recv_fds of 3.11, the flags count."""
    descriptors = array.array("i")
    room = socket.CMSG_LEN(MOST_DESCRIPTORS * descriptors.itemsize)
    data, ancillary, _, _ = sock.recvmsg(LARGEST_INLINE + 1, room, socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return data, descriptors.tolist()


def _memfd_with(data: bytes) -> int:
    descriptor = os.memfd_create("lading-message", os.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _content_of(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        file.seek(0)
        return file.read()
