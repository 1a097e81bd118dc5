from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
import pytest_asyncio

from lading.api.server import ApiServer
from lading.engine.engine import Engine

from .fakes import FakeEngine


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until the condition holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


@dataclass
class Served:
    """A served fake engine: an HTTP client, and raw connections."""

    engine: FakeEngine
    socket: Path
    client: aiohttp.ClientSession

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Return the status and the JSON (or None) of an answer."""
        async with self.client.request(method, f"http://lading{path}", **options) as answer:
            body = await answer.read()
            return answer.status, (await answer.json() if body else None)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect without HTTP."""
        return await asyncio.open_unix_connection(self.socket)

    async def hijack(
        self, path: str, body: bytes = b"", upgrade: bool = True
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
        """Send a request that takes the connection over; returns its streams and the head."""
        reader, writer = await self.open()
        head = f"POST {path} HTTP/1.1\r\nHost: lading\r\nContent-Length: {len(body)}\r\n"
        head += "Content-Type: application/json\r\n"
        head += "Connection: Upgrade\r\nUpgrade: tcp\r\n" if upgrade else ""
        writer.write(head.encode() + b"\r\n" + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        return reader, writer, answer.decode()


@pytest_asyncio.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    engine = FakeEngine()
    api = ApiServer(cast(Engine, engine))
    socket = tmp_path / "api.sock"
    server = await asyncio.get_running_loop().create_unix_server(api.connections, str(socket))
    connector = aiohttp.UnixConnector(str(socket))
    async with aiohttp.ClientSession(connector=connector) as client:
        yield Served(engine, socket, client)
    server.close()
    await api.close(0.1)


@pytest.fixture
def docker_api() -> dict[str, Any]:
    """Docker's own description of the API, where this machine has it."""
    import yaml

    path = Path("/work/shared/reference/docker-engine-api-v1.51.yaml")
    if not path.exists():
        pytest.skip(f"{path} is not here")
    description: dict[str, Any] = yaml.safe_load(path.read_text())
    return description
