"""`ladingd` as a process, on the real stack, in a network namespace of its own."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import docker

from lading.kernel.mounts import Propagation, set_propagation
from lading.kernel.namespaces import CloneFlag, unshare

BUSYBOX = next((path for path in ("/usr/bin/busybox", "/bin/busybox") if Path(path).exists()), "")
APPLETS = ("sh", "cat", "sleep", "true", "echo", "touch", "ps")
PARENT = f"lading-test-api-{os.getpid()}"


def root_tar() -> bytes:
    """Make a root file system of busybox."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", dereference=True) as tar:
        for name in ("bin", "tmp"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        tar.add(BUSYBOX, "bin/busybox")
        for name in APPLETS:
            info = tarfile.TarInfo(f"bin/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
    return raw.getvalue()


class Connection(http.client.HTTPConnection):
    """HTTP on a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("lading", timeout=30)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Ladingd:
    """A daemon in a network namespace of its own, and its clients.

    `prepare` is called in the daemon's process, in a mount namespace of its own; what it mounts is
    seen below `view`.
    """

    def __init__(
        self, place: Path, *options: str, prepare: Callable[[], None] | None = None
    ) -> None:
        self.place = place
        self.options = options
        self.prepare = prepare
        self.socket = place / "lading-test.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            address = self.place / "notify"
            address.unlink(missing_ok=True)
            manager.bind(str(address))
            manager.settimeout(30)
            self._begin(NOTIFY_SOCKET=str(address))
            assert manager.recv(100).startswith(b"READY=1")

    def refusal(self) -> str:
        """Start it where it cannot be: give what it says, and see that it ends with status 1."""
        self._begin()
        assert self.process is not None
        assert self.process.wait(30) == 1
        return (self.place / "log").read_text()

    def _begin(self, **environ: str) -> None:
        command = [sys.executable, "-m", "lading.api.daemon", "-H", f"unix://{self.socket}"]
        command += ["--root", f"{self.place}/root", "--run", f"{self.place}/run"]
        command += ["--bridge", "none", "--cgroup-parent", PARENT, *self.options]
        with (self.place / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | environ,
                preexec_fn=self._isolate,  # noqa: PLW1509 - no threads
            )

    def _isolate(self) -> None:
        unshare(CloneFlag.NEWNET)
        if self.prepare is not None:
            unshare(CloneFlag.NEWNS)
            set_propagation("/", Propagation.RPRIVATE)
            self.prepare()

    @property
    def view(self) -> Path:
        """The daemon's own root directory."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/root")

    def ask(
        self, method: str, path: str, body: bytes = b"", kind: str = "application/json"
    ) -> tuple[int, str]:
        """Send one request; give its status and its answer, or the error in its stream."""
        connection = Connection(self.socket)
        with contextlib.closing(connection):
            connection.request(method, f"/v1.51{path}", body, {"Content-Type": kind})
            response = connection.getresponse()
            answer = response.read().decode()
        for line in answer.splitlines():
            if response.status < 300 and line.startswith("{") and '"error":' in line:
                return 500, json.loads(line)["error"]
        return response.status, answer

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it with a signal."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(30)

    def client(self) -> docker.DockerClient:
        """Connect docker-py."""
        return docker.DockerClient(base_url=f"unix://{self.socket}", timeout=20)

    def hijack(self, path: str, body: bytes = b"") -> tuple[socket.socket, bytes]:
        """Take a connection over; returns it, and what came behind the response's head."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(str(self.socket))
        head = f"POST {path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(4096)
        first, _, rest = answer.partition(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 101 UPGRADED"), first
        return connection, rest
