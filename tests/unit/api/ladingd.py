"""`ladingd` as a process, on the real stack, in a network namespace of its own."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import docker

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


class Ladingd:
    """A daemon in a network namespace of its own, and its clients."""

    def __init__(self, place: Path, *options: str) -> None:
        self.place = place
        self.options = options
        self.socket = place / "lading-test.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            address = self.place / "notify"
            address.unlink(missing_ok=True)
            manager.bind(str(address))
            manager.settimeout(30)
            command = [sys.executable, "-m", "lading.api.daemon", "-H", f"unix://{self.socket}"]
            command += ["--root", f"{self.place}/root", "--run", f"{self.place}/run"]
            command += ["--bridge", "none", "--cgroup-parent", PARENT, *self.options]
            with (self.place / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=os.environ | {"NOTIFY_SOCKET": str(address)},
                    preexec_fn=lambda: unshare(CloneFlag.NEWNET),  # noqa: PLW1509 - no threads
                )
            assert manager.recv(100).startswith(b"READY=1")

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
