"""Debian's docker-registry, for tests and benches: plain, or with TLS and logins.

It listens on loopback, or in a network namespace of its own, where every engine of the lab
reaches it at an address of 10.213.0.0/16.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import urllib.request
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.netns import Uplink
from lab.shell import LabError, end, require, run, wait_until

USER, PASSWORD = "lading", "let me in"
_PROGRAM = "docker-registry"


class Registry:
    """One registry with storage of its own; a context manager around its life.

    `uplink` names the network namespace it is in (None: loopback). With `secure` it speaks TLS,
    by the certificate `certificate`, and wants `USER` and `PASSWORD`. With `mirrored`, a base
    URL, it is a pull-through cache of that registry.
    """

    def __init__(
        self, uplink: str | None = None, *, secure: bool = False, mirrored: str = ""
    ) -> None:
        self._uplink = Uplink(uplink) if uplink else None
        self._secure = secure
        self._mirrored = mirrored
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = Path()
        self.address = ""
        """Where it is reached: `host:port`."""

    @property
    def certificate(self) -> Path:
        """The certificate to trust, which is its own."""
        return self._directory / "registry.crt"

    @property
    def url(self) -> str:
        """The base URL."""
        return f"{'https' if self._secure else 'http'}://{self.address}"

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.down()

    def up(self) -> None:
        """Start it and wait until it answers. Raises LabError."""
        require(_PROGRAM)
        self._directory = Path(tempfile.mkdtemp(prefix="lading-registry-"))
        try:
            self.address = self._place()
            configuration = self._directory / "config.json"
            configuration.write_text(json.dumps(self._configuration()))
            words = [_PROGRAM, "serve", str(configuration)]
            enter = self._uplink.enter() if self._uplink else []
            with open(self._directory / "log", "wb") as log:
                process = subprocess.Popen([*enter, *words], stdout=log, stderr=log)
            self._process = process
            wait_until(lambda: process.poll() is not None or self._answers(), 20, _PROGRAM)
            self._check(process)
        except BaseException:
            self.down()
            raise

    def _check(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is not None:
            lines = (self._directory / "log").read_text().strip().splitlines()
            raise LabError(f"{_PROGRAM} did not start: {lines[-1] if lines else 'no reason'}")

    def down(self) -> None:
        """End it and remove what it kept."""
        if self._process is not None:
            end(self._process.pid)
            self._process.wait()
            self._process = None
        if self._uplink:
            self._uplink.down()
        if self._directory.name.startswith("lading-registry-"):
            shutil.rmtree(self._directory, ignore_errors=True)

    def _place(self) -> str:
        if self._uplink is None:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                return f"127.0.0.1:{probe.getsockname()[1]}"
        self._uplink.up()
        words = run(*self._uplink.enter(), *["ip", "-o", "-4", "address", "show", "eth0"]).split()
        return words[words.index("inet") + 1].partition("/")[0] + ":5000"

    def _configuration(self) -> dict[str, object]:
        """docker-registry's configuration: YAML, which JSON is."""
        http: dict[str, object] = {"addr": self.address, "secret": "lading-lab"}
        document: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {
                "filesystem": {"rootdirectory": str(self._directory / "blobs")},
                "delete": {"enabled": True},
            },
            "http": http,
        }
        if self._mirrored:
            document["proxy"] = {"remoteurl": self._mirrored}
        if self._secure:
            http["tls"] = self._make_certificate()
            logins = self._directory / "htpasswd"
            require("htpasswd")
            logins.write_text(run("htpasswd", "-nbB", USER, PASSWORD))
            document["auth"] = {"htpasswd": {"realm": "lading", "path": str(logins)}}
        return document

    def _make_certificate(self) -> dict[str, str]:
        key = self._directory / "registry.key"
        host = self.address.partition(":")[0]
        run(
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=lading-lab"),
            *("-addext", f"subjectAltName=IP:{host}"),
            *("-keyout", str(key), "-out", str(self.certificate)),
        )
        return {"certificate": str(self.certificate), "key": str(key)}

    def _answers(self) -> bool:
        host, _, port = self.address.partition(":")
        with suppress(OSError):
            if self._secure:
                socket.create_connection((host, int(port)), 5).close()
                return True
            with urllib.request.urlopen(f"{self.url}/v2/", timeout=5) as answer:
                return bool(answer.status == 200)
        return False


def copy(source: str, target: str, *options: str) -> None:
    """`skopeo copy`, from and to any of its transports, without checking certificates."""
    require("skopeo")
    insecure = ("--src-tls-verify=false", "--dest-tls-verify=false")
    run("skopeo", "copy", "--insecure-policy", "--quiet", *insecure, *options, source, target)
