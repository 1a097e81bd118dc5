"""TLS on TCP: who gets in, half-closed connections, and what the options refuse."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from lading.api.options import DaemonOptions, UsageError, parse
from lading.api.secure import tls_context
from lading.api.server import ApiServer
from lading.api.tls import TlsConnection
from lading.cli.client.secure import wrapper
from lading.cli.failures import CliError
from lading.engine.engine import Engine
from lading.kernel.cgroups import at
from lading.kernel.namespaces import CloneFlag, setns

from .certificates import HAVE_OPENSSL, encrypt_key, make_certificates
from .fakes import FakeEngine, container
from .ladingd import BUSYBOX, PARENT, Ladingd, root_tar

ATTACH = "/v1.51/containers/x/attach?stream=1&stdin=1&stdout=1"
HEAD = f"POST {ATTACH} HTTP/1.1\r\nHost: l\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n".encode()

CLI = "import sys; from lading.cli.main import main; sys.exit(main())"
DOCKER_PY = """
import docker
output = docker.from_env().containers.run("box:1", ["echo", "hello"], network_mode="none")
print(output.decode(), end="")
"""

pytestmark = pytest.mark.skipif(not HAVE_OPENSSL, reason="needs openssl to make certificates")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("lading-tls"))


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of another CA."""
    return make_certificates(tmp_path_factory.mktemp("lading-tls-foreign"))


def options(directory: Path, **more: Any) -> DaemonOptions:
    return DaemonOptions(
        tlscacert=str(directory / "ca.pem"),
        tlscert=str(directory / "cert.pem"),
        tlskey=str(directory / "key.pem"),
        **more,
    )


@dataclass
class Secured:
    """A fake engine served by TLS on a port of 127.0.0.1."""

    engine: FakeEngine
    port: int
    certificates: Path

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect with asyncio's own TLS."""
        context = ssl.create_default_context(cafile=str(self.certificates / "ca.pem"))
        context.load_cert_chain(self.certificates / "cert.pem", self.certificates / "key.pem")
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=context)

    async def talk(
        self,
        conversation: Callable[[Any], bytes],
        *,
        host: str = "127.0.0.1",
        verify: bool = True,
        ca: Path | None = None,
        own: Path | None = None,
    ) -> bytes:
        """Connect as the command line does, in a thread, and have a conversation."""
        directory = own or self.certificates
        settings = {
            "verify": verify,
            "ca": str((ca or self.certificates) / "ca.pem"),
            "cert": str(directory / "cert.pem"),
            "key": str(directory / "key.pem"),
        }

        def converse() -> bytes:
            plain = socket.create_connection(("127.0.0.1", self.port), 20)
            plain.settimeout(None)
            stream = wrapper(settings)(plain, host)
            try:
                return conversation(stream)
            finally:
                stream.close()

        return await asyncio.to_thread(converse)


@pytest_asyncio.fixture
async def secured(certificates: Path) -> AsyncIterator[Secured]:
    engine = FakeEngine()
    engine.containers.known["x"] = container()
    api = ApiServer(cast("Engine", engine))
    context = tls_context(options(certificates, tlsverify=True))
    assert context is not None
    server = await asyncio.get_running_loop().create_server(
        lambda: TlsConnection(context, api.connections), "127.0.0.1", 0
    )
    yield Secured(engine, server.sockets[0].getsockname()[1], certificates)
    server.close()
    await api.close(0.1)


def read_all(stream: Any) -> bytes:
    data = b""
    stream.setblocking(True)
    while more := stream.recv(65536):
        data += more
    return data


async def test_output_follows_the_end_of_input(secured: Secured) -> None:
    def attach(stream: Any) -> bytes:
        stream.sendall(HEAD + b"in")
        stream.shutdown(socket.SHUT_WR)
        return read_all(stream)

    answer = await secured.talk(attach)
    assert answer.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
    assert answer.endswith(b"\r\n\r\nIN")
    assert secured.engine.containers.session.stdin_closed


async def test_output_that_comes_before_the_end_of_input_is_kept(secured: Secured) -> None:
    sent = os.urandom(100_000)

    def attach(stream: Any) -> bytes:
        stream.sendall(HEAD + sent)
        select.select([stream], [], [], 20)
        stream.shutdown(socket.SHUT_WR)
        return read_all(stream)

    assert (await secured.talk(attach)).endswith(b"\r\n\r\n" + sent.upper())


async def test_much_goes_both_ways(secured: Secured) -> None:
    reader, writer = await secured.client()
    writer.write(HEAD)
    await reader.readuntil(b"\r\n\r\n")
    sent = os.urandom(1 << 20)
    writer.write(sent)
    received = await reader.readexactly(len(sent))
    assert received == sent.upper()
    writer.close()


