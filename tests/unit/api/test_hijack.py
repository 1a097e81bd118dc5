from __future__ import annotations

import asyncio

import pytest

from lading.api import hijack
from lading.api.demultiplex import Demultiplexer
from lading.errors import Conflict, LadingError

from .conftest import Served, until
from .fakes import container

ATTACH = "/v1.51/containers/x/attach?stream=1&stdin=1&stdout=1"


@pytest.fixture
def attachable(served: Served) -> Served:
    served.engine.containers.known["x"] = container()
    return served


async def test_upgraded_attach_passes_bytes_both_ways(attachable: Served) -> None:
    session = attachable.engine.containers.session
    reader, writer, head = await attachable.hijack(ATTACH)
    assert head.startswith("HTTP/1.1 101 UPGRADED\r\n")
    assert "Upgrade: tcp" in head
    assert "Content-Type: application/vnd.docker.multiplexed-stream" in head
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"HELLO"
    session.output.put_nowait(b"")
    assert await reader.read() == b""
    await until(lambda: session.closed)
    writer.close()


async def test_plain_attach(attachable: Served) -> None:
    reader, writer, head = await attachable.hijack(ATTACH, upgrade=False)
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert "Content-Type: application/vnd.docker.raw-stream" in head
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"HELLO"
    writer.close()


async def test_the_end_of_input_leaves_output_open(attachable: Served) -> None:
    session = attachable.engine.containers.session
    reader, writer, _ = await attachable.hijack(ATTACH)
    writer.write(b"in")
    writer.write_eof()
    assert await reader.readexactly(2) == b"IN"
    assert await reader.read() == b""
    assert session.stdin_closed
    writer.close()


async def test_input_sent_together_with_the_request(attachable: Served) -> None:
    reader, writer = await attachable.open()
    request = f"POST {ATTACH} HTTP/1.1\r\nHost: l\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    writer.write(request.encode() + b"early")
    writer.write_eof()
    await reader.readuntil(b"\r\n\r\n")
    assert await reader.read() == b"EARLY"
    writer.close()


async def test_input_that_nobody_reads_does_not_reset_the_connection(attachable: Served) -> None:
    session = attachable.engine.containers.session
    reader, writer, _ = await attachable.hijack(ATTACH)
    session.output.put_nowait(b"last")
    session.output.put_nowait(b"")
    await until(lambda: session.closed)
    writer.write(b"x" * 1_000_000)
    assert await reader.read() == b"last"
    writer.close()
    await writer.wait_closed()


async def test_a_client_that_does_not_leave_is_left(
    attachable: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hijack, "LEAVING", 0.01)
    session = attachable.engine.containers.session
    reader, writer, _ = await attachable.hijack(ATTACH)
    session.output.put_nowait(b"")
    assert await reader.read() == b""
    with pytest.raises(ConnectionError):
        await send_for_ever(writer)
    writer.close()


async def send_for_ever(writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(20):
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0)


async def test_a_body_in_a_packet_of_its_own(served: Served) -> None:
    _, answer = await served.ask("POST", "/containers/x/exec", json={"Cmd": ["cat"]})
    reader, writer = await served.open()
    body = b'{"Tty": false}'
    writer.write(
        f"POST /v1.51/exec/{answer['Id']}/start HTTP/1.1\r\nHost: l\r\nConnection: Upgrade\r\n"
        "Upgrade: tcp\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
    )
    await writer.drain()
    await asyncio.sleep(0)
    writer.write(body[:5])
    await writer.drain()
    await asyncio.sleep(0)
    writer.write(body[5:])
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 UPGRADED")
    writer.close()


async def test_detach_keys_close_the_connection(attachable: Served) -> None:
    session = attachable.engine.containers.session
    reader, writer, _ = await attachable.hijack(ATTACH)
    writer.write(b"\x10\x11")
    assert await reader.read() == b""
    assert session.closed
    assert not session.stdin_closed
    writer.close()


