"""Passes DNS questions on to the servers of the outside, and their answers back, as bytes.

Source: RFC 1035 section 4.2 (UDP, TCP), RFC 5452 (a socket of its own for each question).
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Sequence
from contextlib import suppress

PORT = 53
_PATIENCE = 4.0  # seconds for one server, as Docker's resolver has it
_LARGEST = 65535


async def ask(question: bytes, servers: Sequence[str], *, tcp: bool, port: int = PORT) -> bytes:
    """Give the first answer that one of *servers*, asked in turn, has to *question*.

    The question's id is replaced on the way and restored in the answer. Raises OSError when no
    server answers.
    """
    identity = secrets.token_bytes(2)
    sent = identity + question[2:]
    for server in servers:
        with suppress(OSError, asyncio.IncompleteReadError):
            if tcp:
                answer = await asyncio.wait_for(_ask_tcp(sent, server, port), _PATIENCE)
            else:
                answer = await asyncio.wait_for(_ask_udp(sent, server, port), _PATIENCE)
            return question[:2] + answer[2:]
    raise OSError("no name server answered")


async def _ask_udp(question: bytes, server: str, port: int) -> bytes:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as client:
        client.connect((server, port))
        await loop.sock_sendall(client, question)
        while True:
            answer = await loop.sock_recv(client, _LARGEST)
            if answer[:2] == question[:2]:
                return answer


async def _ask_tcp(question: bytes, server: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(server, port)
    try:
        writer.write(len(question).to_bytes(2) + question)
        length = int.from_bytes(await reader.readexactly(2))
        return await reader.readexactly(length)
    finally:
        writer.close()