async def test_one_connection_has_several_requests(secured: Secured) -> None:
    reader, writer = await secured.client()
    for _ in range(3):
        writer.write(b"GET /_ping HTTP/1.1\r\nHost: l\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert await reader.readexactly(2) == b"OK"
    writer.close()


async def test_a_client_that_breaks_off_is_gone(secured: Secured) -> None:
    reader, writer = await secured.client()
    writer.write(HEAD)
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.abort()
    async with asyncio.timeout(20):
        while not secured.engine.containers.session.closed:
            await asyncio.sleep(0)


async def test_a_client_needs_a_certificate_of_the_ca(secured: Secured, foreign: Path) -> None:
    def ask(stream: Any) -> bytes:
        stream.sendall(b"GET /_ping HTTP/1.1\r\nHost: l\r\n\r\n")
        return bytes(stream.recv(4096))

    assert (await secured.talk(ask)).startswith(b"HTTP/1.1 200 OK")
    with pytest.raises(CliError, match="the daemon said: tlsv1 alert unknown ca"):
        await secured.talk(ask, own=foreign)


async def test_no_certificate_is_refused(secured: Secured) -> None:
    context = ssl.create_default_context(cafile=str(secured.certificates / "ca.pem"))
    reader, writer = await asyncio.open_connection("127.0.0.1", secured.port, ssl=context)
    writer.write(b"GET /_ping HTTP/1.1\r\nHost: l\r\n\r\n")
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        await reader.read()
    writer.close()


async def test_the_daemon_has_to_be_the_one_that_is_meant(secured: Secured, foreign: Path) -> None:
    with pytest.raises(CliError, match=r"TLS with 127\.0\.0\.1 failed: self-signed certificate"):
        await secured.talk(read_all, ca=foreign)
    with pytest.raises(CliError, match="not valid for 'localhost'"):
        await secured.talk(read_all, host="localhost")


async def test_plain_http_is_told_what_is_spoken_here(secured: Secured) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", secured.port)
    writer.write(b"GET /_ping HTTP/1.1\r\nHost: l\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.0 400 Bad Request\r\n")
    assert answer.endswith(b"Client sent an HTTP request to an HTTPS server.\n")


async def test_a_plain_server_is_no_tls_server(certificates: Path) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    other = Secured(FakeEngine(), server.sockets[0].getsockname()[1], certificates)
    async with server:
        with pytest.raises(CliError, match=r"TLS with 127\.0\.0\.1 failed: it does not speak TLS"):
            await other.talk(read_all)


def test_without_tls_there_is_no_context() -> None:
    assert tls_context(DaemonOptions()) is None


def test_options_are_those_of_docker(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CERT_PATH", str(certificates))
    checked = tls_context(parse(["--tlsverify"]))
    assert checked is not None
    assert checked.verify_mode is ssl.CERT_REQUIRED
    unchecked = tls_context(parse(["--tls"]))
    assert unchecked is not None
    assert unchecked.verify_mode is ssl.CERT_NONE


def test_refusals(certificates: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no effect alone"):
        tls_context(options(certificates))
    with pytest.raises(UsageError, match="which is not there"):
        tls_context(options(tmp_path, tls=True))
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).write_text("junk")
    with pytest.raises(UsageError, match=r"cannot use .*cert\.pem"):
        tls_context(options(tmp_path, tls=True))
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_bytes((certificates / name).read_bytes())
    with pytest.raises(UsageError, match=r"cannot use .*ca\.pem as CA"):
        tls_context(options(tmp_path, tlsverify=True))
    encrypt_key(certificates, tmp_path / "key.pem")
    with pytest.raises(UsageError, match="is encrypted"):
        tls_context(options(tmp_path, tls=True))


@pytest.fixture
def daemon(certificates: Path, tmp_path: Path) -> Iterator[Ladingd]:
    names = {"cacert": "ca", "cert": "cert", "key": "key"}
    files = [f"--tls{name}={certificates / file}.pem" for name, file in names.items()]
    ladingd = Ladingd(tmp_path, "-H", "tcp://127.0.0.1:2376", "--tlsverify", *files)
    ladingd.start()
    try:
        yield ladingd
    finally:
        ladingd.end()
        at(f"/{PARENT}").delete()


@pytest.mark.root
@pytest.mark.skipif(not BUSYBOX, reason="needs Debian's busybox-static")
def test_clients_of_a_real_daemon(daemon: Ladingd, certificates: Path) -> None:
    """The docker command, `lading` and docker-py: input ends, output comes."""
    assert daemon.process is not None
    with contextlib.closing(daemon.client()) as client:
        client.api.import_image_from_data(root_tar(), repository="box", tag="1")
    namespace = Path(f"/proc/{daemon.process.pid}/ns/net")

    def inside(*words: str, **settings: Any) -> subprocess.CompletedProcess[bytes]:
        with namespace.open() as opened:
            return subprocess.run(
                words,
                preexec_fn=lambda: setns(opened.fileno(), CloneFlag.NEWNET),
                capture_output=True,
                timeout=60,
                check=False,
                **settings,
            )

    inside("ip", "link", "set", "lo", "up")
    environ = {**os.environ, "DOCKER_CERT_PATH": str(certificates), "DOCKER_TLS_VERIFY": "1"}
    sent = os.urandom(200_000)
    line = ["-H", "tcp://127.0.0.1:2376", "run", "--rm", "-i", "--network=none", "box:1", "cat"]
    programs = [[sys.executable, "-c", CLI]]
    programs += [["docker"]] if shutil.which("docker") else []
    for program in programs:
        done = inside(*program, *line, input=sent, env=environ)
        assert (done.stderr, done.returncode) == (b"", 0)
        assert done.stdout == sent
    plain = inside(*programs[-1], *line, env={**environ, "DOCKER_TLS_VERIFY": ""})
    assert b"Client sent an HTTP request to an HTTPS server" in plain.stderr
    environ.pop("REQUESTS_CA_BUNDLE", None)
    environ.pop("CURL_CA_BUNDLE", None)
    asked = inside(sys.executable, "-c", DOCKER_PY, env={**environ, "DOCKER_HOST": line[1]})
    assert (asked.stderr, asked.stdout) == (b"", b"hello\n")