async def test_a_lot_of_bytes(attachable: Served) -> None:
    reader, writer, _ = await attachable.hijack(ATTACH)
    content = b"x" * (3 * 1024 * 1024)

    async def send() -> None:
        writer.write(content)
        await writer.drain()
        writer.write_eof()

    sending = asyncio.create_task(send())
    assert await reader.read() == content.upper()
    await sending
    writer.close()


async def test_a_client_that_leaves_ends_the_session(attachable: Served) -> None:
    session = attachable.engine.containers.session
    _, writer, _ = await attachable.hijack("/containers/x/attach?stream=1&stdout=1")
    writer.transport.abort()
    for _ in range(3):
        session.output.put_nowait(b"noise")
    await until(lambda: session.closed)


async def test_a_refused_attach_is_a_plain_error(attachable: Served) -> None:
    attachable.engine.containers.failures["attach"] = Conflict("it is paused")
    reader, writer, head = await attachable.hijack(ATTACH)
    assert head.startswith("HTTP/1.1 409")
    assert await reader.read() == b'{"message":"it is paused"}\n'
    writer.close()


async def test_exec(served: Served) -> None:
    status, answer = await served.ask(
        "POST", "/containers/x/exec", json={"Cmd": ["cat"], "AttachStdin": True}
    )
    assert (status, answer) == (201, {"Id": "e1"})
    reader, writer, head = await served.hijack("/exec/e1/start", b'{"Detach":false,"Tty":false}')
    assert head.startswith("HTTP/1.1 101")
    writer.write(b"hi")
    assert await reader.readexactly(2) == b"HI"
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


async def test_detached_exec_reports_its_failure(served: Served) -> None:
    await served.ask("POST", "/containers/x/exec", json={"Cmd": ["nosuch"]})
    assert await served.ask("POST", "/exec/e1/start", json={"Detach": True}) == (200, None)
    served.engine.execs.failure = LadingError("no such file")
    assert await served.ask("POST", "/exec/e1/start", json={"Detach": True}) == (
        500,
        {"message": "no such file"},
    )


async def test_an_attached_execs_failure_is_told_in_its_stream(served: Served) -> None:
    await served.ask("POST", "/containers/x/exec", json={"Cmd": ["nosuch"], "AttachStdout": True})
    served.engine.execs.failure = LadingError("no such file")
    reader, writer, head = await served.hijack("/exec/e1/start", b"{}")
    assert head.startswith("HTTP/1.1 101")
    assert await reader.read() == b"\x01\0\0\0\0\0\0\x0eno such file\r\n"
    writer.close()


async def test_unknown_exec(served: Served) -> None:
    assert await served.ask("POST", "/exec/nope/start", json={}) == (
        404,
        {"message": "No such exec instance: nope"},
    )


async def test_web_socket(attachable: Served) -> None:
    session = attachable.engine.containers.session
    session.multiplexed = True
    url = "http://lading/containers/x/attach/ws?stream=1&stdin=1&stdout=1"
    async with attachable.client.ws_connect(url) as socket:
        session.output.put_nowait(b"\x01\0\0\0\0\0\0\x05hello")
        assert await socket.receive_bytes() == b"hello"
        await socket.send_bytes(b"abc")
        await until(lambda: session.written == b"abc")
    await until(lambda: session.closed)


@pytest.mark.parametrize("size", [1, 3, 8, 64])
def test_demultiplexer_takes_any_pieces(size: int) -> None:
    stream = b"\x01\0\0\0\0\0\0\x05hello\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x01!"
    frames = Demultiplexer()
    pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
    assert b"".join(frames.payload(piece) for piece in pieces) == b"hello!"


async def test_a_body_that_comes_behind_its_head(served: Served) -> None:
    await served.ask("POST", "/containers/x/exec", json={"Cmd": ["cat"], "AttachStdin": True})
    reader, writer = await served.open()
    head = "POST /exec/e1/start HTTP/1.1\r\nHost: l\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 2\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode())
    await writer.drain()
    await asyncio.sleep(0)
    writer.write(b"{}hi")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    assert await reader.readexactly(2) == b"HI"
    writer.close()
